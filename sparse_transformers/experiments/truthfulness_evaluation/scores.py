"""What figures and tables need of a classifier's probabilities, with error bars."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparse_transformers.utils.arrays import Codes, Probabilities
from sparse_transformers.utils.metrics.calibration import (
    CalibrationNull,
    ReliabilityDiagram,
    calibration_null,
    reliability_diagram,
)
from sparse_transformers.utils.metrics.confusion_metrics import (
    accuracy,
    average_over_classes,
    class_f1,
    mean_absolute_error,
    quadratic_kappa,
    within_one_accuracy,
)
from sparse_transformers.utils.metrics.resampling import bootstrap_values, percentile_limits
from sparse_transformers.utils.metrics.roc import RocCurve, roc_with_band
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.metrics.thresholds import ThresholdTable, threshold_analysis

CONFIDENCE = 0.95
THRESHOLDS = tuple(number / 50 for number in range(51))


@dataclass(frozen=True)
class OrdinalScores:
    """How far off the steps of a scale are."""

    mean_absolute_error: Interval
    quadratic_kappa: Interval
    within_one: Interval


@dataclass(frozen=True)
class BinaryScores:
    """What two classes allow to ask besides; the second one is positive."""

    roc: RocCurve
    thresholds: ThresholdTable


@dataclass(frozen=True)
class ClaimScores:
    """How well probabilities fit the truth.

    Attributes:
        accuracy: share of rows whose most probable class is the true one.
        macro_f1: mean F1 of the classes.
        loss_nats: mean cross-entropy; None if a true class had the probability 0.
        confusion: counts, a row for each true class, a column for each predicted one.
        calibration: the expected calibration error beside that of a calibrated model; of the most
            probable class, or of the positive one of two.
        reliability: of the same, in bins of equally many rows.
        binary: for two classes.
        ordinal: for classes that are steps.
    """

    accuracy: Interval
    macro_f1: Interval
    loss_nats: float | None
    confusion: tuple[tuple[int, ...], ...]
    calibration: CalibrationNull
    reliability: ReliabilityDiagram
    binary: BinaryScores | None
    ordinal: OrdinalScores | None


def score_claims(
    targets: Codes,
    probabilities: Probabilities,
    *,
    groups: Sequence[str],
    ordinal: bool,
    n_resamples: int,
    n_bins: int = 10,
    seed: int = 0,
) -> ClaimScores:
    """Compare probabilities with the truth.

    Args:
        targets: class numbers, (rows,).
        probabilities: (rows, classes).
        groups: the group of each row; whole groups are resampled.
        ordinal: whether the classes are steps of a scale.
        n_resamples: for intervals and for the calibration of a calibrated model.
        n_bins: of the calibration error and the reliability diagram.
        seed: of the resamples.

    Raises:
        ValueError: there are fewer than two groups, or of two classes only one occurs.
    """
    n_classes = probabilities.shape[1]
    predicted = probabilities.argmax(1)
    kind = "positive-class" if n_classes == 2 else "top-label"
    labels = range(n_classes)
    of_truth = probabilities[np.arange(len(targets)), targets]
    measures = _count_measures(targets, predicted, n_classes, ordinal, groups, n_resamples, seed)
    binary = None
    if n_classes == 2:
        positive = probabilities[:, 1]
        binary = BinaryScores(
            roc=roc_with_band(
                targets, positive, groups=groups, n_points=51, n_resamples=n_resamples, seed=seed
            ),
            thresholds=threshold_analysis(targets, positive, thresholds=THRESHOLDS),
        )
    return ClaimScores(
        accuracy=measures[0],
        macro_f1=measures[1],
        loss_nats=float(-np.log(of_truth).mean()) if of_truth.all() else None,
        confusion=tuple(map(tuple, confusion_counts(targets, predicted, n_classes).tolist())),
        calibration=calibration_null(
            targets,
            probabilities,
            kind=kind,
            n_bins=n_bins,
            n_simulations=n_resamples,
            labels=labels,
            seed=seed,
        ),
        reliability=reliability_diagram(
            targets, probabilities, kind=kind, n_bins=n_bins, binning="mass", labels=labels
        ),
        binary=binary,
        ordinal=OrdinalScores(*measures[2:]) if ordinal else None,
    )


def confusion_counts(targets: Codes, predicted: Codes, n_classes: int) -> NDArray[np.int64]:
    """How often each class (row) was called what (column)."""
    pairs = np.bincount(targets * n_classes + predicted, minlength=n_classes**2)
    return pairs.reshape(n_classes, n_classes)


def _count_measures(
    targets: Codes,
    predicted: Codes,
    n_classes: int,
    ordinal: bool,
    groups: Sequence[str],
    n_resamples: int,
    seed: int,
) -> list[Interval]:
    """Accuracy, macro F1 and the ordinal measures, all on the same resamples."""

    def measure(targets: Codes, predicted: Codes) -> NDArray[np.float64]:
        counts = confusion_counts(targets, predicted, n_classes)
        values = [accuracy(counts), average_over_classes(class_f1(counts), counts, "macro")]
        if ordinal:
            steps = (mean_absolute_error, quadratic_kappa, within_one_accuracy)
            values += [step_measure(counts) for step_measure in steps]
        return np.array(values)

    resampled = bootstrap_values(
        measure, targets, predicted, groups=list(groups), n_resamples=n_resamples, seed=seed
    )
    low, high = percentile_limits(resampled, CONFIDENCE)
    return [
        Interval(float(estimate), float(lower), float(upper), CONFIDENCE)
        for estimate, lower, upper in zip(measure(targets, predicted), low, high, strict=True)
    ]
