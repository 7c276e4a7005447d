"""Pictures of masks, tiles and attention weights, from arrays."""

import io
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from sparse_transformers.utils.plots.base import ALLOWED_COLOR, FORBIDDEN_COLOR
from sparse_transformers.utils.plots.style import TEXT_SIZE, empty_figure, new_axes

PARTIAL_COLOR = "#7FA6CC"
SHADES = LinearSegmentedColormap.from_list("allowed", [FORBIDDEN_COLOR, ALLOWED_COLOR])
MAX_LABELLED = 48
"""Tokens that can have a label each at the axes of a picture."""


def plot_mask(mask: "ArrayLike", *, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw which keys (columns) each query (row) sees.

    Args:
        mask: (queries, keys), true where a query sees a key; or the share of several masks that
            are true, from 0 to 1.
        title: above the axes.
        ax: where to draw; None makes a new figure.
    """
    ax = new_axes(ax)
    shares = np.asarray(mask, dtype=float)
    ax.imshow(shares, cmap=SHADES, vmin=0, vmax=1, interpolation="nearest")
    return _name_axes(ax, title, "key position", "query position")


def plot_tiles(
    tiles: "ArrayLike", block_size: int, *, title: str = "", ax: Axes | None = None
) -> Axes:
    """Draw the tiles that a kernel visits.

    Args:
        tiles: (rows, columns), 0 for an empty tile, 1 for a partial, 2 for a full one.
        block_size: edge of a tile, in positions.
        title: above the axes.
        ax: where to draw; None makes a new figure.
    """
    ax = new_axes(ax)
    colors = (FORBIDDEN_COLOR, PARTIAL_COLOR, ALLOWED_COLOR)
    rows, columns = np.shape(tiles)
    ax.imshow(
        np.asarray(tiles),
        cmap=ListedColormap(colors),
        vmin=0,
        vmax=2,
        interpolation="nearest",
        extent=(0, columns * block_size, rows * block_size, 0),
    )
    meanings = ("skipped", "visited, with a mask", "visited, all pairs allowed")
    handles = [Patch(facecolor=c, label=text) for c, text in zip(colors, meanings, strict=True)]
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        fontsize=TEXT_SIZE,
        frameon=False,
    )
    return _name_axes(ax, title, "key position", "query position")


def plot_heads(
    weights: "ArrayLike", tokens: Sequence[str], *, title: str = "", figure: Figure | None = None
) -> list[Axes]:
    """Draw the attention weights of the heads of a layer side by side.

    Args:
        weights: (heads, queries, keys); the rows of each head sum to 1.
        tokens: what stands at each position.
        title: above all heads.
        figure: where to draw; None makes a new figure.

    Returns:
        The axes of the heads.
    """
    heads = np.asarray(weights, dtype=float)
    n_columns = min(4, len(heads))
    n_rows = -(-len(heads) // n_columns)
    if figure is None:
        edge = max(2.6, 0.14 * min(len(tokens), MAX_LABELLED))
        figure = empty_figure(max(4.0, edge * n_columns), (edge + 0.3) * n_rows + 0.4)
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True).flat
    for number, ax in enumerate(axes):
        if number >= len(heads):
            ax.remove()
            continue
        ax.imshow(heads[number], cmap="viridis", vmin=0, interpolation="nearest")
        ax.set_title(f"head {number}", fontsize=TEXT_SIZE)
        if len(tokens) <= MAX_LABELLED:
            places = np.arange(len(tokens))
            size = min(TEXT_SIZE, 150 / len(tokens))
            ax.set_xticks(places, tokens, fontsize=size, family="monospace")
            ax.set_yticks(places, tokens, fontsize=size, family="monospace")
    figure.suptitle(title, fontsize=10)
    figure.supxlabel("key", fontsize=TEXT_SIZE)
    figure.supylabel("query", fontsize=TEXT_SIZE)
    return list(figure.axes)


def as_png(draw: Any) -> bytes:
    """What `draw(ax)` draws, as the bytes of a picture. No window opens, and no state changes."""
    figure = Figure(figsize=(4.2, 4.4), layout="constrained")
    draw(figure.subplots())
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    return picture.getvalue()


def _name_axes(ax: Axes, title: str, xlabel: str, ylabel: str) -> Axes:
    ax.set_title("\n".join(wrap(title, 52)[:2]), fontsize=10)
    ax.set_xlabel(xlabel, fontsize=TEXT_SIZE)
    ax.set_ylabel(ylabel, fontsize=TEXT_SIZE)
    ax.tick_params(labelsize=TEXT_SIZE)
    return ax
