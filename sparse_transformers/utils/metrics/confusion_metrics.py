"""Every metric that needs counts only, as a function of a confusion matrix.

The matrix is (classes, classes): entry i, j counts the rows of class i that were called class j.
Where there are two classes, the second is the positive one. The counts must not all be 0.

A ratio of 0 to 0 is NaN: it says that the data cannot tell. An average over classes follows
scikit-learn's default: it runs over the classes that occur or are predicted, and among these a
ratio of 0 to 0 counts 0, since otherwise a classifier could raise its precision by never
predicting a difficult class. Resampling calls these functions thousands of times, which is why
they start from counts.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_transformers.utils.arrays import Floats

Counts = NDArray[np.int64]

AVERAGES = ("weighted", "macro")


def ratio(numerator: float, denominator: float) -> float:
    """The quotient; NaN if the denominator is 0."""
    return float(numerator / denominator) if denominator else float("nan")


def accuracy(counts: Counts) -> float:
    """The share of rows that were called what they are."""
    return ratio(np.trace(counts), counts.sum())


def precision(counts: Counts) -> float:
    """The share of the rows called positive that are."""
    return ratio(counts[1, 1], counts[:, 1].sum())


def recall(counts: Counts) -> float:
    """The share of the positive rows that were called so: of true statements, those believed."""
    return ratio(counts[1, 1], counts[1].sum())


def f1(counts: Counts) -> float:
    """The harmonic mean of precision and recall of the positive class."""
    return ratio(2 * counts[1, 1], counts[1].sum() + counts[:, 1].sum())


def specificity(counts: Counts) -> float:
    """The share of the negative rows that were called so."""
    return ratio(counts[0, 0], counts[0].sum())


def npv(counts: Counts) -> float:
    """Negative predictive value: the share of the rows called negative that are."""
    return ratio(counts[0, 0], counts[:, 0].sum())


def false_alarm_rate(counts: Counts) -> float:
    """The share of the negative rows that were called positive: of false statements, believed."""
    return ratio(counts[0, 1], counts[0].sum())


def mcc(counts: Counts) -> float:
    """Matthews' correlation coefficient, for any number of classes.

    Source: Gorodkin 2004, Computational Biology and Chemistry 28(5-6).
    """
    true, called = _margins(counts)
    total = true.sum()
    covariance = np.trace(counts) * total - true @ called
    spread = (total**2 - true @ true) * (total**2 - called @ called)
    return ratio(covariance, np.sqrt(spread))


def kappa(counts: Counts) -> float:
    """Cohen's kappa: agreement beyond what the two distributions of labels give by chance.

    Source: Cohen 1960, Educational and Psychological Measurement 20(1).
    """
    return _weighted_kappa(counts, _steps(counts) > 0)


def quadratic_kappa(counts: Counts) -> float:
    """Cohen's kappa where a disagreement counts by the square of its steps on the scale.

    Source: Cohen 1968, Psychological Bulletin 70(4).
    """
    return _weighted_kappa(counts, _steps(counts) ** 2)


def mean_absolute_error(counts: Counts) -> float:
    """The mean distance between truth and prediction, in steps on the scale."""
    return ratio((counts * _steps(counts)).sum(), counts.sum())


def within_one_accuracy(counts: Counts) -> float:
    """The share of rows that were called what they are or a neighbour of it on the scale."""
    return ratio(counts[_steps(counts) <= 1].sum(), counts.sum())


def class_precision(counts: Counts) -> Floats:
    """The precision of each class: (classes,), NaN where a class was never predicted."""
    return _ratios(np.diagonal(counts), counts.sum(axis=0))


def class_recall(counts: Counts) -> Floats:
    """The recall of each class: (classes,), NaN where a class does not occur."""
    return _ratios(np.diagonal(counts), counts.sum(axis=1))


def class_f1(counts: Counts) -> Floats:
    """The F1 of each class: (classes,), NaN where a class neither occurs nor was predicted."""
    return _ratios(2 * np.diagonal(counts), counts.sum(axis=0) + counts.sum(axis=1))


def average_over_classes(values: Floats, counts: Counts, average: str) -> float:
    """The mean of a metric over the classes (see the module's docstring).

    Args:
        values: (classes,), NaN where undefined.
        counts: the confusion matrix they came from.
        average: "weighted" by how often each class occurs, or "macro" for equal weights.
    """
    support = counts.sum(axis=1)
    if average == "weighted":
        weights = support
    else:
        weights = (support + counts.sum(axis=0) > 0).astype(np.int64)
    return ratio(np.nan_to_num(values) @ weights, weights.sum())


def check_average(average: str) -> None:
    """Raise `ValueError` unless `average` is one of `AVERAGES`."""
    if average not in AVERAGES:
        raise ValueError(f"average must be one of {', '.join(AVERAGES)}, got {average!r}")


def _weighted_kappa(counts: Counts, disagreement: NDArray[Any]) -> float:
    true, called = _margins(counts)
    by_chance = np.outer(true, called) / counts.sum()
    expected = (disagreement * by_chance).sum()
    return 1 - ratio((disagreement * counts).sum(), expected)


def _margins(counts: Counts) -> tuple[Floats, Floats]:
    """Rows of each class, and rows called each class; as floats, whose squares do not overflow."""
    return counts.sum(axis=1).astype(np.float64), counts.sum(axis=0).astype(np.float64)


def _steps(counts: Counts) -> Counts:
    positions = np.arange(len(counts))
    return np.abs(positions[:, None] - positions)


def _ratios(numerators: Counts, denominators: Counts) -> Floats:
    undefined = np.full(len(numerators), np.nan)
    return np.divide(numerators, denominators, out=undefined, where=denominators > 0)
