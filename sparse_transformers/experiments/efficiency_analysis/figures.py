"""The figures of how attention scales."""

import math
from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from sparse_transformers.efficiency.comparison import DIRECTIONS, Direction
from sparse_transformers.efficiency.scaling_law import fit_exponent
from sparse_transformers.experiments.efficiency_analysis.counted_costs import cost_frame
from sparse_transformers.experiments.efficiency_analysis.measure import AttentionScaling
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.plots.base import Curve, plot_curves, short_bytes
from sparse_transformers.utils.plots.style import new_axes, new_figure, style_of
from sparse_transformers.utils.report import number
from sparse_transformers.utils.verdicts import spell

MIB = 1 << 20
TITLES = {"forward": "Forward", "forward_backward": "Forward + backward"}


def draw_times(scaling: AttentionScaling) -> Figure:
    """Time against length, forward and with the backward pass."""
    figure, axes = new_figure(1, 2, height=4.9, sharey=True)
    for ax, direction in zip(axes, DIRECTIONS, strict=True):
        plot_times(scaling, direction, ax=ax)
    axes[1].set_ylabel("")
    return figure


def draw_memory_growth(scaling: AttentionScaling) -> Figure:
    """Measured peak memory against length."""
    figure, ax = new_figure(height=4.6)
    curves = []
    for attention, row in scaling.peak_bytes().iterrows():
        peaks = row.dropna()
        exponent = fit_exponent(peaks.index, peaks)
        curves.append(
            Curve(
                style_of(str(attention)),
                x=peaks.index,
                y=peaks / MIB,
                label=_with_exponent(scaling.label(str(attention)), exponent),
                dashed=attention == "dense",
            )
        )
    plot_curves(
        curves,
        title="How does the memory of forward + backward grow? (measured peak)",
        xlabel="positions",
        ylabel="MiB beyond the inputs",
        log_x=True,
        log_y=True,
        ax=ax,
    )
    _legend_above_curves(ax)
    return figure


def draw_memory_table(scaling: AttentionScaling) -> Figure:
    """Measured peak memory, and the reduction that a formula promises, as two tables."""
    figure, (top, bottom) = new_figure(2, 1, height=6.0, height_ratios=(4, 7))
    peaks = scaling.peak_bytes()
    plot_numbers(peaks.rename(index=scaling.label), short_bytes, cmap="cividis_r", ax=top)
    top.set_title(
        "Measured: peak memory of forward + backward beyond inputs (hatched: not measured)",
        fontsize=10,
    )
    costs = cost_frame(scaling.costs)
    saving = costs.saving_allowed_scores.unstack(sort=False).rename(
        index=lambda pattern: f"allowed scores kept: {pattern}"
    )
    none_kept = costs.saving_no_scores.unstack(sort=False).iloc[:1]
    none_kept.index = ["no scores kept (this library, SDPA)"]
    plot_numbers(pd.concat([none_kept, saving]), _as_factor, ax=bottom)
    bottom.set_title(
        "Model, not measured: how many times less than keeping all scores? (hatched: not counted)",
        fontsize=10,
    )
    bottom.set_xlabel("positions")
    return figure


def draw_operations(scaling: AttentionScaling) -> Figure:
    """Counted operations against length, and how many times fewer than dense they are."""
    figure, (left, right) = new_figure(1, 2, height=4.2, width_ratios=(1, 1.3))
    costs = cost_frame(scaling.costs)
    shown = {name: costs.loc[scaling.label(name)] for name in ("local", "block")}
    flops = {"dense": shown["local"].dense_flops, **{n: rows.flops for n, rows in shown.items()}}
    plot_curves(
        [
            Curve(style_of(name), x=each.index, y=each / 1e9, label=scaling.label(name))
            for name, each in flops.items()
        ],
        title="How many operations run? (counted)",
        xlabel="positions",
        ylabel="GFLOP, forward + backward",
        log_x=True,
        log_y=True,
        ax=left,
    )
    left.legend(fontsize=8)
    plot_numbers(costs.fewer_flops.unstack(sort=False), _as_factor, ax=right)
    right.set_title("How many times fewer than dense? (counted)", fontsize=10)
    right.set_xlabel("positions (hatched: not counted)")
    return figure


def plot_times(scaling: AttentionScaling, direction: Direction, ax: Axes | None = None) -> Axes:
    """Draw the median time of each attention with its quartiles, and where the window overtakes."""
    times = {name: scaling.time_frame().loc[name, direction] for name in scaling.timed()}
    curves = [
        Curve(
            style_of(attention),
            x=rows.index,
            y=rows.median_ms,
            low=rows.lower_quartile_ms,
            high=rows.upper_quartile_ms,
            label=_with_exponent(
                scaling.label(attention), scaling.time_exponent(attention, direction)
            ),
        )
        for attention, rows in times.items()
    ]
    crossing = scaling.crossing("local", direction)
    found = (
        f"the window is faster from {crossing.estimate:,.0f} on"
        if math.isfinite(crossing.estimate)
        else "the window is not faster"
    )
    ax = plot_curves(
        curves,
        title=f"{TITLES[direction]}: {found}",
        xlabel="positions",
        ylabel="milliseconds (median, quartiles)",
        log_x=True,
        log_y=True,
        ax=ax,
    )
    _legend_above_curves(ax)
    ax.title.set_fontsize(9)
    if math.isfinite(crossing.estimate):
        ax.axvline(crossing.estimate, color=style_of("local").color, linewidth=1, linestyle=":")
    return ax


def plot_numbers(
    values: pd.DataFrame,
    spell_number: Callable[[float], str],
    *,
    cmap: str = "cividis",
    ax: Axes | None = None,
) -> Axes:
    """Draw a table whose cells are coloured by the logarithm; what is missing is hatched."""
    import seaborn as sns

    ax = new_axes(ax)
    sns.heatmap(
        values,
        norm=LogNorm(),
        cmap=cmap,
        annot=values.map(spell_number, na_action="ignore"),
        fmt="",
        annot_kws={"size": 7.5},
        cbar=False,
        xticklabels=[f"{length:,}" for length in values],
        ax=ax,
    )
    ax.patch.set(facecolor="#F4F4F4", edgecolor="#CCCCCC", hatch="///")
    ax.set(xlabel="", ylabel="")
    ax.tick_params(length=0, labelsize=8, rotation=0)
    return ax


def _legend_above_curves(ax: Axes) -> None:
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * 10)
    ax.legend(fontsize=7.5, loc="upper left")


def _as_factor(value: float) -> str:
    return f"{number(value)}×"


def _with_exponent(label: str, exponent: Interval | None) -> str:
    return label if exponent is None else f"{label}: length^{spell(exponent, '{:.2f}')}"
