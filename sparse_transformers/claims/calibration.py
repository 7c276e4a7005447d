"""From the logits of several kinds of readers to one probability that means what it says."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from sparse_transformers.claims.config import ClaimClassifierConfig
from sparse_transformers.claims.members import OutOfFold
from sparse_transformers.utils.arrays import Logits, Probabilities
from sparse_transformers.utils.metrics.inverse_temperature import best_sharpness

Label = str | int | bool


@dataclass(frozen=True)
class ClaimCalibration:
    """What a classifier has learned besides weights and vocabulary.

    Attributes:
        config: with which settings.
        classes: the labels, in the order of the columns of all probabilities.
        sharpness: what the logits of each kind of reader are multiplied by: one over its
            temperature.
        joint_sharpness: what the mean of these is multiplied by.
    """

    config: ClaimClassifierConfig
    classes: tuple[Label, ...]
    sharpness: dict[str, float]
    joint_sharpness: float

    def kinds(self, reader: str | None = None) -> list[str]:
        """The kinds of reader that judge: all, or the one of that name.

        Raises:
            ValueError: there is no such kind.
        """
        known = list(self.sharpness)
        if reader is not None and reader not in known:
            raise ValueError(f"unknown reader {reader!r}; known are {', '.join(known)}")
        return known if reader is None else [reader]


def calibrate(
    config: ClaimClassifierConfig, classes: tuple[Label, ...], judged: OutOfFold
) -> ClaimCalibration:
    """Find out how sure each kind of reader may be, and then all together."""
    sharpness = {
        kind: best_sharpness(judged.targets, logits) for kind, logits in judged.logits.items()
    }
    joint = _mean_of_kinds(sharpness, judged.logits)
    return ClaimCalibration(config, classes, sharpness, best_sharpness(judged.targets, joint))


def combine(calibration: ClaimCalibration, logits: Mapping[str, Logits]) -> Probabilities:
    """The probabilities, (rows, classes), that follow from logits of all kinds of reader or of one.

    One kind by itself has its own temperature; that of the mean is for the mean.
    """
    joint = _mean_of_kinds(calibration.sharpness, logits)
    if len(logits) > 1:
        joint = joint * calibration.joint_sharpness
    probabilities: Probabilities = softmax(joint, axis=1)
    return probabilities


def _mean_of_kinds(sharpness: Mapping[str, float], logits: Mapping[str, Logits]) -> Logits:
    mean: Logits = np.mean([sharpness[kind] * each for kind, each in logits.items()], axis=0)
    return mean
