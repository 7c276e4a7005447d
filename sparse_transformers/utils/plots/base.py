"""Curves, bars and tables that know nothing of experiments: axes in, axes out, nothing saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, NullLocator

from sparse_transformers.utils.plots.style import GRID_COLOR, MARKERS, TEXT_SIZE, Style, new_axes

FUTURE_COLOR, FORBIDDEN_COLOR, ALLOWED_COLOR = "#FFFFFF", "#DDE3EA", "#0B4F8A"
LUMINANCE = (0.299, 0.587, 0.114)
"""How much red, green and blue add to the brightness of a colour."""
HATCHED: dict[str, Any] = {
    "facecolor": "#F4F4F4",
    "edgecolor": "#CCCCCC",
    "hatch": "///",
    "linewidth": 0,
}
"""How a cell without a number looks."""


@dataclass(frozen=True)
class Curve:
    """A line of points, with the interval of each point where it is known.

    Attributes:
        style: its colour, its marker and its name in the legend.
        x: of its points.
        y: of its points.
        low: the lower end of each point's interval.
        high: the upper end.
        label: in the legend, instead of the style's.
        dashed: whether the line is.
    """

    style: Style
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    label: str | None = None
    dashed: bool = False


def plot_picture(
    picture: Sequence[str], characters: str, *, title: str, ax: Axes | None = None
) -> Axes:
    """Draw which keys every query sees.

    Args:
        picture: one string for each query, one character for each key.
        characters: the three characters that mean allowed, forbidden, and later than the query.
        title: above the axes.
        ax: where to draw; None makes a new figure.
    """
    ax = new_axes(ax)
    codes = np.array([[characters.index(each) for each in row] for row in picture])
    colors = ListedColormap([ALLOWED_COLOR, FORBIDDEN_COLOR, FUTURE_COLOR])
    ax.imshow(codes, cmap=colors, vmin=0, vmax=2, interpolation="nearest")
    ax.set_title(title, fontsize=TEXT_SIZE)
    ticks = [0, len(picture) // 2, len(picture) - 1]
    ax.set_xticks(ticks)
    ax.set_yticks(ticks)
    ax.tick_params(labelsize=TEXT_SIZE)
    return ax


def picture_legend() -> list[Patch]:
    """The handles of a legend for `plot_picture`."""
    meanings = {
        ALLOWED_COLOR: "the query may attend to the key",
        FORBIDDEN_COLOR: "skipped by the pattern",
        FUTURE_COLOR: "later than the query: forbidden to all",
    }
    return [
        Patch(facecolor=color, edgecolor="#888888", linewidth=0.6, label=meaning)
        for color, meaning in meanings.items()
    ]


def plot_curves(
    curves: Sequence[Curve],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    log_x: bool = False,
    log_y: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw lines with a marker at every point, and the interval of each point as a whisker."""
    ax = new_axes(ax)
    for curve in curves:
        error = None
        if curve.low is not None and curve.high is not None:
            y = np.asarray(curve.y)
            error = np.abs(np.stack([y - np.asarray(curve.low), np.asarray(curve.high) - y]))
        ax.errorbar(
            curve.x,
            curve.y,
            yerr=error,
            color=curve.style.color,
            marker=curve.style.marker,
            markersize=5,
            linewidth=1.6,
            linestyle="--" if curve.dashed else "-",
            capsize=2,
            label=curve.label or curve.style.label,
        )
    if log_x:
        ax.set_xscale("log", base=2)
        ax.set_xticks(sorted({x for curve in curves for x in curve.x}))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short_count(x)))
    if log_y:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.10g}"))
    ax.set_title(title, fontsize=10)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.grid(color=GRID_COLOR, linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def plot_bars(
    groups: Sequence[str],
    bars: Mapping[str, Sequence[float | None]],
    *,
    colors: Mapping[str, str | Sequence[str]],
    title: str,
    xlabel: str,
    number: str = "{:.1f}",
    intervals: Mapping[str, Sequence[tuple[float, float] | None]] | None = None,
    missing: str = "not measured",
    ax: Axes | None = None,
) -> Axes:
    """Draw horizontal bars, those of one group together, the first group on top.

    Args:
        groups: the names on the vertical axis.
        bars: for each kind of bar, its length in every group; None where it was not measured.
        colors: of each kind of bar, one for all groups or one for each.
        title: above the axes.
        xlabel: what the length means, with its unit.
        number: how the number at the end of a bar is written.
        intervals: for a kind of bar, the interval around each length.
        missing: what stands in the place of a bar without a length.
        ax: where to draw; None makes a new figure.
    """
    ax = new_axes(ax)
    height = 0.8 / len(bars)
    for nth, (kind, lengths) in enumerate(bars.items()):
        places = np.arange(len(groups)) + (nth - (len(bars) - 1) / 2) * height
        known = [0.0 if length is None else length for length in lengths]
        ax.barh(places, known, height * 0.9, color=colors[kind], label=kind)
        spans = (intervals or {}).get(kind, [None] * len(groups))
        for place, length, span in zip(places, lengths, spans, strict=True):
            end = length or 0.0
            if span is not None:
                ax.plot(span, [place, place], color="#444444", linewidth=1)
                end = max(end, span[1])
            text = missing if length is None else number.format(length)
            _write_beside(ax, text, (end, place))
    ax.margins(x=0.15)  # room for the numbers
    return _finish_groups(ax, groups, title, xlabel)


def plot_dots(
    groups: Sequence[str],
    dots: Mapping[str, Sequence[Sequence[float]]],
    *,
    colors: Mapping[str, str],
    title: str,
    xlabel: str,
    number: str | None = None,
    log_x: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw dots, those of one group below each other, the first group on top.

    Unlike bars, they may stand on a logarithmic axis, which has no zero to begin at.

    Args:
        groups: the names on the vertical axis.
        dots: for each kind of dot, its places in every group: one, or one for each seed; none where
            nothing was measured.
        colors: of each kind of dot.
        title: above the axes.
        xlabel: what the places mean, with the unit.
        number: how the mean of some dots is written beside them; None leaves it out.
        log_x: use a logarithmic axis.
        ax: where to draw; None makes a new figure.
    """
    ax = new_axes(ax)
    distance = 0.8 / len(dots)
    for nth, ((kind, places), marker) in enumerate(zip(dots.items(), cycle(MARKERS), strict=False)):
        row = (nth - (len(dots) - 1) / 2) * distance
        points = [(x, group + row) for group, of_group in enumerate(places) for x in of_group]
        x, y = zip(*points, strict=True) if points else ((), ())
        ax.plot(x, y, marker, color=colors[kind], markersize=6, label=kind)
        for group, of_group in enumerate(places):
            if number is not None and of_group:
                text, end = number.format(np.mean(of_group)), (max(of_group), group + row)
                _write_beside(ax, text, end)
    for border in range(1, len(groups)):
        ax.axhline(border - 0.5, color=GRID_COLOR, linewidth=0.8)
    if log_x:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    ax.set_ylim(-0.5, len(groups) - 0.5)
    return _finish_groups(ax, groups, title, xlabel)


def _write_beside(ax: Axes, text: str, end: tuple[float, float]) -> None:
    """Write to the right of where something ends."""
    ax.annotate(
        text, end, xytext=(4, 0), textcoords="offset points", va="center", fontsize=TEXT_SIZE
    )


def _finish_groups(ax: Axes, groups: Sequence[str], title: str, xlabel: str) -> Axes:
    ax.set_yticks(range(len(groups)), groups)
    ax.invert_yaxis()
    ax.set_title(title, fontsize=10)
    ax.set_xlabel(xlabel)
    ax.grid(axis="x", color=GRID_COLOR, linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def plot_table(
    values: Sequence[Sequence[float | None]],
    texts: Sequence[Sequence[str]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    xlabel: str = "",
    log: bool = False,
    limits: tuple[float, float] | None = None,
    cmap: str = "cividis",
    ax: Axes | None = None,
) -> Axes:
    """Draw numbers as coloured cells with their text in them; None is a hatched, empty cell.

    Args:
        values: what the colours mean, row by row.
        texts: what stands in the cells.
        rows: names of the rows, from the top.
        columns: names of the columns.
        title: above the axes.
        xlabel: what the columns are.
        log: colour by the logarithm.
        limits: the values at the ends of the colour map; by default those of the data.
        cmap: a perceptually uniform colour map.
        ax: where to draw; None makes a new figure.
    """
    import seaborn as sns  # slow to import

    ax = new_axes(ax)
    grid = np.array([[np.nan if v is None else v for v in row] for row in values], dtype=float)
    low, high = limits or (np.nanmin(grid), np.nanmax(grid))
    sns.heatmap(
        grid,
        mask=np.isnan(grid),
        annot=np.array(texts),
        fmt="",
        annot_kws={"fontsize": TEXT_SIZE},
        norm=LogNorm(low, high) if log else Normalize(low, high),
        cmap=cmap,
        cbar=False,
        xticklabels=columns,
        yticklabels=rows,
        ax=ax,
    )
    # White on a cell of middle brightness, as seaborn has it, is hard to read.
    cells = ax.collections[-1].to_rgba(grid)[~np.isnan(grid)]
    for text, cell in zip(ax.texts[-len(cells) :], cells, strict=True):
        text.set_color("black" if np.dot(cell[:3], LUMINANCE) > 0.5 else "white")
    for row, column in np.argwhere(np.isnan(grid)):
        ax.add_patch(Rectangle((column, row), 1, 1, **HATCHED))
    ax.tick_params(length=0, labelsize=TEXT_SIZE, labelrotation=0)
    ax.set_title(title, fontsize=10)
    ax.set_xlabel(xlabel)
    return ax


def short_count(number: float) -> str:
    """A count in at most four characters or so: 512, 4k, 1M, in powers of two."""
    for unit, size in (("M", 1 << 20), ("k", 1 << 10)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.4g}"


def short_bytes(number: float) -> str:
    """Bytes with a binary unit and three digits: 8 KiB, 1.5 MiB."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} B"
