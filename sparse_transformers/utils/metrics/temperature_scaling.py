"""Temperature scaling: one number, fitted on validation rows, that makes logits calibrated.

It changes no ranking and no prediction, only how sure the model says it is.
"""

from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, log_softmax, softmax

from sparse_transformers.utils.arrays import Codes, Floats
from sparse_transformers.utils.metrics.label_encoding import Labels, factorize, find_classes
from sparse_transformers.utils.metrics.predictions import check_numbers

_LOG_TEMPERATURE_LIMIT = 10.0
MAX_TEMPERATURE = exp(_LOG_TEMPERATURE_LIMIT)
MIN_TEMPERATURE = exp(-_LOG_TEMPERATURE_LIMIT)


@dataclass(frozen=True)
class TemperatureScaling:
    """Divides logits by `temperature`: above 1 the model was too sure, below 1 not sure enough.

    A temperature of `MAX_TEMPERATURE` says that the logits told nothing about the truth of the
    rows it was fitted on; what it makes of them is all but uniform.

    Attributes:
        temperature: what logits are divided by.
        nll_before: negative log-likelihood of the fitted rows at temperature 1, in nats.
        nll_after: the same with the temperature.
    """

    temperature: float
    nll_before: float
    nll_after: float

    def apply(self, logits: "ArrayLike") -> Floats:
        """Calibrated probabilities.

        Args:
            logits: (rows, classes), or (rows,) for the log-odds of the positive of two classes.

        Returns:
            (rows, classes), or (rows,) for the probability of the positive class.

        Raises:
            ValueError: the logits have another shape, or are not finite.
        """
        scaled = _check_logits(logits) / self.temperature
        return expit(scaled) if scaled.ndim == 1 else softmax(scaled, axis=1)


def fit_temperature(
    y_true: "ArrayLike", logits: "ArrayLike", *, labels: Labels | None = None
) -> TemperatureScaling:
    """The temperature at which the truth is most likely. Use rows the model was not fitted on.

    Args:
        y_true: the label of each row.
        logits: (rows, classes), or (rows,) for the log-odds of the positive of two classes; the
            logarithms of probabilities will do.
        labels: the classes in order; None finds them (see `label_encoding.py`).

    Raises:
        ValueError: the labels are invalid (see `predictions.encode_predictions`), the logits have
            another shape or are not finite, or they rank the true class first in every row, for
            then the likelihood grows as the temperature falls to 0.

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    column = factorize("y_true", y_true)
    classes = find_classes([column], labels)
    truth = column.numbers(classes)
    scores = _check_logits(logits)
    if scores.ndim == 1 and len(classes) == 2:
        scores = np.stack([np.zeros_like(scores), scores], axis=1)
    if scores.shape != (len(truth), len(classes)):
        raise ValueError(
            f"logits must have shape ({len(truth)}, {len(classes)}), a column for each class of"
            f" {classes}, got {np.shape(logits)}"
        )
    temperature = _most_likely_temperature(truth, scores)
    return TemperatureScaling(
        temperature,
        nll_before=_negative_log_likelihood(truth, scores),
        nll_after=_negative_log_likelihood(truth, scores / temperature),
    )


def _most_likely_temperature(truth: Codes, scores: Floats) -> float:
    """The likelihood is concave in 1 / temperature, so that its slope has at most one zero."""
    ahead_of_truth = scores - scores[np.arange(len(truth)), truth][:, None]

    def slope(log_temperature: float) -> float:
        probabilities = softmax(ahead_of_truth / exp(log_temperature), axis=1)
        return float(np.mean(np.sum(probabilities * ahead_of_truth, axis=1)))

    if slope(_LOG_TEMPERATURE_LIMIT) >= 0:
        return MAX_TEMPERATURE
    if (ahead_of_truth <= 0).all():
        raise ValueError(
            "logits must not rank the true class first in every row: no temperature above 0 is"
            f" then the most likely one; pass more validation rows than {len(truth)}"
        )
    if slope(-_LOG_TEMPERATURE_LIMIT) <= 0:  # the only errors are all but ties
        return MIN_TEMPERATURE
    return exp(brentq(slope, -_LOG_TEMPERATURE_LIMIT, _LOG_TEMPERATURE_LIMIT, xtol=1e-12))


def _negative_log_likelihood(truth: Codes, scores: Floats) -> float:
    return float(-np.mean(log_softmax(scores, axis=1)[np.arange(len(truth)), truth]))


def _check_logits(logits: "ArrayLike") -> Floats:
    scores = check_numbers("logits", logits)
    if scores.ndim not in (1, 2):
        raise ValueError(f"logits must be (rows, classes) or (rows,), got shape {scores.shape}")
    return scores
