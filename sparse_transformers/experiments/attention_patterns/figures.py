"""The figures of a pattern survey."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from sparse_transformers.experiments.attention_patterns.measure import (
    ALLOWED,
    FORBIDDEN,
    FUTURE,
    PatternSurvey,
)
from sparse_transformers.utils.plots.base import (
    FORBIDDEN_COLOR,
    Curve,
    picture_legend,
    plot_bars,
    plot_curves,
    plot_picture,
)
from sparse_transformers.utils.plots.style import style_of

REACH_CURVES = ("dense", "local", "dilated", "strided", "longformer", "block")
"""A readable choice; the strips beside the curves show all patterns."""


def draw_pictures(survey: PatternSurvey) -> Figure:
    """What each pattern allows, as a grid of pictures with one legend."""
    layout = ConstrainedLayoutEngine(h_pad=0.09, hspace=0.04)
    figure, axes = plt.subplots(2, 5, figsize=(9.2, 5.2), layout=layout)
    for ax, each in zip(axes.flat, survey.patterns, strict=True):
        label = style_of(each.name).label
        plot_picture(
            each.picture,
            ALLOWED + FORBIDDEN + FUTURE,
            title=f"{label}\n{each.picture_density:.0%} of dense",
            ax=ax,
        )
        ax.label_outer()
    for ax in axes[-1]:
        ax.set_xlabel("key position", fontsize=8)
    for ax in axes[:, 0]:
        ax.set_ylabel("query position", fontsize=8)
    figure.suptitle("Which earlier tokens may each token attend to?", fontsize=11)
    figure.legend(handles=picture_legend(), loc="outside lower center", ncols=3, fontsize=8)
    return figure


def draw_costs(survey: PatternSurvey) -> Figure:
    """How much each pattern skips, and how much of that the kernel turns into speed."""
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(9.2, 5.6), width_ratios=(1, 1.5, 1), layout="constrained", sharey=True
    )
    names = [style_of(each.name).label for each in survey.patterns]
    colors = [style_of(each.name).color for each in survey.patterns]
    plot_bars(
        names,
        {"skipped": [100 * each.sparsity for each in survey.patterns]},
        colors={"skipped": colors},
        title="How much is skipped?",
        xlabel="% of dense causal pairs",
        number="{:.0f}",
        ax=left,
    )
    speedups = "limit by pairs (counted)", "limit by tiles (counted)", "measured"
    plot_bars(
        names,
        {
            speedups[0]: [each.theoretical_speedup for each in survey.patterns],
            speedups[1]: [each.tile_speedup for each in survey.patterns],
            speedups[2]: [each.timing.speedup for each in survey.patterns],
        },
        colors={speedups[0]: "#C9D6E2", speedups[1]: "#7FA6CC", speedups[2]: "#0B4F8A"},
        title=f"How much faster at {survey.settings.measured_len:,} positions?",
        xlabel="times as fast as dense SDPA, forward",
        log_x=True,
        ax=middle,
    )
    middle.axvline(1, color="#222222", linewidth=1, zorder=0)
    figure.legend(*middle.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    plot_bars(
        names,
        {"fill": [100 * each.fill for each in survey.patterns]},
        colors={"fill": colors},
        title="How full are the visited tiles?",
        xlabel="% of computed pairs allowed",
        number="{:.0f}",
        ax=right,
    )
    for ax in (left, right):
        ax.set_xlim(0, 118)
    return figure


def draw_reach(survey: PatternSurvey) -> Figure:
    """From how far back information gets to the last token, layer by layer."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.2, 4.2), width_ratios=(1.35, 1), layout="constrained"
    )
    plot_layers_needed(survey, ax=left)
    layers = range(survey.settings.max_layers + 1)
    plot_curves(
        [
            Curve(
                style_of(each.name),
                x=list(layers),
                y=[100 * each.share_reached(n) for n in layers],
            )
            for each in survey.patterns
            if each.name in REACH_CURVES
        ],
        title="How much of the text gets there?",
        xlabel="layers",
        ylabel=f"% of {survey.settings.reach_len} tokens that the last one hears",
        ax=right,
    )
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=len(labels), fontsize=8)
    return figure


def plot_layers_needed(survey: PatternSurvey, ax: Axes | None = None) -> Axes:
    """Draw one strip for each pattern: the layers until the last token depends on a position."""
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    most = survey.settings.max_layers
    not_yet = most + 1
    strips = np.array(
        [
            [not_yet if needed is None else max(needed, 1) for needed in each.layers_needed]
            for each in survey.patterns
        ]
    )
    # From dark (near) to light (far), and grey where these layers do not reach.
    shades = plt.get_cmap("viridis")(np.linspace(0, 1, most))
    colors = ListedColormap([*shades, FORBIDDEN_COLOR])
    norm = BoundaryNorm(np.arange(0.5, not_yet + 1), colors.N)
    seq_len = survey.settings.reach_len
    image = ax.imshow(
        strips,
        cmap=colors,
        norm=norm,
        aspect="auto",
        interpolation="nearest",
        extent=(seq_len - 0.5, -0.5, len(strips) - 0.5, -0.5),
    )
    for edge in range(1, len(strips)):
        ax.axhline(edge - 0.5, color="white", linewidth=2)
    ax.set_yticks(range(len(strips)), [style_of(each.name).label for each in survey.patterns])
    ax.tick_params(axis="y", length=0)
    ax.set_title("Layers until the last token hears a token?", fontsize=10)
    ax.set_xlabel("tokens before the last one")
    bar = ax.figure.colorbar(image, ax=ax, ticks=range(1, not_yet + 1), pad=0.02)
    bar.ax.set_yticklabels([*map(str, range(1, most + 1)), "not yet"], fontsize=8)
    bar.ax.set_title("layers", fontsize=8)
    bar.ax.tick_params(length=0)
    return ax
