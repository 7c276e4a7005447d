"""The figures of how attention scales."""

import math
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
)
from sparse_transformers.utils.plots.style import legend_below, new_figure, style_of
from sparse_transformers.utils.report import number, times
from sparse_transformers.utils.verdicts import spell

MIB = 1 << 20
TITLES = {"forward": "Forward", "forward_backward": "Forward + backward"}


def draw_times(scaling: AttentionScaling) -> Figure:
    """Time against length, forward and with the backward pass."""
    figure, axes = new_figure(1, 2, height=5.6, sharey=True)
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
    length, ratio = scaling.stored_over_window()
    _plot_growth(
        curves,
        title=f"Forward + backward, measured: at {length:,} positions stored scores take "
        f"{times(ratio)} the memory of the window",
        ylabel="MiB beyond the inputs",
        ax=ax,
    )
    return figure


def draw_memory_table(scaling: AttentionScaling) -> Figure:
    """The reduction of memory that a formula promises."""
    costs = cost_frame(scaling.costs)
    none_kept = costs.saving_no_scores.unstack(sort=False).iloc[:1]
    none_kept.index = ["no scores kept\n(this library, SDPA)"]
    saving = costs.saving_allowed_scores.unstack(sort=False)
    saving.index = [f"allowed scores kept:\n{pattern}" for pattern in saving.index]
    return _draw_factors(
        pd.concat([none_kept, saving]),
        title="Model, not measured: times less memory than attention that keeps all scores",
        columns=[f"{length:,}" for length in saving],
    )


def draw_operations(scaling: AttentionScaling) -> Figure:
    """How many times fewer operations than dense attention are counted."""
    costs = cost_frame(scaling.costs)
    fewer = costs.fewer_flops.unstack(sort=False)
    dense = costs.dense_flops.unstack(sort=False).iloc[0] / 1e9
    return _draw_factors(
        fewer,
        title="Counted: times fewer operations than dense attention, forward + backward",
        columns=[f"{length:,}\n{number(dense[length], 2)}\nGFLOP" for length in fewer],
    )


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


def _draw_factors(values: pd.DataFrame, *, title: str, columns: list[str]) -> Figure:
    """Draw a table with a column for each length, coloured by the logarithm."""
    figure, ax = new_figure(height=4.2)
    plot_table(
        values.to_numpy().tolist(),
        values.map(lambda ratio: f"{number(ratio)}×", na_action="ignore").to_numpy().tolist(),
        rows=list(values.index),
        columns=columns,
        title=title,
        xlabel="positions (hatched: not counted)",
        log=True,
        ax=ax,
    )
    return figure


def _curve(attention: str, values: pd.Series, label: str, **options: Any) -> Curve:
    """Values by length; `options` are those of `Curve`."""
    x, y = values.index.tolist(), values.tolist()
    return Curve(style_of(attention), x=x, y=y, label=label, **options)


def _plot_growth(curves: list[Curve], *, title: str, ylabel: str, ax: Axes | None) -> Axes:
    """Draw what grows with the length, with the legend below."""
    ax = plot_curves(
        curves, title=title, xlabel="positions", ylabel=ylabel, log_x=True, log_y=True, ax=ax
    )
    legend_below(ax, *ax.get_legend_handles_labels(), ncols=1)
    return ax


def _with_exponent(label: str, exponent: Interval | None) -> str:
    return label if exponent is None else f"{label}: length^{spell(exponent, '{:.2f}')}"
