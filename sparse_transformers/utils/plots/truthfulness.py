"""How well classifiers tell true from false: drawn from numbers that were computed elsewhere."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from sparse_transformers.utils.metrics.roc import RocCurve
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.plots.base import Curve, plot_bars, plot_curves, plot_table
from sparse_transformers.utils.plots.style import (
    COLORS,
    DASHES,
    REFERENCE_COLOR,
    Style,
    legend_below,
    new_axes,
)
from sparse_transformers.utils.texts import check_list

NO_MARKER = ""
UNIT_LIMITS = (-0.01, 1.01)


def plot_roc(
    curves: Mapping[str, RocCurve],
    *,
    ceiling: RocCurve | None = None,
    title: str = "ROC curve",
    ax: Axes | None = None,
) -> Axes:
    """Draw ROC curves with their bands, the diagonal of chance, and the best curve possible.

    Args:
        curves: by name of the model, as `roc_with_band` computes them.
        ceiling: the curve of the Bayes classifier on the same rows; None where it is not known.
        title: above the axes.
        ax: where to draw; None makes a new figure.
    """
    ax = new_axes(ax)
    lines = []
    for (name, curve), color in zip(curves.items(), cycle(COLORS), strict=False):
        ax.fill_between(curve.fpr, curve.low, curve.high, color=color, alpha=0.18, linewidth=0)
        lines.append(_roc_line(curve, Style(f"{name}:\nAUC {curve.auc}", color, NO_MARKER)))
    if ceiling is not None:
        label = f"Bayes classifier: AUC {ceiling.auc.estimate:.3f}"
        lines.append(_roc_line(ceiling, Style(label, "black", NO_MARKER), dashed=True))
    plot_curves(
        lines,
        title=title,
        xlabel="false positives among negatives",
        ylabel="true positives among positives",
        ax=ax,
    )
    ax.plot([0, 1], [0, 1], color=REFERENCE_COLOR, linestyle=":", linewidth=1, label="chance")
    ax.set(xlim=UNIT_LIMITS, ylim=UNIT_LIMITS, aspect="equal")
    legend_below(ax, *ax.get_legend_handles_labels(), ncols=1)
    return ax


def plot_confusion_matrix(
    counts: ArrayLike,
    labels: Sequence[str],
    *,
    title: str = "Confusion matrix",
    ax: Axes | None = None,
) -> Axes:
    """Draw how often each class was predicted as each: counts, coloured by share of the true class.

    Args:
        counts: (classes, classes), a row for each true class; a row without counts is hatched.
        labels: names of the classes.
        title: above the axes.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: `counts` is empty, is not square, or has not a row for each label.
    """
    check_list(labels=labels)
    matrix = np.asarray(counts)
    if matrix.shape != (len(labels), len(labels)):
        raise ValueError(
            f"counts must have {len(labels)} rows and columns, one per label, got {matrix.shape}"
        )
    totals = matrix.sum(axis=1)
    if not np.any(totals):
        raise ValueError("counts must hold at least one prediction, got none")
    shares = [
        [count / total if total else None for count in row]
        for row, total in zip(matrix, totals, strict=True)
    ]
    texts = [
        [f"{count:,}\n{count / max(total, 1):.0%}" for count in row]
        for row, total in zip(matrix, totals, strict=True)
    ]
    rows = [f"{label}\n(n={total:,})" for label, total in zip(labels, totals, strict=True)]
    ax = plot_table(
        shares,
        texts,
        rows=rows,
        columns=labels,
        title=title,
        xlabel="predicted class",
        limits=(0, max(share for row in shares for share in row if share is not None)),
        cmap="Blues",
        ax=ax,
    )
    ax.set_ylabel("true class")
    if len(labels) > 3:
        ax.set_xticks(ax.get_xticks(), labels, rotation=30, ha="right", rotation_mode="anchor")
    return ax


def plot_metric_bars(
    scores: Mapping[str, Interval],
    *,
    references: Mapping[str, float] | None = None,
    colors: Mapping[str, str] | None = None,
    title: str,
    xlabel: str,
    ax: Axes | None = None,
) -> Axes:
    """Draw one measure of several models with intervals, and reference values as lines.

    Args:
        scores: by name of the model, from the top.
        references: by name, such as the majority class or the Bayes classifier.
        colors: by name of the model; None gives each its own.
        title: above the axes.
        xlabel: what the measure is.
        ax: where to draw; None makes a new figure.
    """
    colors = colors or dict(zip(scores, cycle(COLORS), strict=False))
    ax = plot_bars(
        list(scores),
        {xlabel: [score.estimate for score in scores.values()]},
        colors={xlabel: [colors[name] for name in scores]},
        title=title,
        xlabel=xlabel,
        number="{:.3f}",
        intervals={xlabel: [(score.low, score.high) for score in scores.values()]},
        ax=ax,
    )
    ax.margins(x=0.18)  # room for the numbers
    lines = [
        ax.axvline(
            value, color="black", linestyle=dashes, linewidth=1, label=f"{name}: {value:.3f}"
        )
        for (name, value), dashes in zip((references or {}).items(), cycle(DASHES), strict=False)
    ]
    for number in ax.texts:  # readable where a line crosses it
        number.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    if lines:
        legend_below(ax, lines, [str(line.get_label()) for line in lines], ncols=1)
    return ax


def _roc_line(curve: RocCurve, style: Style, *, dashed: bool = False) -> Curve:
    return Curve(style, x=[0, *curve.fpr], y=[0, *curve.tpr], dashed=dashed)
