"""Specialization: the mutual information of expert and class, corrected for chance.

Information between two labellings is never negative, so it is above zero for experts that choose
at random, and the further above the fewer tokens there are. Nothing here is reported without what
the same experts get when the classes are shuffled.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from sparse_transformers.utils.metrics.experts.class_shuffles import (
    ClassCounts,
    ClassShuffles,
    Counts,
    encode_entries,
)
from sparse_transformers.utils.metrics.resampling import check_confidence

ROUNDING_BITS = 1e-9
"""Differences up to here are differences of rounding."""


@dataclass(frozen=True)
class Specialization:
    """The information of experts about classes, beside that about shuffled classes.

    Attributes:
        information_bits: mutual information of expert and class, per token; within the given
            labelling if there is one.
        null_bits: the same for shuffled classes, on average.
        null_high_bits: what it stays below in the share `confidence` of the shuffles.
        most_bits: the most that experts and classes of these shares could have: the smaller of
            their two entropies.
        score: 0 for what chance gives, 1 for the most, below 0 for less than chance; 0 where
            chance gives all there is to have, as with a single expert that reads everything. Where
            it gives nearly all, little moves the score a lot: the p-value says how much it means.
        p_value: of the hypothesis that experts do not depend on the class, one-sided.
        n_entries: tokens that an expert read.
        n_units: units they belong to.
        n_without_expert: tokens that no expert read and that are left out.
    """

    information_bits: float
    null_bits: float
    null_high_bits: float
    most_bits: float
    score: float
    p_value: float
    n_entries: int
    n_units: int
    n_without_expert: int

    @property
    def null_high_score(self) -> float:
        """The score of experts with `null_high_bits`: how high chance alone may reach."""
        return chance_corrected(self.null_high_bits, self.null_bits, self.most_bits)


def specialization(
    experts: "ArrayLike",
    classes: "ArrayLike",
    *,
    units: "ArrayLike | None" = None,
    given: "ArrayLike | None" = None,
    num_experts: int | None = None,
    n_shuffles: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Specialization:
    """How much the expert of a token tells about its class.

        specialization(experts, kinds, units=statements)                    # about the statement
        specialization(experts, kinds, units=statements, given=token_ids)   # beyond the token

    Args:
        experts: the expert of each token, (tokens,) whole numbers; -1 where no expert read it.
            Such tokens are left out and counted.
        classes: the class of each token.
        units: what has a class as a whole, such as the statement that each token belongs to; its
            class is shuffled as one. None shuffles the classes of single tokens, which is right
            only for tokens that were drawn independently, and too sure of itself for others.
        given: another labelling that may explain the experts, such as the token ids. Then the
            information is what experts tell about the class among tokens with the same label,
            averaged over all tokens: I(expert; class | given).
        num_experts: how many experts there are; a number beyond them is refused.
        n_shuffles: the number of shuffles; no p-value is below 1 / (n_shuffles + 1).
        confidence: the confidence level of `null_high_bits`.
        seed: the seed of the shuffles.

    Raises:
        ValueError: lengths differ, a label is missing, an expert is out of range, a unit holds two
            classes, there are fewer than two units or classes, or an option is out of range.

    Source: Vinh et al. 2010, JMLR 11 (correction for chance, here by shuffles instead of the
        closed form for independent tokens); p-value: Phipson and Smyth 2010, arXiv:1603.05766.

    Example:
        >>> import sparse_transformers as st
        >>> experts = [0] * 50 + [1] * 50
        >>> classes = ["number"] * 50 + ["name"] * 50
        >>> result = st.specialization(experts, classes)
        >>> round(result.information_bits, 3), round(result.score, 3), result.p_value < 0.01
        (1.0, 1.0, True)
    """
    check_shuffling(n_shuffles, confidence)
    entries = encode_entries(experts, classes, units=units, given=given, num_experts=num_experts)
    shuffles = ClassShuffles(entries)
    generator = np.random.default_rng(seed)
    information = _information_bits(shuffles, shuffles.observed())
    null = np.array(
        [_information_bits(shuffles, shuffles.shuffled(generator)) for _ in range(n_shuffles)]
    )
    null_bits, most_bits = float(null.mean()), _most_bits(shuffles)
    return Specialization(
        information_bits=information,
        null_bits=null_bits,
        null_high_bits=float(np.quantile(null, confidence)),
        most_bits=most_bits,
        score=chance_corrected(information, null_bits, most_bits),
        p_value=float(shuffle_p_value(information, null)),
        n_entries=shuffles.n_entries,
        n_units=shuffles.n_units,
        n_without_expert=entries.n_without_expert,
    )


def check_shuffling(n_shuffles: int, confidence: float) -> None:
    """Raise `ValueError` unless there is a shuffle, and `confidence` is between 0 and 1."""
    if n_shuffles < 1:
        raise ValueError(f"n_shuffles must be at least 1, got {n_shuffles}")
    check_confidence(confidence)


def chance_corrected(value: float, by_chance: float, most: float) -> float:
    """Where `value` lies between chance, 0, and the most, 1; 0 if there is no room between."""
    room = most - by_chance
    return (value - by_chance) / room if room > ROUNDING_BITS else 0.0


def shuffle_p_value(value: float | Counts, null: Counts) -> Counts:
    """The share of shuffles, in the first axis, that reach the value, which counts as one more."""
    reached = np.sum(null >= np.asarray(value) - ROUNDING_BITS, axis=0)
    return np.asarray((1 + reached) / (1 + len(null)))


def _information_bits(shuffles: ClassShuffles, counts: ClassCounts) -> float:
    """I(E; C | G) = H(E | G) + H(C | G) - H(E, C | G)."""
    nats = _n_log_n(counts.cells) - _n_log_n(counts.columns)
    nats += _n_log_n(shuffles.strata) - _n_log_n(shuffles.rows)
    return _bits_per_entry(nats, shuffles)


def _most_bits(shuffles: ClassShuffles) -> float:
    """The smaller of H(E | G) and H(C | G)."""
    of_columns = shuffles.observed().columns
    nats = _n_log_n(shuffles.strata) - max(_n_log_n(shuffles.rows), _n_log_n(of_columns))
    return _bits_per_entry(nats, shuffles)


def _bits_per_entry(nats: float, shuffles: ClassShuffles) -> float:
    return max(0.0, nats / shuffles.n_entries / math.log(2))  # rounding may put zero below


def _n_log_n(counts: Counts) -> float:
    several = counts[counts > 1]
    return float(xlogy(several, several).sum())
