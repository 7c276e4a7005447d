"""Counts of tokens by expert and class, as observed and with the classes shuffled.

Tokens of one statement share its class, and often its expert, so they are far from independent.
What is shuffled is therefore the class of a whole unit (a statement). Were the classes
of single tokens shuffled, they would mix so evenly that chance would look like a finding.

Within a given labelling (the token ids) classes are dealt, for each token anew, among the units
that hold this token equally often. So it stays as it is which tokens occur in which classes, and
whether they are repeated there. Dealt among all units, a word of one class would turn up in the
others, and chance would seem to tell far more than it can. One random order of the units serves
all tokens of a shuffle: a unit gets early or late classes throughout, so that what its tokens have
in common stays in common.

Source: Winkler et al. 2015, NeuroImage 123 (whole blocks; here one order for overlapping ones).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_transformers.utils.arrays import Codes, as_array
from sparse_transformers.utils.metrics.label_encoding import FactorizedLabels, Label, factorize

Counts = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Entries:
    """Tokens that an expert read: expert, class, unit and given label of each, as numbers.

    Labels are numbered in the order in which they first occur, so that nothing depends on what
    they are called.

    Attributes:
        experts: the number of each entry's expert.
        classes: the number of its class, a place in `class_labels`.
        units: the number of its unit.
        given: the number of its given label.
        class_labels: the classes, in the order in which they first occur.
        n_without_expert: further tokens, which no expert read.
    """

    experts: Codes
    classes: Codes
    units: Codes
    given: Codes
    class_labels: tuple[Label, ...]
    n_without_expert: int


def encode_entries(
    experts: "ArrayLike",
    classes: "ArrayLike",
    *,
    units: "ArrayLike | None" = None,
    given: "ArrayLike | None" = None,
    num_experts: int | None = None,
) -> Entries:
    """Number the labels of the tokens, and leave out tokens without an expert.

    Args:
        experts: the expert of each token, (tokens,) whole numbers; -1 where no expert read it.
        classes: the class of each token.
        units: the unit of each token; None: each token by itself.
        given: a further label of each token; None: the same for all.
        num_experts: how many experts there are; None: any number.

    Raises:
        ValueError: lengths differ, a label is missing, an expert is out of range, no token has an
            expert, or a unit holds two classes.
    """
    numbers = _expert_numbers(experts, num_experts)
    n_tokens = len(numbers)
    labels = factorize("classes", classes, n_tokens)
    of_unit, of_given = np.arange(n_tokens), np.zeros(n_tokens, dtype=np.intp)
    if units is not None:
        unit_labels = factorize("units", units, n_tokens)
        _check_one_class_per_unit(unit_labels, labels)
        of_unit = unit_labels.codes
    if given is not None:
        of_given = factorize("given", given, n_tokens).codes
    kept = numbers >= 0
    return Entries(
        experts=numbers[kept],
        classes=labels.codes[kept],
        units=of_unit[kept],
        given=of_given[kept],
        class_labels=labels.values,
        n_without_expert=int(n_tokens - kept.sum()),
    )


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Tokens of each (given label, class), and of each (given label, expert, class).

    `cells` are in the order of given labels, experts, classes, without those that cannot occur:
    for a given label they are a table of the experts and the classes that occur with it.
    """

    columns: Counts
    cells: Counts


class ClassShuffles:
    """Counts of entries, as they are and with the classes dealt anew to the units.

    Attributes:
        n_entries: the number of entries.
        n_units: how many units they belong to.
        experts: the expert of each row: of each (given label, expert) that occurs, in this order.
        rows: entries of each row; no shuffle changes it.
        strata: entries of each given label; no shuffle changes it.

    Raises:
        ValueError: there are fewer than two units or classes.
    """

    def __init__(self, entries: Entries) -> None:
        _check_two("units", entries.units)
        _check_two("classes", entries.classes)
        self.n_entries = len(entries.experts)
        self.n_units = len(np.unique(entries.units))
        _, given = np.unique(entries.given, return_inverse=True)
        self.strata = np.bincount(given).astype(float)
        given_of_row, self.experts, row = _number_pairs(given, entries.experts)
        self.rows = np.bincount(row).astype(float)

        # What a class is dealt to is a block: the entries of one unit with one given label.
        given_of_block, self._unit_of_block, block = _number_pairs(given, entries.units)
        self._block_sizes = np.bincount(block)
        class_of_block = np.empty(len(self._block_sizes), dtype=np.intp)
        class_of_block[block] = entries.classes
        given_of_column, _, self._column_of_block = _number_pairs(given_of_block, class_of_block)
        self._n_columns = len(given_of_column)

        # Whole units are dealt to whatever their size. Were only units of one length equal, then
        # classes whose statements have a length of their own could never be found out.
        alike = self._block_sizes if len(self.strata) > 1 else np.zeros_like(self._block_sizes)
        _, _, pool = _number_pairs(given_of_block, alike)
        self._n_places = int(entries.units.max()) + 1
        self._first_place = pool * self._n_places
        self._columns_to_deal = self._column_of_block[np.lexsort((self._column_of_block, pool))]

        # Cells lie row after row, as wide as there are columns of the row's given label.
        widths = np.bincount(given_of_column)
        row_widths = widths[given_of_row]
        self._n_cells = int(row_widths.sum())
        first_cell = np.cumsum(row_widths) - row_widths
        first_column = np.cumsum(widths) - widths
        row_of_tally, self._block_of_tally, tally = _number_pairs(row, block)
        self._tallies = np.bincount(tally)
        self._cell_less_column = (first_cell - first_column[given_of_row])[row_of_tally]

    def observed(self) -> ClassCounts:
        """The counts with the classes as they are."""
        return self._count(self._column_of_block)

    def shuffled(self, generator: np.random.Generator) -> ClassCounts:
        """The counts with the classes dealt anew."""
        place_of_unit = generator.permutation(self._n_places)
        order = np.argsort(self._first_place + place_of_unit[self._unit_of_block])
        column_of_block = np.empty_like(self._columns_to_deal)
        column_of_block[order] = self._columns_to_deal
        return self._count(column_of_block)

    def _count(self, column_of_block: Codes) -> ClassCounts:
        cells = self._cell_less_column + column_of_block[self._block_of_tally]
        return ClassCounts(
            columns=_sums(self._block_sizes, column_of_block, self._n_columns),
            cells=_sums(self._tallies, cells, self._n_cells),
        )


def sorted_places(name: str, labels: Sequence[Label]) -> list[int]:
    """Where each label stands, in the sorted order of the labels.

    Raises:
        ValueError: they are of different types, so that they have no order; the message calls them
            `name`.
    """
    try:
        return sorted(range(len(labels)), key=lambda place: labels[place])
    except TypeError:
        found = ", ".join(map(repr, labels))
        raise ValueError(f"{name} must be of one type to have an order, got {found}") from None


def _expert_numbers(experts: "ArrayLike", num_experts: int | None) -> Codes:
    numbers = as_array(experts)
    if numbers.ndim != 1 or numbers.size == 0:
        raise ValueError(f"experts must hold one number per token, got shape {numbers.shape}")
    if numbers.dtype.kind not in "iu":
        raise ValueError(f"experts must be whole numbers, got dtype {numbers.dtype}")
    if num_experts is not None and num_experts < 1:
        raise ValueError(f"num_experts must be at least 1, got {num_experts}")
    lowest, highest = int(numbers.min()), int(numbers.max())
    if lowest < -1 or (num_experts is not None and highest >= num_experts):
        below = "" if num_experts is None else f" and below num_experts ({num_experts})"
        raise ValueError(
            f"experts must be at least -1 (no expert){below}, got {lowest} to {highest}"
        )
    if highest < 0:
        raise ValueError(f"experts must name an expert, got -1 for all of {len(numbers)} tokens")
    return numbers.astype(np.intp)


def _check_one_class_per_unit(units: FactorizedLabels, classes: FactorizedLabels) -> None:
    class_of_unit = np.empty(len(units.values), dtype=np.intp)
    class_of_unit[units.codes] = classes.codes
    differs = class_of_unit[units.codes] != classes.codes
    if differs.any():
        row = int(differs.argmax())
        unit = units.codes[row]
        found = classes.values[classes.codes[row]], classes.values[class_of_unit[unit]]
        raise ValueError(
            "classes must be the same for all tokens of a unit, for it is the class of the unit "
            f"that is shuffled; unit {units.values[unit]!r} has {found[0]!r} and {found[1]!r}"
        )


def _check_two(name: str, numbers: Codes) -> None:
    if (numbers == numbers[0]).all():
        raise ValueError(
            f"{name} must be at least two among the tokens that an expert read, got one: "
            "there is nothing to shuffle"
        )


def _number_pairs(first: Codes, second: Codes) -> tuple[Codes, Codes, Codes]:
    """The pairs that occur, in sorted order, as two arrays; and the number of each entry's pair."""
    width = int(second.max()) + 1
    pairs, numbers = np.unique(first * width + second, return_inverse=True)
    return pairs // width, pairs % width, numbers


def _sums(values: Codes, places: Codes, n_places: int) -> Counts:
    """What the values at each place add up to."""
    return np.asarray(np.bincount(places, values, n_places), dtype=np.float64)
