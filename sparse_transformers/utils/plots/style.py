"""How things look in every figure: one colour, one marker and one label for each pattern.

The colours are those of Okabe and Ito (2008), which people with colour-blindness can tell apart,
and neutral ones.
"""

from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 9.2
"""Of a figure, in inches: readable in a report."""

COLORS = ("#0072B2", "#D55E00", "#117A65", "#CC79A7", "#E69F00", "#7A4E9E", "#56B4E9", "#8C6D31")
"""Of variants or measures, in the order in which they are passed."""
MARKERS = "osv^DPXh"
DASHES = ("--", ":", "-.")
GRID_COLOR = "#DDDDDD"
REFERENCE_COLOR = "#777777"
"""Of chance, of controls, and of other marks to compare with."""


@dataclass(frozen=True)
class Style:
    """How one thing looks and is called in every figure.

    Attributes:
        label: in legends and tables.
        color: as matplotlib names it.
        marker: of its points; "" for none.
    """

    label: str
    color: str
    marker: str = "o"


STYLES = {
    "dense": Style("dense", "#222222", "s"),
    "local": Style("local window", "#0072B2", "o"),
    "dilated": Style("dilated window", "#56B4E9", "v"),
    "strided": Style("strided", "#E69F00", "^"),
    "fixed": Style("fixed", "#D55E00", "D"),
    "longformer": Style("Longformer", "#CC79A7", "P"),
    "bigbird": Style("BigBird", "#7A4E9E", "X"),
    "sinks": Style("sinks + window", "#117A65", "h"),
    "top_k": Style("exact top-k", "#B2182B", "p"),
    "block": Style("block sparse", "#35B779", "<"),
    "random": Style("random pairs", "#999999", ">"),
    "masked": Style("dense with a mask", "#8C6D31", "d"),
    "stored": Style("dense, scores stored", "#777777", "*"),
}


def style_of(name: str) -> Style:
    """The style called `name` in `STYLES`.

    Raises:
        ValueError: there is none; the message lists those that there are.
    """
    if name not in STYLES:
        raise ValueError(f"unknown style {name!r}; known are {', '.join(STYLES)}")
    return STYLES[name]


def new_axes(ax: Axes | None = None) -> Axes:
    """The axes given, or those of a new figure."""
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    return ax


def new_figure(rows: int = 1, columns: int = 1, *, height: float, **ratios: Any) -> Any:
    """A figure `WIDTH` wide and its axes: one, or an array where there are several.

    Args:
        rows: of panels.
        columns: of panels.
        height: of the whole figure, in inches.
        **ratios: for `plt.subplots`, such as `width_ratios`.
    """
    panels: tuple[Figure, Any] = plt.subplots(
        rows, columns, figsize=(WIDTH, height), layout="constrained", **ratios
    )
    return panels


def finish(ax: Axes, title: str, xlabel: str, ylabel: str, *, grid: str = "y") -> Axes:
    """Set names, a grid behind the data, and a legend under it, if anything has a label.

    Args:
        ax: where something was drawn.
        title: what the panel shows, or what was found.
        xlabel: with its unit.
        ylabel: with its unit.
        grid: "x", "y" or "both".
    """
    ax.set_title(title, fontsize=10)
    ax.set_xlabel(xlabel, fontsize=9)
    ax.set_ylabel(ylabel, fontsize=9)
    ax.grid(axis=grid, color=GRID_COLOR, linewidth=0.6)  # type: ignore[arg-type]
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=8)
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        legend_below(ax, handles, labels)
    return ax


def legend_below(ax: Axes, handles: Any, labels: Any, *, ncols: int = 2) -> None:
    """A legend under the label of the horizontal axis, where it hides nothing."""
    ax.legend(
        handles,
        labels,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        borderaxespad=5,
        ncols=ncols,  # two fit under half of a figure
        fontsize=8,
        frameon=False,
    )
