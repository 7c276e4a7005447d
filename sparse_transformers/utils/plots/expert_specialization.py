"""What experts have specialised in, and how alike they are: drawn from numbers computed before."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from sparse_transformers.utils.plots.base import plot_dots, plot_table
from sparse_transformers.utils.plots.expert_load import MOST_NUMBERED_EXPERTS, variant_colors
from sparse_transformers.utils.plots.style import finish
from sparse_transformers.utils.texts import check_list


def plot_specialization(
    scores: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    colors: Mapping[str, str] | None = None,
    title: str = "Specialization beside its controls",
    xlabel: str = "chance-corrected mutual information of expert and class",
    ax: Axes | None = None,
) -> Axes:
    """Draw a dot for the score of each seed and write the means, those of one class together.

    Args:
        scores: by variant (the trained router, then its controls), by kind of class (such as
            "token", "position"): of each seed. 0 is chance. A kind that a variant lacks was not
            measured, and is left out.
        colors: of the variants.
        title: above the axes.
        xlabel: what the score is.
        ax: where to draw; None makes a new figure. A score needs some 0.16 inches of height.

    Raises:
        ValueError: there is nothing to draw.
    """
    kinds = list(dict.fromkeys(kind for of_variant in scores.values() for kind in of_variant))
    if not kinds:
        raise ValueError(f"scores must hold at least one score, got {dict(scores)}")
    ax = plot_dots(
        kinds,
        {name: [of_kind.get(kind, []) for kind in kinds] for name, of_kind in scores.items()},
        colors=variant_colors(scores, colors),
        title=title,
        xlabel=xlabel,
        number="{:.2f}",
        ax=ax,
    )
    ax.axvline(0, color="black", linestyle="--", linewidth=1, label="chance")
    ax.margins(x=0.1)
    return finish(ax, title, xlabel, "", grid="x")


def plot_expert_similarity(
    similarity: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    title: str = "Similarity of the experts",
    xlabel: str = "expert",
    ylabel: str = "expert",
    ax: Axes | None = None,
) -> Axes:
    """Draw a table of experts by experts: how alike they are, or how often they act together.

    Args:
        similarity: (experts, experts), at most 1; None or NaN cells are hatched.
        names: of the experts; their numbers by default.
        title: above the axes.
        xlabel: what the columns are.
        ylabel: what the rows are.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: `similarity` is not square, or holds no number, or has not a name for each row.
    """
    check_list(names=names)
    table = np.asarray(similarity, dtype=float)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not np.isfinite(table).any():
        raise ValueError(
            f"similarity must be (experts, experts) and hold a number, got shape {table.shape}"
        )
    labels = [str(expert) for expert in range(len(table))] if names is None else list(names)
    if len(labels) != len(table):
        raise ValueError(f"names must hold {len(table)}, one for each expert, got {len(labels)}")
    form = "{:.2f}" if len(table) <= MOST_NUMBERED_EXPERTS else ""
    ax = plot_table(
        [[None if np.isnan(cell) else float(cell) for cell in row] for row in table],
        [[form.format(cell) for cell in row] for row in table],
        rows=labels,
        columns=labels,
        title=title,
        xlabel=xlabel,
        limits=(min(0.0, float(np.nanmin(table))), 1.0),
        ax=ax,
    )
    ax.set_ylabel(ylabel)
    if max(map(len, labels)) > 3:
        ax.set_xticks(ax.get_xticks(), labels, rotation=30, ha="right", rotation_mode="anchor")
    return ax
