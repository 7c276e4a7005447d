"""Calibration and thresholds of probabilities: drawn from numbers that were computed elsewhere."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes

from sparse_transformers.utils.metrics.calibration import CalibrationNull, ReliabilityDiagram
from sparse_transformers.utils.metrics.thresholds import ThresholdChoice, ThresholdTable
from sparse_transformers.utils.plots.base import Curve, plot_curves
from sparse_transformers.utils.plots.style import (
    COLORS,
    REFERENCE_COLOR,
    Style,
    legend_below,
    new_axes,
)
from sparse_transformers.utils.plots.truthfulness import NO_MARKER, UNIT_LIMITS

MEASURES = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "mcc": "MCC",
    "accuracy": "accuracy",
    "cost": "mean cost",
}
AXES_OF_KIND = {
    "top-label": ("probability of the predicted class", "share of rows predicted right"),
    "positive-class": ("probability of the positive class", "share of positive rows"),
}
CRITERIA = {**MEASURES, "recall": "precision at fixed recall"}


def plot_reliability(
    diagram: ReliabilityDiagram,
    *,
    null: CalibrationNull | None = None,
    title: str = "Reliability diagram",
    ax: Axes | None = None,
) -> Axes:
    """Draw the accuracy in each bin over its confidence, and how many rows each bin holds.

    Args:
        diagram: as `reliability_diagram` computes it.
        null: the calibration error beside that of a calibrated model, for the legend.
        title: above the axes.
        ax: where to draw; None makes a new figure.
    """
    ax = new_axes(ax)
    bins = diagram.bins
    total = sum(each.count for each in bins)
    confidences = [each.confidence for each in bins]
    shares = [each.count / total for each in bins]
    label = f"share of the {total:,} rows in the bin"
    ax.vlines(confidences, 0, shares, color="#C3CCD8", linewidth=5, label=label)
    model, calibrated = "model", "if calibrated"
    if null is not None:
        model += f": ECE {null.error:.3f}"
        calibrated += (
            f": ECE {null.null_mean:.3f}, {null.confidence:.0%} below {null.null_high:.3f}"
        )
    ax.plot([0, 1], [0, 1], color=REFERENCE_COLOR, linestyle="--", linewidth=1, label=calibrated)
    points = Curve(
        Style(model, COLORS[0]),
        x=confidences,
        y=[each.accuracy for each in bins],
        low=[each.accuracy_low for each in bins],
        high=[each.accuracy_high for each in bins],
    )
    xlabel, ylabel = AXES_OF_KIND[diagram.kind]
    plot_curves([points], title=title, xlabel=xlabel, ylabel=ylabel, ax=ax)
    ax.set(xlim=UNIT_LIMITS, ylim=UNIT_LIMITS)
    legend_below(ax, *ax.get_legend_handles_labels(), ncols=1)
    return ax


def plot_threshold_curves(
    table: ThresholdTable,
    *,
    chosen: ThresholdChoice | None = None,
    measures: Sequence[str] = ("precision", "recall", "f1", "accuracy"),
    title: str = "Measures over the threshold",
    ax: Axes | None = None,
) -> Axes:
    """Draw measures over the threshold, and mark a chosen one.

    Args:
        table: as `threshold_analysis` computes it.
        chosen: as `choose_threshold` computes it, on validation data.
        measures: fields of the table.
        title: above the axes.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: a measure is unknown.
    """
    unknown = set(measures) - set(MEASURES)
    if unknown:
        raise ValueError(f"measures must be among {', '.join(MEASURES)}, got {sorted(unknown)}")
    curves = [
        Curve(
            Style(MEASURES[measure], color, NO_MARKER),
            x=table.thresholds,
            y=np.array(getattr(table, measure), dtype=float).tolist(),
        )
        for measure, color in zip(measures, cycle(COLORS), strict=False)
    ]
    xlabel = "threshold on the probability"
    ax = plot_curves(curves, title=title, xlabel=xlabel, ylabel="measure", ax=ax)
    if chosen is not None:
        label = f"chosen by {CRITERIA[chosen.criterion]}: {chosen.threshold:.3f}"
        ax.axvline(chosen.threshold, color="black", linestyle="--", linewidth=1, label=label)
    legend_below(ax, *ax.get_legend_handles_labels())
    return ax
