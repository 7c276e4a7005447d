"""The figures of how attention scales."""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparse_transformers.efficiency.comparison import DIRECTIONS, Direction
from sparse_transformers.efficiency.scaling_law import fit_exponent
from sparse_transformers.experiments.efficiency_analysis.counted_costs import cost_frame
from sparse_transformers.experiments.efficiency_analysis.measure import AttentionScaling
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.plots.base import (
    Curve,
    plot_curves,
    plot_table,
    short_bytes,
)
from sparse_transformers.utils.plots.style import new_figure, style_of
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
        peaks = row.dropna() / MIB
        exponent = fit_exponent(peaks.index.tolist(), peaks.tolist())
        label = _with_exponent(scaling.label(str(attention)), exponent)
        curves.append(_curve(str(attention), peaks, label, dashed=attention == "dense"))
    _plot_growth(
        curves,
        title="How does the memory of forward + backward grow? (measured peak)",
        ylabel="MiB beyond the inputs",
        ax=ax,
    )
    return figure


def draw_memory_table(scaling: AttentionScaling) -> Figure:
    """Measured peak memory, and the reduction that a formula promises, as two tables."""
    figure, (top, bottom) = new_figure(2, 1, height=6.0, height_ratios=(4, 7))
    plot_numbers(
        scaling.peak_bytes().rename(index=scaling.label),
        short_bytes,
        title="Measured: peak memory of forward + backward beyond inputs (hatched: not measured)",
        cmap="cividis_r",
        ax=top,
    )
    costs = cost_frame(scaling.costs)
    saving = costs.saving_allowed_scores.unstack(sort=False).rename(
        index=lambda pattern: f"allowed scores kept: {pattern}"
    )
    none_kept = costs.saving_no_scores.unstack(sort=False).iloc[:1]
    none_kept.index = ["no scores kept (this library, SDPA)"]
    plot_numbers(
        pd.concat([none_kept, saving]),
        _as_factor,
        title="Model, not measured: how many times less than keeping all scores?",
        xlabel="positions (hatched: not counted)",
        ax=bottom,
    )
    return figure


def draw_operations(scaling: AttentionScaling) -> Figure:
    """Counted operations against length, and how many times fewer than dense they are."""
    figure, (left, right) = new_figure(1, 2, height=4.2, width_ratios=(1, 1.3))
    costs = cost_frame(scaling.costs)
    shown = {name: costs.loc[scaling.label(name)] for name in ("local", "block")}
    flops = {"dense": shown["local"].dense_flops, **{n: rows.flops for n, rows in shown.items()}}
    _plot_growth(
        [_curve(name, each / 1e9, scaling.label(name)) for name, each in flops.items()],
        title="How many operations run? (counted)",
        ylabel="GFLOP, forward + backward",
        ax=left,
    )
    plot_numbers(
        costs.fewer_flops.unstack(sort=False),
        _as_factor,
        title="How many times fewer than dense? (counted)",
        xlabel="positions (hatched: not counted)",
        ax=right,
    )
    return figure


def plot_times(scaling: AttentionScaling, direction: Direction, ax: Axes | None = None) -> Axes:
    """Draw the median time of each attention with its quartiles, and where the window overtakes."""
    frame = scaling.time_frame()
    curves = []
    for attention in scaling.timed():
        rows = frame.loc[attention, direction]
        exponent = scaling.time_exponent(attention, direction)
        label = _with_exponent(scaling.label(attention), exponent)
        limits = {
            "low": rows.lower_quartile_ms.tolist(),
            "high": rows.upper_quartile_ms.tolist(),
        }
        curves.append(_curve(attention, rows.median_ms, label, **limits))
    crossing = scaling.crossing("local", direction).estimate
    crosses = math.isfinite(crossing)
    found = f"faster from {crossing:,.0f} on" if crosses else "not faster"
    ax = _plot_growth(
        curves,
        title=f"{TITLES[direction]}: the window is {found}",
        ylabel="milliseconds (median, quartiles)",
        ax=ax,
    )
    if crosses:
        ax.axvline(crossing, color=style_of("local").color, linewidth=1, linestyle=":")
    return ax


def plot_numbers(
    values: pd.DataFrame,
    spell_number: Callable[[float], str],
    *,
    title: str,
    xlabel: str = "",
    cmap: str = "cividis",
    ax: Axes | None = None,
) -> Axes:
    """Draw a table with a column for each length, coloured by the logarithm."""
    return plot_table(
        values.to_numpy().tolist(),
        values.map(spell_number, na_action="ignore").to_numpy().tolist(),
        rows=list(values.index),
        columns=[f"{length:,}" for length in values],
        title=title,
        xlabel=xlabel,
        log=True,
        cmap=cmap,
        ax=ax,
    )


def _curve(attention: str, values: pd.Series, label: str, **options: Any) -> Curve:
    """Values by length; `options` are those of `Curve`."""
    x, y = values.index.tolist(), values.tolist()
    return Curve(style_of(attention), x=x, y=y, label=label, **options)


def _plot_growth(curves: list[Curve], *, title: str, ylabel: str, ax: Axes | None) -> Axes:
    """Draw what grows with the length, with room for the legend above the curves."""
    ax = plot_curves(
        curves, title=title, xlabel="positions", ylabel=ylabel, log_x=True, log_y=True, ax=ax
    )
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * 10)
    ax.legend(fontsize=7.5, loc="upper left")
    return ax


def _with_exponent(label: str, exponent: Interval | None) -> str:
    return label if exponent is None else f"{label}: length^{spell(exponent, '{:.2f}')}"


def _as_factor(ratio: float) -> str:
    return f"{number(ratio)}×"
