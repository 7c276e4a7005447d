"""How routers spread tokens over experts: drawn from numbers that were computed elsewhere.

A variant is one way to route: a router, a balancing method, or a control. Variants have the colours
of `COLORS` in the order in which they are passed, or those that `colors` names, so that a variant
keeps its colour from figure to figure.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from sparse_transformers.utils.metrics.experts.load import load_fractions
from sparse_transformers.utils.plots.style import COLORS, TEXT_SIZE, finish, new_axes
from sparse_transformers.utils.texts import check_list

MOST_NUMBERED_EXPERTS = 16
"""More numbers on an axis, or in the cells of a table, are illegible."""


def plot_expert_load(
    loads: Mapping[str, ArrayLike],
    *,
    ranked: bool = False,
    colors: Mapping[str, str] | None = None,
    title: str = "Load of the experts",
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of each expert in all assignments, beside the even share.

    Args:
        loads: by variant or layer, shares or counts (experts,); as many experts in each.
        ranked: sort the experts of each variant by load, the busiest first. The numbers of experts
            have no meaning, so this is how to compare variants.
        colors: of the variants.
        title: above the axes.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: there is no variant, variants have different numbers of experts, or
            `load_fractions` refuses a load.
    """
    shares = {name: load_fractions(load) for name, load in loads.items()}
    sizes = {len(share) for share in shares.values()}
    if len(sizes) != 1:
        raise ValueError(
            "loads must have at least one variant, and as many experts in each, "
            f"got {[len(share) for share in shares.values()]}"
        )
    drawn_colors = variant_colors(shares, colors)
    ax = new_axes(ax)
    num_experts = sizes.pop()
    width = 0.84 / len(shares)
    for nth, (name, share) in enumerate(shares.items()):
        heights = np.sort(share)[::-1] if ranked else share
        places = np.arange(num_experts) + (nth - (len(shares) - 1) / 2) * width
        ax.bar(places, heights, width * 0.92, color=drawn_colors[name], label=name)
    even = 1 / num_experts
    ax.axhline(even, color="black", linestyle="--", linewidth=1, label=f"even share: {even:.1%}")
    ax.xaxis.set_major_locator(MaxNLocator(MOST_NUMBERED_EXPERTS, integer=True))
    ax.set_xlim(-0.6, num_experts - 0.4)
    xlabel = "expert, by load (0 is the busiest)" if ranked else "expert"
    finish(ax, title, xlabel, "share of the assignments")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    return ax


def plot_routing_scores(
    probabilities: ArrayLike,
    words: Sequence[str],
    chosen: ArrayLike,
    *,
    title: str = "The router's probabilities for each word",
    ax: Axes | None = None,
) -> Axes:
    """Draw the router's probability of every expert for each word, and mark the chosen experts.

    Args:
        probabilities: (words, experts).
        words: in the order of the text.
        chosen: (words, experts), whether a word is routed to an expert.
        title: above the axes.
        ax: where to draw; None makes a new figure. 20 words need some 9 inches.

    Raises:
        ValueError: shapes do not fit, or there is no word.
    """
    import seaborn as sns  # slow to import

    check_list(words=words)

    scores, is_chosen = np.asarray(probabilities, dtype=float), np.asarray(chosen, dtype=bool)
    if scores.ndim != 2 or scores.size == 0 or len(scores) != len(words):
        raise ValueError(
            f"probabilities must be (words, experts) with {len(words)} words, got {scores.shape}"
        )
    if is_chosen.shape != scores.shape:
        raise ValueError(f"chosen must be {scores.shape} as probabilities, got {is_chosen.shape}")
    ax = new_axes(ax)
    bar = {"label": "probability", "pad": 0.01}
    sns.heatmap(scores.T, cmap="Blues", vmin=0, vmax=scores.max(), cbar_kws=bar, ax=ax)
    places, experts = is_chosen.nonzero()
    ax.scatter(
        places + 0.5,
        experts + 0.5,
        s=34,
        color="#D55E00",
        edgecolors="white",
        linewidths=0.8,
        label="chosen",
    )
    ax.set_xticks(np.arange(len(words)) + 0.5, words, rotation=60, ha="right", parse_math=False)
    ax.tick_params(length=0, labelsize=TEXT_SIZE)
    ax.tick_params(axis="y", labelrotation=0)
    ax.set_ylabel("expert")
    ax.set_title(title, fontsize=10)
    ax.legend(
        fontsize=TEXT_SIZE, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0
    )
    return ax


def variant_colors(names: Iterable[str], colors: Mapping[str, str] | None) -> dict[str, str]:
    """The colour of each variant.

    Raises:
        ValueError: `colors` lacks a variant.
    """
    names = list(names)
    chosen = dict(zip(names, cycle(COLORS), strict=False)) if colors is None else colors
    missing = [name for name in names if name not in chosen]
    if missing:
        raise ValueError(f"colors must have all variants, got none for {', '.join(missing)}")
    return {name: chosen[name] for name in names}
