"""The figures of a pattern survey."""

from math import isnan

import numpy as np
from matplotlib.figure import Figure

from sparse_transformers.experiments.attention_patterns.measure import (
    ALLOWED,
    FORBIDDEN,
    FUTURE,
    PatternSurvey,
)
from sparse_transformers.utils.plots.base import (
    FORBIDDEN_COLOR,
    picture_legend,
    plot_bars,
    plot_dots,
    plot_picture,
)
from sparse_transformers.utils.plots.style import (
    COLORS,
    TEXT_SIZE,
    new_figure,
    one_legend,
    style_of,
)
from sparse_transformers.utils.report import percent
from sparse_transformers.utils.verdicts import ABOVE, by_verdict

SPEEDUPS = {
    "pair_limit": ("limit by pairs (counted)", COLORS[6]),
    "tile_limit": ("limit by tiles (counted)", COLORS[4]),
    "estimate": ("measured", COLORS[0]),
}
MOSTLY_SKIPPED = 0.75
MOSTLY_WASTED = 0.25
"""In tiles less full than this, most of what is computed is thrown away."""


def draw_pictures(survey: PatternSurvey) -> Figure:
    """What each pattern allows, as a grid of pictures with one legend."""
    figure, axes = new_figure(2, 5, height=5.2)
    figure.get_layout_engine().set(h_pad=0.09, hspace=0.04)
    for ax, each in zip(axes.flat, survey.patterns, strict=True):
        title = f"{style_of(each.name).label}\n{each.picture_density:.0%} of dense"
        plot_picture(each.picture, ALLOWED + FORBIDDEN + FUTURE, title=title, ax=ax)
        ax.label_outer()
    for ax in axes[-1]:
        ax.set_xlabel("key position", fontsize=TEXT_SIZE)
    for ax in axes[:, 0]:
        ax.set_ylabel("query position", fontsize=TEXT_SIZE)
    figure.legend(handles=picture_legend(), loc="outside lower center", ncols=3, fontsize=TEXT_SIZE)
    return figure


def draw_costs(survey: PatternSurvey) -> Figure:
    """How much each pattern skips, and how much of that the kernel turns into speed."""
    figure, (left, middle, right) = new_figure(
        1, 3, height=5.6, width_ratios=(1, 1.5, 1), sharey=True
    )
    rows = survey.frame()
    styles = [style_of(name) for name in rows.index]
    names = [style.label for style in styles]
    n_wasteful = (rows.fill < MOSTLY_WASTED).sum()
    n_skipping = (rows.skipped > MOSTLY_SKIPPED).sum()
    skipped = f"{n_skipping} of {len(rows)} skip over {MOSTLY_SKIPPED:.0%}"
    wasteful = f"Tiles mostly empty: {n_wasteful} of {len(rows)}"
    for ax, column, title, xlabel in (
        (left, "skipped", skipped, "% of dense causal pairs"),
        (right, "fill", wasteful, "% of computed pairs allowed"),
    ):
        plot_bars(
            names,
            {"_share": (100 * rows[column]).tolist()},  # "_": not in the legend
            colors={"_share": [style.color for style in styles]},
            title=title,
            xlabel=xlabel,
            number="{:.0f}",
            ax=ax,
        )
        ax.set_xlim(0, 118)
    sparse = {name: each for name, each in survey.speedups().items() if name != "dense"}
    plot_dots(
        names,
        {
            label: [[] if isnan(speedup) else [speedup] for speedup in rows[column]]
            for column, (label, _) in SPEEDUPS.items()
        },
        colors=dict(SPEEDUPS.values()),
        title=f"At {survey.settings.measured_len:,} positions "
        f"{len(by_verdict(sparse, 1)[ABOVE])} of {len(sparse)} beat dense SDPA",
        xlabel="times as fast as dense SDPA, forward",
        log_x=True,
        ax=middle,
    )
    middle.axvline(1, color="#222222", linewidth=1, zorder=0)
    one_legend(figure, ncols=3)
    return figure


def draw_reach(survey: PatternSurvey) -> Figure:
    """From how far back information gets to the last token: a band of layers for each pattern."""
    import seaborn as sns

    figure, ax = new_figure(height=4.4)
    most, needed = survey.settings.max_layers, survey.layers_needed()
    sns.heatmap(
        needed.T.clip(lower=1),
        cmap=sns.color_palette("viridis", most),
        vmin=0.5,
        vmax=most + 0.5,
        cbar_kws={"ticks": range(1, most + 1), "pad": 0.02},
        ax=ax,
    )
    ax.set_facecolor(FORBIDDEN_COLOR)
    ax.hlines(range(1, needed.shape[1]), 0, len(needed), color="white", linewidth=2)
    ticks = np.linspace(0, len(needed) - 1, 5).astype(int)
    ax.set_xticks(ticks + 0.5, needed.index[ticks], rotation=0)
    reached = needed.notna().mean()
    labels = [f"{style_of(name).label}: {percent(reached[name])}" for name in needed]
    ax.set_yticklabels(labels, rotation=0)
    ax.set_title(
        f"{(reached == 1).sum()} of {len(reached)} patterns: all {len(needed)} tokens reach the "
        f"last within {most} layers",
        fontsize=10,
    )
    ax.set_xlabel(f"tokens before the last; colour: layers needed (grey: over {most})")
    return figure
