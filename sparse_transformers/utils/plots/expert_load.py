"""How routers share tokens out among experts: drawn from numbers that were computed elsewhere.

An arm is one way to route: a router, a balancing method, or a control. Arms have the colours of
`COLORS` in the order in which they are passed, or those that `colors` names, so that an arm can
keep its colour from figure to figure.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from sparse_transformers.utils.metrics.experts.load import load_fractions
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.plots.base import plot_table
from sparse_transformers.utils.plots.style import COLORS, GRID_COLOR, MARKERS, finish, new_axes

MOST_NUMBERED_EXPERTS = 16
"""Numbers in the cells of a larger table could not be read."""

Colors = Mapping[str, str]


def plot_expert_load(
    loads: Mapping[str, ArrayLike],
    *,
    ranked: bool = False,
    colors: Colors | None = None,
    title: str = "Load of the experts",
    ax: Axes | None = None,
) -> Axes:
    """Draw what each expert has of all assignments, beside the even share.

    Args:
        loads: by arm or layer, shares or counts (experts,); as many experts in each.
        ranked: put the busiest expert of each arm first. The numbers of experts mean nothing, so
            this is how to compare arms.
        colors: of the arms.
        title: above the axes.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: there is no arm, arms have different numbers of experts, or `load_fractions`
            refuses a load.
    """
    shares = {name: load_fractions(load) for name, load in loads.items()}
    sizes = {len(share) for share in shares.values()}
    if len(sizes) != 1:
        raise ValueError(
            "loads must have at least one arm, and as many experts in each, "
            f"got {[len(share) for share in shares.values()]}"
        )
    ax = new_axes(ax)
    num_experts = sizes.pop()
    width = 0.84 / len(shares)
    for nth, (name, color) in enumerate(arm_colors(shares, colors)):
        heights = np.sort(shares[name])[::-1] if ranked else shares[name]
        places = np.arange(num_experts) + (nth - (len(shares) - 1) / 2) * width
        ax.bar(places, heights, width * 0.92, color=color, label=name)
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
    title: str = "What the router thinks of each word",
    ax: Axes | None = None,
) -> Axes:
    """Draw the router's probability of every expert for each word, and mark the chosen experts.

    Args:
        probabilities: (words, experts).
        words: in reading order.
        chosen: (words, experts), whether an expert reads a word.
        title: above the axes.
        ax: where to draw; None makes a new figure. 20 words need some 9 inches.

    Raises:
        ValueError: shapes do not fit, or there is no word.
    """
    scores, is_chosen = np.asarray(probabilities, dtype=float), np.asarray(chosen, dtype=bool)
    if scores.ndim != 2 or scores.size == 0 or len(scores) != len(words):
        raise ValueError(
            f"probabilities must be (words, experts) with {len(words)} words, got {scores.shape}"
        )
    if is_chosen.shape != scores.shape:
        raise ValueError(f"chosen must be {scores.shape} as probabilities, got {is_chosen.shape}")
    ax = new_axes(ax)
    image = ax.imshow(scores.T, cmap="Blues", vmin=0, vmax=scores.max(), aspect="auto")
    places, experts = is_chosen.nonzero()
    ax.scatter(
        places, experts, s=34, color="#D55E00", edgecolors="white", linewidths=0.8, label="chosen"
    )
    ax.set_xticks(range(len(words)), words, rotation=60, ha="right", rotation_mode="anchor")
    for label in ax.get_xticklabels():
        label.set_parse_math(False)  # "$5" is a word
    ax.yaxis.set_major_locator(MaxNLocator(MOST_NUMBERED_EXPERTS, integer=True))
    ax.tick_params(length=0, labelsize=8)
    ax.set_ylabel("expert")
    ax.set_title(title, fontsize=10)
    ax.legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
    ax.figure.colorbar(image, ax=ax, label="probability", pad=0.01)
    return ax


def plot_specialization(
    scores: Mapping[str, Mapping[str, Interval]],
    *,
    colors: Colors | None = None,
    title: str = "Specialization beside its controls",
    xlabel: str = "chance-corrected mutual information of expert and class",
    ax: Axes | None = None,
) -> Axes:
    """Draw scores with their intervals, those of one kind of class together; 0 is chance.

    Args:
        scores: by arm (the trained router, then its controls), by kind of class (such as "token",
            "position"). A kind that an arm lacks was not measured, and is left out.
        colors: of the arms.
        title: above the axes.
        xlabel: what the score is.
        ax: where to draw; None makes a new figure. A score needs some 0.13 inches of height.

    Raises:
        ValueError: there is nothing to draw.
    """
    kinds = list(dict.fromkeys(kind for of_arm in scores.values() for kind in of_arm))
    if not kinds:
        raise ValueError(f"scores must hold at least one score, got {dict(scores)}")
    ax = new_axes(ax)
    distance = 0.84 / len(scores)
    arms = zip(arm_colors(scores, colors), cycle(MARKERS), strict=False)
    for nth, ((name, color), marker) in enumerate(arms):
        offset = (nth - (len(scores) - 1) / 2) * distance
        places = [kinds.index(kind) + offset for kind in scores[name]]
        intervals = list(scores[name].values())
        estimates = [each.estimate for each in intervals]
        ax.hlines(
            places,
            [each.low for each in intervals],
            [each.high for each in intervals],
            color=color,
            linewidth=2,
        )
        ax.plot(
            estimates, places, color=color, marker=marker, markersize=5, linestyle="", label=name
        )
        for interval, place in zip(intervals, places, strict=True):
            ax.annotate(
                f"{interval.estimate:.3f}",
                (interval.high, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=6.5,
            )
    ax.axvline(0, color="black", linestyle="--", linewidth=1, label="chance")
    for border in range(1, len(kinds)):
        ax.axhline(border - 0.5, color=GRID_COLOR, linewidth=0.8)
    ax.set_yticks(range(len(kinds)), kinds)
    ax.set_ylim(len(kinds) - 0.5, -0.5)
    ax.margins(x=0.1)
    finish(ax, title, xlabel, "", grid="x")
    return ax


def plot_expert_similarity(
    similarity: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    title: str = "Similarity of the experts",
    xlabel: str = "expert",
    ylabel: str = "expert",
    ax: Axes | None = None,
) -> Axes:
    """Draw a table of experts by experts: how alike they are, or how often they act together.

    Args:
        similarity: (experts, experts), at most 1; None or NaN cells are hatched.
        names: of the experts; their numbers by default.
        title: above the axes.
        xlabel: what the columns are.
        ylabel: what the rows are.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: `similarity` is not square, or holds no number, or has not a name for each row.
    """
    table = np.asarray(similarity, dtype=float)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not np.isfinite(table).any():
        raise ValueError(
            f"similarity must be (experts, experts) and hold a number, got shape {table.shape}"
        )
    labels = [str(expert) for expert in range(len(table))] if names is None else list(names)
    if len(labels) != len(table):
        raise ValueError(f"names must hold {len(table)}, one for each expert, got {len(labels)}")
    form = "{:.2f}" if len(table) <= MOST_NUMBERED_EXPERTS else ""
    ax = plot_table(
        [[None if np.isnan(cell) else float(cell) for cell in row] for row in table],
        [[form.format(cell) for cell in row] for row in table],
        rows=labels,
        columns=labels,
        title=title,
        xlabel=xlabel,
        limits=(min(0.0, float(np.nanmin(table))), 1.0),
        ax=ax,
    )
    ax.set_ylabel(ylabel)
    if max(map(len, labels)) > 3:
        ax.set_xticks(ax.get_xticks(), labels, rotation=30, ha="right", rotation_mode="anchor")
    return ax


def arm_colors(names: Iterable[str], colors: Colors | None) -> list[tuple[str, str]]:
    """Each arm's name and colour.

    Raises:
        ValueError: `colors` lacks an arm.
    """
    names = list(names)
    chosen = dict(zip(names, cycle(COLORS), strict=False)) if colors is None else colors
    missing = [name for name in names if name not in chosen]
    if missing:
        raise ValueError(f"colors must have all arms, got none for {', '.join(missing)}")
    return [(name, chosen[name]) for name in names]
