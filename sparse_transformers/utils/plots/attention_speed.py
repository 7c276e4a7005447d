"""What attention costs as the sequence grows: times and memory, drawn from a results file."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from sparse_transformers.utils.plots.base import Curve, plot_curves
from sparse_transformers.utils.plots.style import TEXT_SIZE, Style

COLORS = ("#222222", "#0072B2", "#D55E00", "#E69F00", "#8C6D31", "#CC79A7", "#117A65", "#7A4E9E")
MARKERS = "osv^DPXh"


def plot_attention_times(rows: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw median times over the number of positions, with quartiles.

    There is a line for each implementation and pattern, and one without any measurement stands in
    the legend all the same. Both axes are logarithmic, so that linear and quadratic growth are
    straight lines of different steepness.

    Args:
        rows: of a benchmark.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: there are no rows, or rows of several directions.
    """
    direction = only_direction(rows)
    colors = dict(zip(rows["implementation"].unique(), cycle(COLORS), strict=False))
    markers = dict(zip(rows["pattern"].unique(), cycle(MARKERS), strict=False))
    curves = []
    for (name, pattern), line in rows.groupby(["implementation", "pattern"], sort=False):
        measured = line.dropna(subset="median_ms")
        label = f"{name}: {pattern}" + (" (not measured)" if measured.empty else "")
        curves.append(
            Curve(
                Style(label, colors[name], markers[pattern]),
                x=measured["seq_len"].tolist(),
                y=measured["median_ms"].astype(float).tolist(),
                low=measured["lower_quartile_ms"].astype(float).tolist(),
                high=measured["upper_quartile_ms"].astype(float).tolist(),
            )
        )
    ax = plot_curves(
        curves,
        title=f"Causal attention, {direction}: time",
        xlabel="positions",
        ylabel="median time (ms)",
        log_x=True,
        log_y=True,
        ax=ax,
    )
    _finish(ax)
    return ax


def plot_memory_scaling(scalings: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Draw the peak of extra memory over the number of positions, a line for each pattern.

    Args:
        scalings: as the benchmark's results file holds them.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not scalings:
        raise ValueError("scalings must hold at least one pattern, got none")
    curves = []
    for scaling, color, marker in zip(scalings, cycle(COLORS[1:]), cycle(MARKERS), strict=False):
        label = f"{scaling['pattern']}: grows as positions^{scaling['slope']:.2f}"
        mebibytes = [peak / 2**20 for peak in scaling["peak_bytes"]]
        curves.append(Curve(Style(label, color, marker), x=scaling["seq_lens"], y=mebibytes))
    ax = plot_curves(
        curves,
        title="Causal attention, forward + backward: memory beyond the inputs",
        xlabel="positions",
        ylabel="peak of extra memory (MiB)",
        log_x=True,
        log_y=True,
        ax=ax,
    )
    _finish(ax)
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


def _finish(ax: Axes) -> None:
    """Numbers rather than powers on the logarithmic axis, and the legend below the picture."""
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.legend(fontsize=TEXT_SIZE, loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False)
