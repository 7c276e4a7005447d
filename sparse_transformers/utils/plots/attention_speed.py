"""What attention costs as the sequence grows, drawn from the rows of a benchmark."""

from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from sparse_transformers.utils.plots.base import Curve, plot_curves
from sparse_transformers.utils.plots.style import (
    COLORS,
    MARKERS,
    REFERENCE_COLOR,
    Style,
    legend_below,
)


def plot_attention_times(rows: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw median times over the number of positions, with quartiles.

    An implementation has one colour, and the first, second, ... of the patterns that it computes
    one marker. An implementation without any measurement stands in the legend all the same. Both
    axes are logarithmic, so that linear and quadratic growth are straight lines of different
    steepness.

    Args:
        rows: of a benchmark.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: there are no rows, or rows of several directions.
    """
    direction = only_direction(rows)
    patterns = rows.groupby("implementation", sort=False)["pattern"].unique()
    colors = dict(zip(patterns.index, cycle(COLORS), strict=False))
    curves = []
    for (name, pattern), line in rows.groupby(["implementation", "pattern"], sort=False):
        measured = line.dropna(subset="median_ms")
        marker = MARKERS[list(patterns[name]).index(pattern) % len(MARKERS)]
        curves.append(
            Curve(
                Style(f"{name}: {pattern}", colors[name], marker),
                x=measured["seq_len"].tolist(),
                y=measured["median_ms"].astype(float).tolist(),
                low=measured["lower_quartile_ms"].astype(float).tolist(),
                high=measured["upper_quartile_ms"].astype(float).tolist(),
            )
        )
    ax = plot_curves(
        curves,
        title=f"Causal attention, {direction}",
        xlabel="positions",
        ylabel="median time (ms)",
        log_x=True,
        log_y=True,
        ax=ax,
    )
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_minor_locator(NullLocator())
    absent = rows.groupby("implementation")["median_ms"].count() == 0
    names = {name: f"{name} (not measured)" if absent[name] else name for name in colors}
    named = max(patterns, key=len)  # those of others are the same, or come nearest
    handles = [Line2D([], [], color=color, label=names[name]) for name, color in colors.items()]
    handles += [
        Line2D([], [], color=REFERENCE_COLOR, marker=marker, linestyle="", label=pattern)
        for pattern, marker in zip(named, cycle(MARKERS), strict=False)
    ]
    legend_below(ax, handles, [str(handle.get_label()) for handle in handles])
    return ax


def only_direction(rows: pd.DataFrame) -> str:
    """The direction of all rows, in words.

    Raises:
        ValueError: there are no rows, or rows of several directions.
    """
    directions = sorted(rows["direction"].unique()) if len(rows) else []
    if len(directions) != 1:
        raise ValueError(f"rows must be of one direction, got {directions or 'none'}")
    return directions[0].replace("_", " + ")
