"""What figures and tables need of a classifier's probabilities, with error bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
N_BINS = 10
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

    @property
    def is_miscalibrated(self) -> bool:
        """Whether the calibration error is above that of nearly all calibrated models."""
        return self.calibration.error > self.calibration.null_high


def score_claims(
    targets: Codes,
    probabilities: Probabilities,
    *,
    groups: Sequence[str],
    ordinal: bool,
    n_resamples: int,
    seed: int = 0,
) -> ClaimScores:
    """Compare probabilities with the truth.

    Args:
        targets: class numbers, (rows,).
        probabilities: (rows, classes).
        groups: the group of each row; whole groups are resampled.
        ordinal: whether the classes are steps of a scale.
        n_resamples: for intervals and for the calibration of a calibrated model.
        seed: of the resamples.

    Raises:
        ValueError: there are fewer than two groups, or of two classes only one occurs.
    """
    n_classes = probabilities.shape[1]
    is_binary = n_classes == 2
    predicted = probabilities.argmax(1)
    of_truth = probabilities[np.arange(len(targets)), targets]
    binned: Any = {
        "kind": "positive-class" if is_binary else "top-label",
        "n_bins": N_BINS,
        "labels": range(n_classes),
    }
    resampling: Any = {"groups": list(groups), "n_resamples": n_resamples, "seed": seed}

    def count(targets: Codes, predicted: Codes) -> NDArray[np.int64]:
        pairs = np.bincount(targets * n_classes + predicted, minlength=n_classes**2)
        return pairs.reshape(n_classes, n_classes)

    def measure(targets: Codes, predicted: Codes) -> NDArray[np.float64]:
        counts = count(targets, predicted)
        values = [accuracy(counts), average_over_classes(class_f1(counts), counts, "macro")]
        if ordinal:
            steps = (mean_absolute_error, quadratic_kappa, within_one_accuracy)
            values += [step_measure(counts) for step_measure in steps]
        return np.array(values)

    resampled = bootstrap_values(measure, targets, predicted, **resampling)
    measured = (measure(targets, predicted), *percentile_limits(resampled, CONFIDENCE))
    intervals = [
        Interval(float(estimate), float(low), float(high), CONFIDENCE)
        for estimate, low, high in zip(*measured, strict=True)
    ]
    return ClaimScores(
        accuracy=intervals[0],
        macro_f1=intervals[1],
        loss_nats=float(-np.log(of_truth).mean()) if of_truth.all() else None,
        confusion=tuple(map(tuple, count(targets, predicted).tolist())),
        calibration=calibration_null(
            targets, probabilities, n_simulations=n_resamples, seed=seed, **binned
        ),
        reliability=reliability_diagram(targets, probabilities, binning="mass", **binned),
        binary=BinaryScores(
            roc_with_band(targets, probabilities[:, 1], n_points=51, **resampling),
            threshold_analysis(targets, probabilities[:, 1], thresholds=THRESHOLDS),
        )
        if is_binary
        else None,
        ordinal=OrdinalScores(*intervals[2:]) if ordinal else None,
    )
