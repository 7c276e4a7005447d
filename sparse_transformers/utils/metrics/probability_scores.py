"""Scores of predicted probabilities: how well they rank the rows, and how well they fit the truth.

Functions take labels and check them (see `label_encoding.py`), but for those named `..._of`, which
resampling calls thousands of times: they take class numbers and probabilities that were checked.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score

from sparse_transformers.utils.arrays import Codes, Floats
from sparse_transformers.utils.metrics.delong import roc_auc
from sparse_transformers.utils.metrics.label_encoding import Labels
from sparse_transformers.utils.metrics.predictions import encode_truth
from sparse_transformers.utils.metrics.probability_bins import assign_bins


@dataclass(frozen=True)
class BrierDecomposition:
    """`brier_score = reliability - resolution + uncertainty + within_bin`, exactly.

    The last term is what is lost by describing a bin by its mean; it vanishes where all
    probabilities of a bin are equal.

    Attributes:
        brier_score: the mean squared distance between probability and outcome.
        reliability: how far the probabilities are from the frequencies: 0 is best.
        resolution: how far the frequencies of the bins are from the overall one: more is better.
        uncertainty: the score of always predicting the overall frequency.
        within_bin: the rest, from probabilities that differ within a bin.
    """

    brier_score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bin: float


def brier_score(y_true: "ArrayLike", y_prob: "ArrayLike", *, labels: Labels | None = None) -> float:
    """The mean squared distance between probabilities and truth; less is better.

    Two classes: of the positive class's probability, from 0 to 1. More: summed over the classes,
    from 0 to 2. Both as in scikit-learn's `brier_score_loss`.

    Args:
        y_true: the label of each row.
        y_prob: (rows, classes), or (rows,) for the probability of the positive of two classes.
        labels: the classes in order; None finds them (see `label_encoding.py`).

    Raises:
        ValueError: as `predictions.encode_predictions`.

    Source: Brier 1950, Monthly Weather Review 78(1).
    """
    return brier_score_of(*encode_truth(y_true, y_prob, labels))


def decompose_brier_score(
    y_true: "ArrayLike",
    y_prob: "ArrayLike",
    *,
    n_bins: int = 15,
    binning: str = "width",
    labels: Labels | None = None,
) -> BrierDecomposition:
    """Split the Brier score into what comes from calibration, from resolution, and from the data.

    Args:
        y_true: the label of each row.
        y_prob: (rows, classes), or (rows,) for the probability of the positive of two classes.
        n_bins: into how many bins the probabilities of a class are sorted.
        binning: "width" for bins of equal width, "mass" for bins of equally many rows.
        labels: the classes in order; None finds them.

    Raises:
        ValueError: as `predictions.encode_predictions`; `n_bins` or `binning` is invalid.

    Source: Murphy 1973, Journal of Applied Meteorology 12(4); the term within bins: Stephenson,
        Coelho and Jolliffe 2008, Weather and Forecasting 23(4).
    """
    truth, probabilities = encode_truth(y_true, y_prob, labels)
    reliability = resolution = uncertainty = within_bin = 0.0
    for column in _scored_columns(probabilities):
        outcome = (truth == column).astype(np.float64)
        probability = probabilities[:, column]
        bins = assign_bins(probability, n_bins, binning)
        mean_probability, frequency = bins.means(probability), bins.means(outcome)
        reliability += float(np.mean((mean_probability - frequency) ** 2))
        resolution += float(np.mean((frequency - outcome.mean()) ** 2))
        uncertainty += float(outcome.mean() * (1 - outcome.mean()))
        deviation = probability - mean_probability
        within_bin += float(np.mean(deviation**2 - 2 * deviation * (outcome - frequency)))
    return BrierDecomposition(
        brier_score_of(truth, probabilities), reliability, resolution, uncertainty, within_bin
    )


def negative_log_likelihood(
    y_true: "ArrayLike", y_prob: "ArrayLike", *, labels: Labels | None = None
) -> float:
    """The mean of -log P(true class), in nats; less is better.

    It is infinite if a true class was given probability 0: no rounding hides that error.

    Args:
        y_true: the label of each row.
        y_prob: (rows, classes), or (rows,) for the probability of the positive of two classes.
        labels: the classes in order; None finds them.

    Raises:
        ValueError: as `predictions.encode_predictions`.
    """
    return negative_log_likelihood_of(*encode_truth(y_true, y_prob, labels))


def brier_score_of(truth: Codes, probabilities: Floats) -> float:
    """`brier_score` of class numbers (rows,) and probabilities (rows, classes)."""
    columns = _scored_columns(probabilities)
    outcomes = truth[:, None] == columns
    return float(np.mean(np.sum((probabilities[:, columns] - outcomes) ** 2, axis=1)))


def negative_log_likelihood_of(truth: Codes, probabilities: Floats) -> float:
    """`negative_log_likelihood` of class numbers (rows,) and probabilities (rows, classes)."""
    with np.errstate(divide="ignore"):
        return float(-np.mean(np.log(probabilities[np.arange(len(truth)), truth])))


def roc_auc_of(truth: Codes, probabilities: Floats, average: str) -> float:
    """The area under the ROC curve; with more than two classes, one class against the rest.

    Args:
        truth: class numbers, (rows,).
        probabilities: (rows, classes).
        average: "weighted" or "macro", over the classes that occur (not used for two classes).

    Returns:
        NaN if all rows are of one class.
    """
    counts = np.bincount(truth, minlength=probabilities.shape[1])
    if counts.max() == len(truth):
        return float("nan")
    if len(counts) == 2:
        return roc_auc(truth, probabilities[:, 1])
    occurring = np.flatnonzero(counts)
    areas = [roc_auc(truth == each, probabilities[:, each]) for each in occurring]
    weights = counts[occurring] if average == "weighted" else None
    return float(np.average(areas, weights=weights))


def pr_auc_of(truth: Codes, probabilities: Floats) -> float:
    """Average precision, the area under the stepwise precision-recall curve of the positive class.

    Guessing scores the share of positive rows, not .5.

    Returns:
        NaN if no row is positive.
    """
    if not truth.any():
        return float("nan")
    return float(average_precision_score(truth, probabilities[:, 1]))


def _scored_columns(probabilities: Floats) -> Codes:
    """Of two classes one is scored: the other one's errors are the same."""
    n_classes = probabilities.shape[1]
    return np.arange(n_classes) if n_classes > 2 else np.array([1])
