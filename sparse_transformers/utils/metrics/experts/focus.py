"""The tokens of each expert by class, and how few classes they come from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from sparse_transformers.utils.metrics.experts.class_shuffles import (
    ClassCounts,
    ClassShuffles,
    Counts,
    encode_entries,
    sorted_places,
)
from sparse_transformers.utils.metrics.experts.specialization import (
    chance_corrected,
    check_shuffling,
    shuffle_p_value,
)


@dataclass(frozen=True)
class ExpertClassTable:
    """How many tokens of each class each expert read.

    Attributes:
        class_names: in sorted order.
        counts: a row for each expert, with a number for each class.
        n_without_expert: tokens that no expert read.
    """

    class_names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    n_without_expert: int


def expert_class_table(
    experts: "ArrayLike", classes: "ArrayLike", *, num_experts: int | None = None
) -> ExpertClassTable:
    """Count the tokens of each expert and class.

    Args:
        experts: the expert of each token, (tokens,) whole numbers; -1 where no expert read it.
        classes: the class of each token.
        num_experts: how many rows; None: up to the last expert that read a token.

    Raises:
        ValueError: lengths differ, a class is missing, the classes have no order, or an expert is
            out of range.
    """
    entries = encode_entries(experts, classes, num_experts=num_experts)
    labels = entries.class_labels
    order = sorted_places("classes", labels)
    n_rows = int(entries.experts.max()) + 1 if num_experts is None else num_experts
    cells = entries.experts * len(labels) + entries.classes
    counts = np.bincount(cells, minlength=n_rows * len(labels)).reshape(n_rows, -1)[:, order]
    return ExpertClassTable(
        class_names=tuple(str(labels[place]) for place in order),
        counts=tuple(tuple(row) for row in counts.tolist()),
        n_without_expert=entries.n_without_expert,
    )


@dataclass(frozen=True)
class ExpertFocus:
    """How far an expert keeps to few classes.

    Attributes:
        expert: its number.
        n_entries: tokens that it read.
        focus: 1 for a single class, 0 for as many classes as all tokens are of, below 0 for more
            evenly mixed ones: 1 - H(C | this expert) / H(C). Weighted by `n_entries`, the mean
            over experts is the mutual information over H(C). Where classes differ in size, an
            expert that prefers rare ones may be as mixed as the whole, and then has 0 as well. 0
            for an expert that read nothing, too.
        null_focus: the same for shuffled classes, on average; high for an expert that read little.
        null_high_focus: what it stays below in the share `confidence` of the shuffles.
        score: 0 for what chance gives, 1 for a single class.
        p_value: of the hypothesis that what the expert reads does not depend on the class,
            one-sided. Who looks at all experts corrects for it (`holm_correction`).
    """

    expert: int
    n_entries: int
    focus: float
    null_focus: float
    null_high_focus: float
    score: float
    p_value: float


def expert_focus(
    experts: "ArrayLike",
    classes: "ArrayLike",
    *,
    units: "ArrayLike | None" = None,
    num_experts: int | None = None,
    n_shuffles: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[ExpertFocus, ...]:
    """How far each expert keeps to few classes, beside the same for shuffled classes.

    Args:
        experts: the expert of each token, (tokens,) whole numbers; -1 where no expert read it.
        classes: the class of each token.
        units: what has a class as a whole; see `specialization`.
        num_experts: how many experts there are; None: up to the last that read a token.
        n_shuffles: the number of shuffles, 1 or more.
        confidence: the confidence level of `null_high_focus`.
        seed: the seed of the shuffles.

    Raises:
        ValueError: as `specialization`.

    Source: DeWeese and Meister 1999, Network 10(4) (specific information, here as a share).
    """
    check_shuffling(n_shuffles, confidence)
    entries = encode_entries(experts, classes, units=units, num_experts=num_experts)
    shuffles = ClassShuffles(entries)
    generator = np.random.default_rng(seed)
    focus = _focus(shuffles, shuffles.observed())
    null = np.stack([_focus(shuffles, shuffles.shuffled(generator)) for _ in range(n_shuffles)])
    by_chance, high = null.mean(0), np.quantile(null, confidence, axis=0)
    p_values = shuffle_p_value(focus, null)
    rows = {
        int(expert): ExpertFocus(
            expert=int(expert),
            n_entries=int(shuffles.rows[row]),
            focus=float(focus[row]),
            null_focus=float(by_chance[row]),
            null_high_focus=float(high[row]),
            score=chance_corrected(float(focus[row]), float(by_chance[row]), 1.0),
            p_value=float(p_values[row]),
        )
        for row, expert in enumerate(shuffles.experts)
    }
    n_experts = max(rows) + 1 if num_experts is None else num_experts
    return tuple(
        rows.get(expert, ExpertFocus(expert, 0, 0.0, 0.0, 0.0, 0.0, 1.0))
        for expert in range(n_experts)
    )


def _focus(shuffles: ClassShuffles, counts: ClassCounts) -> Counts:
    """Of each expert that read something."""
    table = counts.cells.reshape(len(shuffles.rows), -1)
    return 1 - _entropies(table) / _entropies(counts.columns)


def _entropies(counts: Counts) -> Counts:
    """In nats, over the last axis."""
    totals = counts.sum(-1)
    return np.log(totals) - xlogy(counts, counts).sum(-1) / totals
