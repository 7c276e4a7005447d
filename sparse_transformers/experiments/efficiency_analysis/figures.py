"""The figures of how attention scales."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparse_transformers.efficiency.comparison import DIRECTIONS, Direction
from sparse_transformers.efficiency.scaling_law import PowerLaw
from sparse_transformers.experiments.efficiency_analysis.measure import AttentionScaling
from sparse_transformers.utils.plots.base import (
    Curve,
    plot_curves,
    plot_table,
    short_bytes,
    short_count,
)
from sparse_transformers.utils.plots.style import Style, style_of

MIB = 1 << 20
MARKERS = "o^sDvP"


def draw_times(scaling: AttentionScaling) -> Figure:
    """Time against length, forward and with the backward pass."""
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 4.9), layout="constrained", sharey=True)
    for ax, direction in zip(axes, DIRECTIONS, strict=True):
        plot_times(scaling, direction, ax=ax)
        ax.legend(fontsize=7.5, loc="upper left")
    axes[1].set_ylabel("")
    return figure


def plot_times(scaling: AttentionScaling, direction: Direction, ax: Axes | None = None) -> Axes:
    """Draw the median time of each arm with its quartiles, and where the window overtakes dense."""
    curves = [
        Curve(
            style_of(curve.name),
            x=[point.seq_len for point in curve.points],
            y=[point.timing.median_ms for point in curve.points],
            low=[point.timing.lower_quartile_ms for point in curve.points],
            high=[point.timing.upper_quartile_ms for point in curve.points],
            label=_fit_label(arm_label(scaling, curve.name), curve.fit),
        )
        for curve in scaling.times
        if curve.direction == direction and curve.points
    ]
    title = {"forward": "Forward", "forward_backward": "Forward + backward"}[direction]
    ax = plot_curves(
        curves,
        title=f"{title}: how does the time grow?",
        xlabel="positions",
        ylabel="milliseconds (median, quartiles)",
        log_x=True,
        log_y=True,
        ax=ax,
    )
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * 10)  # room for the legend
    crossing = next(c for c in scaling.crossings if (c.name, c.direction) == ("local", direction))
    if crossing.length is not None and crossing.length > crossing.shortest:
        color = style_of("local").color
        ax.axvline(crossing.length, color=color, linewidth=1, linestyle=":")
        ax.annotate(
            f"window faster\nfrom {crossing.length:,.0f}",
            (crossing.length, low),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=7.5,
            color=color,
        )
    return ax


def draw_memory_growth(scaling: AttentionScaling) -> Figure:
    """Measured peak memory against length."""
    figure, ax = plt.subplots(figsize=(7.2, 4.6), layout="constrained")
    plot_curves(
        [
            Curve(
                style_of(curve.name),
                x=curve.lengths,
                y=[peak / MIB for peak in curve.peak_bytes],
                label=_fit_label(arm_label(scaling, curve.name), curve.fit),
                dashed=curve.name == "dense",
            )
            for curve in scaling.memory
        ],
        title="How does the memory of forward + backward grow? (measured peak)",
        xlabel="positions",
        ylabel="MiB beyond the inputs",
        log_x=True,
        log_y=True,
        ax=ax,
    )
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * 6)  # room for the legend
    ax.legend(fontsize=8, loc="upper left")
    return figure


def draw_memory_table(scaling: AttentionScaling) -> Figure:
    """Measured peak memory, and the reduction that a formula promises, as two tables."""
    settings = scaling.settings
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(9.2, 6.0), height_ratios=(4, 7), layout="constrained"
    )
    lengths = settings.memory_lengths
    peaks = [dict(zip(c.lengths, c.peak_bytes, strict=True)) for c in scaling.memory]
    plot_table(
        [[peak.get(length) for length in lengths] for peak in peaks],
        [[short_bytes(peak.get(length, 0)) for length in lengths] for peak in peaks],
        rows=[arm_label(scaling, curve.name) for curve in scaling.memory],
        columns=[f"{length:,}" for length in lengths],
        title="Measured: peak memory of forward + backward beyond inputs (hatched: not measured)",
        log=True,
        cmap="cividis_r",
        ax=top,
    )
    keys = list(dict.fromkeys((cost.name, cost.setting) for cost in scaling.costs))
    by_row = {
        f"allowed scores kept: {setting_label(*key)}": {
            cost.seq_len: cost.memory_reduction_with_scores for cost in scaling.counted(*key)
        }
        for key in keys
    }
    no_scores = {
        cost.seq_len: cost.memory_reduction_without_scores for cost in scaling.counted(*keys[0])
    }
    by_row = {"no scores kept (this library, SDPA)": no_scores, **by_row}
    lengths = settings.counted_lengths
    plot_table(
        [[each.get(length) for length in lengths] for each in by_row.values()],
        [[f"{each.get(length, 0):.3g}×" for length in lengths] for each in by_row.values()],
        rows=list(by_row),
        columns=[f"{length:,}" for length in lengths],
        title="Model, not measured: how many times less than keeping all scores? "
        "(hatched: not counted)",
        xlabel="positions",
        log=True,
        ax=bottom,
    )
    return figure


def draw_operations(scaling: AttentionScaling) -> Figure:
    """Counted operations against length, and the reduction against dense."""
    settings = scaling.settings
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 4.6), layout="constrained")
    shown = [("local", float(settings.window_size)), ("block", settings.sparsity)]
    dense = scaling.counted(*shown[0])
    plot_curves(
        [
            Curve(
                style_of("dense"),
                x=[cost.seq_len for cost in dense],
                y=[cost.dense_flops / 1e9 for cost in dense],
            ),
            *(
                Curve(
                    style_of(name),
                    x=[cost.seq_len for cost in scaling.counted(name, setting)],
                    y=[cost.flops / 1e9 for cost in scaling.counted(name, setting)],
                    label=setting_label(name, setting),
                )
                for name, setting in shown
            ),
        ],
        title="How many operations run? (counted)",
        xlabel="positions",
        ylabel="GFLOP, forward + backward",
        log_x=True,
        log_y=True,
        ax=left,
    )
    left.legend(fontsize=8)
    curves = []
    for name, values in (
        ("local", settings.counted_windows),
        ("block", settings.counted_sparsities),
    ):
        for value, marker in zip(values, MARKERS, strict=False):
            costs = scaling.counted(name, float(value))
            curves.append(
                Curve(
                    Style(setting_label(name, value), style_of(name).color, marker),
                    x=[cost.seq_len for cost in costs],
                    y=[cost.flop_reduction for cost in costs],
                    dashed=name == "block",
                )
            )
    plot_curves(
        curves,
        title="How many times fewer than dense? (counted)",
        xlabel="positions",
        ylabel="dense operations / operations that run",
        log_x=True,
        log_y=True,
        ax=right,
    )
    right.legend(fontsize=8)
    return figure


def arm_label(scaling: AttentionScaling, name: str) -> str:
    """What an arm is called in figures and tables."""
    settings = scaling.settings
    setting = {"local": float(settings.window_size), "block": settings.sparsity}
    labels = {"dense": "dense SDPA", "masked": "dense SDPA with a mask"}
    return (
        setting_label(name, setting[name])
        if name in setting
        else labels.get(name, style_of(name).label)
    )


def setting_label(name: str, setting: float) -> str:
    """What a pattern with its window or its sparsity is called."""
    if name == "local":
        return f"window of {short_count(setting)}"
    return f"block sparse, {setting:.0%} skipped"


def _fit_label(label: str, fit: PowerLaw | None) -> str:
    if fit is None:
        return label
    return f"{label}: length^{fit.exponent:.2f} ({fit.low:.2f} to {fit.high:.2f})"
