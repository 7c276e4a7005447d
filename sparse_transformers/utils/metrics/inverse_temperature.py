"""The inverse temperature that calibrates logits, and the loss at it, also for separable rows.

`fit_temperature` refuses rows in which the true class always ranks first, because no finite
temperature is then the best. Stopping a training run early needs an answer for such rows too.
"""

import numpy as np

from sparse_transformers.utils.arrays import Codes, Logits
from sparse_transformers.utils.metrics.temperature_scaling import MIN_TEMPERATURE, fit_temperature


def best_inverse_temperature(targets: Codes, logits: Logits) -> float:
    """The factor on the logits at which the targets are most likely.

    It is 1 where no logit exceeds that of the target by more than rounding: the likelihood then
    grows with the factor without end.

    Args:
        targets: class numbers, (rows,).
        logits: (rows, classes).

    Raises:
        ValueError: the logits are not finite, or of another shape.
    """
    if _never_wrong(targets, logits):
        return 1.0
    temperature = fit_temperature(targets, logits, labels=range(logits.shape[1])).temperature
    return 1.0 if temperature == MIN_TEMPERATURE else 1 / temperature


def loss_when_calibrated(targets: Codes, logits: Logits) -> float:
    """The mean cross-entropy in nats at the best inverse temperature.

    Arguments and errors are those of `best_inverse_temperature`.
    """
    if _never_wrong(targets, logits):  # in the limit, only classes that tie share the probability
        n_ties = (logits == _of_targets(targets, logits)).sum(1)
        return float(np.log(n_ties).mean())
    return fit_temperature(targets, logits, labels=range(logits.shape[1])).nll_after


def _never_wrong(targets: Codes, logits: Logits) -> bool:
    """Whether no other class is ever ahead of the target."""
    return bool((logits <= _of_targets(targets, logits)).all())


def _of_targets(targets: Codes, logits: Logits) -> Logits:
    return np.take_along_axis(logits, targets[:, None], axis=1)
