"""Calibration: of the claims that a model gives 80%, are 80% so?

Two questions are asked under that name, and every result here says which one it answers:

- "top-label": how often is the most probable class right, given its probability (Guo et al.
  2017)? Ties go to the class that comes first. This is about the probabilities alone: a prediction
  by another threshold does not enter.
- "positive-class": how often is a row positive, given the probability of that? For two classes.

Bins make any calibration error positive even for a perfectly calibrated model, the more so the
fewer rows there are; an error means little beside 0 and much beside `calibration_null`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_transformers.utils.arrays import Floats
from sparse_transformers.utils.metrics.label_encoding import Labels
from sparse_transformers.utils.metrics.predictions import encode_truth
from sparse_transformers.utils.metrics.probability_bins import Bins, assign_bins
from sparse_transformers.utils.metrics.significance import wilson_interval

Outcomes = NDArray[np.bool_]

KINDS = ("top-label", "positive-class")
_ROUNDING = 1e-12


@dataclass(frozen=True)
class ReliabilityBin:
    """The rows whose confidence is above `low` and not above `high`.

    Attributes:
        low: the lower edge of the bin, exclusive.
        high: the upper edge, inclusive.
        count: rows in the bin.
        confidence: the mean confidence of these rows.
        accuracy: the share of these rows with the outcome: the top label is right, or the row is
            positive.
        accuracy_low: the lower Wilson limit of the accuracy.
        accuracy_high: the upper Wilson limit.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float


@dataclass(frozen=True)
class ReliabilityDiagram:
    """Confidence beside accuracy, bin by bin; bins without rows are left out.

    Attributes:
        kind: "top-label" or "positive-class".
        binning: "width" or "mass".
        bins: in rising order of confidence.
    """

    kind: str
    binning: str
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class CalibrationNull:
    """A calibration error beside the errors of a model that is calibrated by construction.

    Attributes:
        error: the expected calibration error of the model.
        null_mean: the mean error of a perfectly calibrated model with these very probabilities.
        null_high: the error that such a model exceeds with probability `1 - confidence`.
        confidence: the level of `null_high`, between 0 and 1.
        p_value: the probability that such a model gets an error at least as large as `error`.
    """

    error: float
    null_mean: float
    null_high: float
    confidence: float
    p_value: float


def expected_calibration_error(
    y_true: "ArrayLike",
    y_prob: "ArrayLike",
    *,
    kind: str = "top-label",
    n_bins: int = 15,
    binning: str = "width",
    labels: Labels | None = None,
) -> float:
    """ECE: the mean over the rows of |accuracy - confidence| of the row's bin, from 0 to 1.

    Args:
        y_true: the label of each row.
        y_prob: (rows, classes), or (rows,) for the probability of the positive of two classes.
        kind: "top-label" or "positive-class" (see the module's docstring).
        n_bins: the number of bins, 1 or more.
        binning: "width" for bins of equal width, "mass" for bins of equally many rows, which is
            less biased.
        labels: the classes in order; None finds them (see `label_encoding.py`).

    Raises:
        ValueError: as `predictions.encode_predictions`; `kind`, `n_bins` or `binning` is invalid.

    Source: Guo et al. 2017, arXiv:1706.04599, section 2; equal mass: Roelofs et al. 2022,
        arXiv:2012.08668.
    """
    confidence, outcome = _confidence_and_outcome(y_true, y_prob, kind, labels)
    return _expected_error(assign_bins(confidence, n_bins, binning), confidence, outcome)


def maximum_calibration_error(
    y_true: "ArrayLike",
    y_prob: "ArrayLike",
    *,
    kind: str = "top-label",
    n_bins: int = 15,
    binning: str = "width",
    labels: Labels | None = None,
) -> float:
    """MCE: the largest |accuracy - confidence| of any bin, be there a single row in it.

    Arguments and errors are those of `expected_calibration_error`.

    Source: Guo et al. 2017, arXiv:1706.04599, section 2.
    """
    confidence, outcome = _confidence_and_outcome(y_true, y_prob, kind, labels)
    bins = assign_bins(confidence, n_bins, binning)
    return float(np.max(_bin_errors(bins, confidence, outcome)))


def adaptive_calibration_error(
    y_true: "ArrayLike", y_prob: "ArrayLike", *, n_bins: int = 15, labels: Labels | None = None
) -> float:
    """ACE: the mean of |frequency - probability| over all classes and their equal-mass bins.

    Arguments and errors are those of `expected_calibration_error`. Bins that ties leave empty
    do not count.

    Source: Nixon et al. 2019, arXiv:1904.01685.
    """
    truth, probabilities = encode_truth(y_true, y_prob, labels)
    errors = [
        _bin_errors(assign_bins(probability, n_bins, "mass"), probability, truth == each)
        for each, probability in enumerate(probabilities.T)
    ]
    return float(np.mean(np.concatenate(errors)))


def reliability_diagram(
    y_true: "ArrayLike",
    y_prob: "ArrayLike",
    *,
    kind: str = "top-label",
    n_bins: int = 15,
    binning: str = "width",
    confidence: float = 0.95,
    labels: Labels | None = None,
) -> ReliabilityDiagram:
    """What a reliability diagram shows; `confidence` is that of the intervals of the accuracy.

    The other arguments and the errors are those of `expected_calibration_error`.

    Source: Guo et al. 2017, arXiv:1706.04599, section 2.
    """
    predicted, outcome = _confidence_and_outcome(y_true, y_prob, kind, labels)
    bins = assign_bins(predicted, n_bins, binning)
    confidence_sums, hits = bins.sums(predicted), bins.sums(outcome)
    filled = []
    for each in np.flatnonzero(bins.counts):
        count = int(bins.counts[each])
        accuracy = wilson_interval(int(hits[each]), count, confidence)
        filled.append(
            ReliabilityBin(
                float(bins.edges[each]),
                float(bins.edges[each + 1]),
                count,
                float(confidence_sums[each] / count),
                accuracy.estimate,
                accuracy.low,
                accuracy.high,
            )
        )
    return ReliabilityDiagram(kind, binning, tuple(filled))


def calibration_null(
    y_true: "ArrayLike",
    y_prob: "ArrayLike",
    *,
    kind: str = "top-label",
    n_bins: int = 15,
    binning: str = "width",
    n_simulations: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
    labels: Labels | None = None,
) -> CalibrationNull:
    """Simulate the ECE of a model whose probabilities are these, and right.

    The truth of every row is drawn anew from its own probabilities, `n_simulations` times. The
    other arguments and the errors are those of `expected_calibration_error`.

    Source: Bröcker and Smith 2007, Weather and Forecasting 22(3); Vaicenavicius et al. 2019,
        arXiv:1902.06977 ("consistency resampling").
    """
    if n_simulations < 1:
        raise ValueError(f"n_simulations must be at least 1, got {n_simulations}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    predicted, outcome = _confidence_and_outcome(y_true, y_prob, kind, labels)
    bins = assign_bins(predicted, n_bins, binning)
    error = _expected_error(bins, predicted, outcome)
    generator = np.random.default_rng(seed)
    null = [
        _expected_error(bins, predicted, generator.random(len(predicted)) < predicted)
        for _ in range(n_simulations)
    ]
    return CalibrationNull(
        error,
        null_mean=float(np.mean(null)),
        null_high=float(np.quantile(null, confidence)),
        confidence=confidence,
        p_value=float((1 + np.sum(np.array(null) >= error - _ROUNDING)) / (1 + n_simulations)),
    )


def _confidence_and_outcome(
    y_true: "ArrayLike", y_prob: "ArrayLike", kind: str, labels: Labels | None
) -> tuple[Floats, Outcomes]:
    """What was promised for each row (rows,), and whether it came true (rows,)."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    truth, probabilities = encode_truth(y_true, y_prob, labels)
    if kind == "top-label":
        return probabilities.max(axis=1), truth == probabilities.argmax(axis=1)
    if probabilities.shape[1] != 2:
        raise ValueError(
            f"kind 'positive-class' must be about two classes, got {probabilities.shape[1]}"
        )
    return probabilities[:, 1], truth == 1


def _expected_error(bins: Bins, confidence: Floats, outcome: Outcomes) -> float:
    return float(np.abs(bins.sums(outcome - confidence)).sum() / len(confidence))


def _bin_errors(bins: Bins, confidence: Floats, outcome: Outcomes) -> Floats:
    """|accuracy - confidence| of each bin that holds a row."""
    filled = bins.counts > 0
    return np.abs(bins.sums(outcome - confidence))[filled] / bins.counts[filled]
