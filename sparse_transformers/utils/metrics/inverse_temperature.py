"""How sure a classifier may be: the reciprocal of its temperature, and its loss at that one."""

import numpy as np

from sparse_transformers.utils.arrays import Codes, Logits
from sparse_transformers.utils.metrics.temperature_scaling import fit_temperature


def best_sharpness(targets: Codes, logits: Logits) -> float:
    """What to multiply the logits by, so that the targets become most likely.

    It is 1 where no logit is above that of the target: nothing then says how sure is too sure.

    Args:
        targets: class numbers, (rows,).
        logits: (rows, classes).

    Raises:
        ValueError: the logits are not finite, or of another shape.
    """
    if _never_wrong(targets, logits):
        return 1.0
    return 1 / fit_temperature(targets, logits, labels=range(logits.shape[1])).temperature


def loss_when_calibrated(targets: Codes, logits: Logits) -> float:
    """The mean cross-entropy in nats that the best sharpness leads to.

    Arguments and errors are those of `best_sharpness`.
    """
    if _never_wrong(targets, logits):  # the sharper, the better: only classes that tie remain
        n_ties = (logits == _of_targets(targets, logits)).sum(1)
        return float(np.log(n_ties).mean())
    return fit_temperature(targets, logits, labels=range(logits.shape[1])).nll_after


def _never_wrong(targets: Codes, logits: Logits) -> bool:
    """Whether no other class is ever ahead of the target."""
    return bool((logits <= _of_targets(targets, logits)).all())


def _of_targets(targets: Codes, logits: Logits) -> Logits:
    return np.take_along_axis(logits, targets[:, None], axis=1)
