"""Which metrics apply to which predictions, and why one of them can be NaN."""

from collections.abc import Callable, Mapping
from functools import partial
from math import isnan

from sparse_transformers.utils.arrays import Codes, Floats
from sparse_transformers.utils.metrics.calibration import (
    adaptive_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
)
from sparse_transformers.utils.metrics.predictions import Predictions
from sparse_transformers.utils.metrics.probability_scores import (
    brier_score_of,
    negative_log_likelihood_of,
    pr_auc_of,
    roc_auc_of,
)

from . import confusion_metrics as counted

Metric = Callable[[Predictions], float]
CountMetric = Callable[[counted.Counts], float]
ProbabilityMetric = Callable[[Codes, Floats], float]

TWO_CLASS_METRICS: dict[str, CountMetric] = {
    "accuracy": counted.accuracy,
    "precision": counted.precision,
    "recall": counted.recall,
    "f1": counted.f1,
    "specificity": counted.specificity,
    "npv": counted.npv,
    "mcc": counted.mcc,
    "kappa": counted.kappa,
    "truth_detection_rate": counted.recall,
    "false_alarm_rate": counted.false_alarm_rate,
}
TWO_CLASS_SHARES: dict[str, tuple[str, int, int]] = {
    "precision": ("predicted", 1, 1),
    "recall": ("truth", 1, 1),
    "specificity": ("truth", 0, 0),
    "npv": ("predicted", 0, 0),
    "truth_detection_rate": ("truth", 1, 1),
    "false_alarm_rate": ("truth", 0, 1),
}
"""The metrics that are shares: of the rows that one column gives a class, those that the other
column gives a class. Precision: of the rows predicted 1, those that are truly 1."""
ORDINAL_METRICS: dict[str, CountMetric] = {
    "mean_absolute_error": counted.mean_absolute_error,
    "quadratic_kappa": counted.quadratic_kappa,
    "within_one_accuracy": counted.within_one_accuracy,
}
BINNED_METRICS = (
    "expected_calibration_error",
    "maximum_calibration_error",
    "adaptive_calibration_error",
    "positive_class_calibration_error",
)
"""Positive even for a perfectly calibrated model, and more so on a resample of its rows."""

UNDEFINED_WHEN = {
    "precision": "no row was called truthful",
    "recall": "no row is truthful",
    "truth_detection_rate": "no row is truthful",
    "f1": "no row is truthful or was called so",
    "specificity": "no row is untrue",
    "false_alarm_rate": "no row is untrue",
    "npv": "no row was called untrue",
    "mcc": "all rows are of one class, or all were called the same",
    "kappa": "all rows are of one class, and all were called that",
    "quadratic_kappa": "all rows are of one class, and all were called that",
    "roc_auc": "all rows are of one class",
    "pr_auc": "no row is truthful",
    "prediction_consistency": "every prediction is the same",
}
"""The one reason for which each metric can be NaN; those not listed are always defined."""


def explain_undefined(metrics: Mapping[str, float]) -> dict[str, str]:
    """What the data lacked, for each metric that is NaN."""
    return {name: UNDEFINED_WHEN[name] for name, value in metrics.items() if isnan(value)}


def compute_metrics(
    predictions: Predictions, average: str = "weighted", *, ordinal: bool = False
) -> dict[str, float]:
    """The value of each of `applicable_metrics`."""
    metrics = applicable_metrics(predictions, average, ordinal=ordinal)
    return {name: metric(predictions) for name, metric in metrics.items()}


def applicable_metrics(
    predictions: Predictions, average: str = "weighted", *, ordinal: bool = False
) -> dict[str, Metric]:
    """The metrics that apply to predictions of this kind, by name.

    `calculate_truthfulness_metrics` says what each is.

    Args:
        predictions: their number of classes matters, and whether there are probabilities.
        average: over classes, if there are more than two.
        ordinal: whether the classes are steps on a scale.

    Raises:
        ValueError: `average` is unknown.
    """
    counted.check_average(average)
    two_classes = len(predictions.classes) == 2
    from_counts = TWO_CLASS_METRICS if two_classes else _many_class_metrics(average)
    if ordinal:
        from_counts = from_counts | ORDINAL_METRICS
    metrics: dict[str, Metric] = {
        name: partial(_apply_to_counts, metric) for name, metric in from_counts.items()
    }
    if predictions.probabilities is not None:
        metrics |= {
            name: partial(_apply_to_probabilities, metric)
            for name, metric in _probability_metrics(two_classes, average).items()
        }
    return metrics


def _many_class_metrics(average: str) -> dict[str, CountMetric]:
    def averaged(
        by_class: Callable[[counted.Counts], Floats], average: str = average
    ) -> CountMetric:
        return lambda counts: counted.average_over_classes(by_class(counts), counts, average)

    return {
        "accuracy": counted.accuracy,
        "precision": averaged(counted.class_precision),
        "recall": averaged(counted.class_recall),
        "f1": averaged(counted.class_f1),
        "macro_f1": averaged(counted.class_f1, "macro"),
        "mcc": counted.mcc,
        "kappa": counted.kappa,
    }


def _probability_metrics(two_classes: bool, average: str) -> dict[str, ProbabilityMetric]:
    metrics: dict[str, ProbabilityMetric] = {"roc_auc": partial(roc_auc_of, average=average)}
    if two_classes:
        metrics["pr_auc"] = pr_auc_of
    metrics |= {
        "brier_score": brier_score_of,
        "negative_log_likelihood": negative_log_likelihood_of,
        "average_confidence": _average_confidence,
        "expected_calibration_error": _of_codes(expected_calibration_error),
        "maximum_calibration_error": _of_codes(maximum_calibration_error),
        "adaptive_calibration_error": _of_codes(adaptive_calibration_error),
    }
    if two_classes:
        metrics["positive_class_calibration_error"] = _of_codes(
            partial(expected_calibration_error, kind="positive-class")
        )
    return metrics


def _of_codes(metric: Callable[..., float]) -> ProbabilityMetric:
    """A metric of labels, for class numbers."""
    return lambda truth, probabilities: metric(
        truth, probabilities, labels=range(probabilities.shape[1])
    )


def _average_confidence(truth: Codes, probabilities: Floats) -> float:
    return float(probabilities.max(axis=1).mean())


def _apply_to_counts(metric: CountMetric, predictions: Predictions) -> float:
    return metric(predictions.confusion)


def _apply_to_probabilities(metric: ProbabilityMetric, predictions: Predictions) -> float:
    assert predictions.probabilities is not None
    return metric(predictions.truth, predictions.probabilities)
