"""Labels planted in independent cues, weakened until the best possible classifier is this good."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq

MAX_OUTCOMES = 1_000_000
"""How many combinations of cues an enumeration may visit."""


@dataclass(frozen=True, eq=False)
class PlantedSignal:
    """Which cues are written, given the label.

    Given the label the cues are independent of each other. So the probability of each label given
    all cues is a product, and the accuracy of the Bayes classifier, which no other classifier
    exceeds, is a sum over the combinations of cues: both are exact.

    Args:
        prior: the probability of each class.
        cues: per cue, the probability of each of its options given each class.
    """

    prior: Float[np.ndarray, "classes"]
    cues: tuple[Float[np.ndarray, "_ classes"], ...]

    def __post_init__(self) -> None:
        _check_probabilities("prior", self.prior, ndim=1)
        for cue in self.cues:
            _check_probabilities("each cue", cue, ndim=2)
            if cue.shape[1] != len(self.prior):
                raise ValueError(
                    f"each cue must have one column per class of the prior, {len(self.prior)}, "
                    f"got {cue.shape[1]}"
                )
        n_outcomes = math.prod(len(cue) for cue in self.cues)
        if n_outcomes > MAX_OUTCOMES:
            raise ValueError(
                f"cues must have at most {MAX_OUTCOMES:,} combinations of options, "
                f"got {n_outcomes:,}"
            )

    def draw(
        self, n: int, rng: np.random.Generator
    ) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "n cues"]]:
        """Independent rows: the index of each one's class, and of the option of each cue."""
        labels = rng.choice(len(self.prior), size=n, p=self.prior)
        options = np.empty((n, len(self.cues)), dtype=np.int64)
        for slot, cue in enumerate(self.cues):
            thresholds = cue.cumsum(axis=0)[:-1, labels]
            options[:, slot] = (rng.random(n) >= thresholds).sum(axis=0)
        return labels, options

    def posteriors(self, options: Int[np.ndarray, "n cues"]) -> Float[np.ndarray, "n classes"]:
        """The probability of each class given all cues of a row."""
        joint = np.tile(self.prior, (len(options), 1))
        for slot, cue in enumerate(self.cues):
            joint *= cue[options[:, slot]]
        return joint / joint.sum(axis=1, keepdims=True)

    def bayes_accuracy(self, groups: Sequence[Sequence[int]] | None = None) -> float:
        """The accuracy of always naming the most probable class, or group of classes.

        Args:
            groups: the indices of the classes in each group; None takes each class for itself.
        """
        joint = self.prior[:, None]
        for cue in self.cues:
            joint = (joint[:, :, None] * cue.T[:, None, :]).reshape(len(self.prior), -1)
        if groups is not None:
            joint = np.stack([joint[list(group)].sum(axis=0) for group in groups])
        return float(joint.max(axis=0).sum())

    def weakened(self, strength: float) -> "PlantedSignal":
        """The same cues, each replaced with probability 1 - strength by one that tells nothing."""
        uninformative = [cue.mean(axis=1, keepdims=True) for cue in self.cues]
        mixed = [
            (1 - strength) * base + strength * cue
            for base, cue in zip(uninformative, self.cues, strict=True)
        ]
        return PlantedSignal(self.prior, tuple(mixed))


def plant_signal(strongest: PlantedSignal, bayes_accuracy: float) -> PlantedSignal:
    """Weaken a signal until the Bayes classifier's accuracy is `bayes_accuracy`.

    A weaker signal is a stronger one garbled, so the accuracy never falls as the strength grows
    (Blackwell 1953), and its root is found by bracketing.

    Raises:
        ValueError: the accuracy is below the most frequent class's share, or above what the
            strongest cues allow.
    """
    lowest = strongest.weakened(0.0).bayes_accuracy()
    highest = strongest.bayes_accuracy()
    rounding = 1e-9
    if not lowest - rounding <= bayes_accuracy <= highest + rounding:
        raise ValueError(
            f"bayes_accuracy must be between {lowest:.4f}, the share of the most frequent class, "
            f"and {math.floor(highest * 1e4) / 1e4:.4f}, what the strongest cues allow, "
            f"got {bayes_accuracy}"
        )
    target = min(max(bayes_accuracy, lowest), highest)
    strength = brentq(
        lambda strength: strongest.weakened(strength).bayes_accuracy() - target, 0.0, 1.0
    )
    return strongest.weakened(strength)


def graded_cue(n_options: int, steepness: float) -> Float[np.ndarray, "options options"]:
    """A cue with one option per ordered class, that falls off with the steps between the two.

    Args:
        n_options: the number of options, and of classes.
        steepness: each further step makes an option exp(steepness) times less probable.
    """
    steps = np.abs(np.subtract.outer(np.arange(n_options), np.arange(n_options)))
    weights = np.exp(-steepness * steps)
    return weights / weights.sum(axis=0)


def _check_probabilities(name: str, values: np.ndarray, ndim: int) -> None:
    if values.ndim != ndim or not values.size or not (values > 0).all():
        raise ValueError(f"{name} must hold positive numbers in {ndim} dimensions, got {values}")
    if not np.allclose(values.sum(axis=0), 1):
        raise ValueError(f"{name} must sum to 1 over its options, got {values.sum(axis=0)}")
