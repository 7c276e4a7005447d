"""From the logits of the members to calibrated probabilities: temperatures fitted out of fold."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from sparse_transformers.claims.config import ClaimClassifierConfig
from sparse_transformers.claims.members import OutOfFold
from sparse_transformers.utils.arrays import Logits, Probabilities
from sparse_transformers.utils.metrics.inverse_temperature import best_inverse_temperature

Label = str | int | bool


@dataclass(frozen=True)
class ClaimCalibration:
    """What a classifier has learned besides its weights and its vocabulary.

    Attributes:
        config: the settings it was fitted with.
        classes: the labels, in the order of the columns of all probabilities.
        inverse_temperatures: by kind of member, what its logits are multiplied by: one over its
            temperature.
        joint_inverse_temperature: what the mean of the calibrated logits of all kinds is
            multiplied by.
    """

    config: ClaimClassifierConfig
    classes: tuple[Label, ...]
    inverse_temperatures: dict[str, float]
    joint_inverse_temperature: float

    def kinds(self, kind: str | None = None) -> list[str]:
        """The kinds of member to use: the given one, or all of them for None.

        Raises:
            ValueError: there is no such kind.
        """
        known = list(self.inverse_temperatures)
        if kind is not None and kind not in known:
            raise ValueError(f"unknown kind of member {kind!r}; known are {', '.join(known)}")
        return known if kind is None else [kind]


def calibrate(
    config: ClaimClassifierConfig, classes: tuple[Label, ...], out_of_fold: OutOfFold
) -> ClaimCalibration:
    """Fit a temperature for each kind of member, and then one for their mean."""
    inverse_temperatures = {
        kind: best_inverse_temperature(out_of_fold.targets, logits)
        for kind, logits in out_of_fold.logits.items()
    }
    joint = _mean_of_kinds(inverse_temperatures, out_of_fold.logits)
    joint_inverse_temperature = best_inverse_temperature(out_of_fold.targets, joint)
    return ClaimCalibration(config, classes, inverse_temperatures, joint_inverse_temperature)


def combine(calibration: ClaimCalibration, logits: Mapping[str, Logits]) -> Probabilities:
    """The probabilities, (rows, classes), that follow from the logits of one kind or of all.

    The temperature of the mean is applied only if there is more than one kind.
    """
    joint = _mean_of_kinds(calibration.inverse_temperatures, logits)
    if len(logits) > 1:
        joint = joint * calibration.joint_inverse_temperature
    probabilities: Probabilities = softmax(joint, axis=1)
    return probabilities


def _mean_of_kinds(
    inverse_temperatures: Mapping[str, float], logits: Mapping[str, Logits]
) -> Logits:
    mean: Logits = np.mean(
        [inverse_temperatures[kind] * each for kind, each in logits.items()], axis=0
    )
    return mean
