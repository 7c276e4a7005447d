"""How things look in every figure: one colour, one marker and one label for each pattern.

The colours begin with those of Okabe and Ito (2008). All of them differ for people who do not see
green, too: a test simulates it (Machado et al. 2009).
"""

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 9.2
"""Of a figure, in inches: readable in a report."""
DOTS_PER_INCH = 110
"""Of a stored figure: sharp, and small files."""
TEXT_SIZE = 9
"""The smallest text in points: readable where a figure is 700 pixels wide."""

COLORS = ("#0072B2", "#D55E00", "#0A5C46", "#D74BAD", "#E69F00", "#341C4E", "#56B4E9", "#654404")
"""Of variants or measures, in the order in which they are passed."""
MARKERS = "osv^DPXh"
DASHES = ("--", ":", "-.")
GRID_COLOR = "#DDDDDD"
REFERENCE_COLOR = "#9A9A9A"
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
    "longformer": Style("Longformer", "#E147B2", "P"),
    "bigbird": Style("BigBird", "#4B048F", "X"),
    "sinks": Style("sinks + window", "#00C173", "h"),
    "top_k": Style("exact top-k", "#731A2D", "p"),
    "block": Style("block sparse", "#49932F", "<"),
    "random": Style("random pairs", "#ABADAB", ">"),
    "masked": Style("dense with a mask", "#6C3903", "d"),
    "stored": Style("dense, scores stored", "#696A6A", "*"),
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
    """The axes given, or those of a new figure, which a notebook shows."""
    return empty_figure().subplots() if ax is None else ax


def empty_figure(width: float = 6.4, height: float = 4.8) -> Figure:
    """A new figure of pyplot, which a notebook shows and a script can show.

    Args:
        width: in inches.
        height: in inches.
    """
    import matplotlib.pyplot as plt  # only here: it has a global state, and looks for a display

    return plt.figure(figsize=(width, height), layout="constrained")


def new_figure(rows: int = 1, columns: int = 1, *, height: float, **ratios: Any) -> Any:
    """A figure `WIDTH` wide for a file, and its axes: one, or an array where there are several.

    Args:
        rows: of panels.
        columns: of panels.
        height: of the whole figure, in inches.
        **ratios: for `Figure.subplots`, such as `width_ratios`.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **ratios)


def new_panels(n: int, *, height: float, columns: int, **shared: Any) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, row by row.

    Args:
        n: how many.
        height: of a row, in inches.
        columns: panels in a row, at most.
        **shared: for `Figure.subplots`, such as `sharex`.
    """
    n_columns = min(n, columns)
    n_rows = -(-n // n_columns)
    figure, grid = new_figure(
        n_rows, n_columns, height=0.4 + height * n_rows, squeeze=False, **shared
    )
    for unused in grid.flat[n:]:
        unused.remove()
    return figure, list(grid.flat[:n])


def one_legend(figure: Figure, place: str = "lower center", **options: Any) -> None:
    """One legend for all panels, outside of them, each label once."""
    handles = {
        label: handle
        for ax in figure.axes
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    outside: Any = f"outside {place}"
    figure.legend(handles.values(), handles.keys(), loc=outside, fontsize=TEXT_SIZE, **options)


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
    ax.set_xlabel(xlabel, fontsize=TEXT_SIZE)
    ax.set_ylabel(ylabel, fontsize=TEXT_SIZE)
    ax.grid(axis=grid, color=GRID_COLOR, linewidth=0.6)  # type: ignore[arg-type]
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=TEXT_SIZE)
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
        fontsize=TEXT_SIZE,
        frameon=False,
    )
