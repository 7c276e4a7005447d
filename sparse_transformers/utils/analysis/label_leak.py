"""Does a column give the label away? Three signs, each with the number that it rests on.

1. A single column from whose value the label follows.
2. Numbers that, taken together, predict the label far better than text or metadata do.
3. Counts of the labels themselves ("false_count" beside the label "false") whose largest names the
   label. A count of earlier statements would tell a little; but where the counts add up to one and
   that one names the row's own label, they were made with the row already in them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from sparse_transformers.utils.analysis.dataset_bias import ColumnAssociation
from sparse_transformers.utils.analysis.dataset_columns import DatasetColumns
from sparse_transformers.utils.analysis.label_probes import SIGNIFICANT, LabelProbes

FOLLOWS = 0.9
"""A column that explains more of the label than this gives it away."""

FAR = 0.05
"""Numbers that are certainly more accurate than text and metadata by more than this leak."""

_FILLER = {"count", "counts", "n", "num", "number", "of", "total"}


@dataclass(frozen=True)
class NamedCounts:
    """What the counts called after labels say about the label of their own row.

    Attributes:
        columns: the count of each label, by the label; labels may lack one.
        rows: in which one count is the largest.
        hit_share: of these rows, the share whose label that count names.
        chance_share: what would be expected if counts and labels had nothing to do with each other.
        single_rows: in which the counts add up to 1.
        single_hit_share: of these, the share whose label the count of 1 names; None without rows.
        single_chance_share: what would be expected by chance.
        single_p_value: of so many hits by chance; None without rows.
    """

    columns: dict[str, str]
    rows: int
    hit_share: float
    chance_share: float
    single_rows: int
    single_hit_share: float | None
    single_chance_share: float | None
    single_p_value: float | None

    @property
    def include_own_row(self) -> bool:
        """Whether a single count names its row's label more often than not, beyond chance."""
        return (
            self.single_hit_share is not None
            and self.single_p_value is not None
            and self.single_hit_share > 0.5
            and self.single_p_value < SIGNIFICANT
        )


@dataclass(frozen=True)
class LabelLeak:
    """What gives the label away.

    Attributes:
        telling_columns: from whose value alone the label follows.
        number_columns: that were tried together.
        numbers_win: whether they are more accurate than text and metadata by more than `FAR`, with
            the whole of the interval.
        named_counts: of the labels themselves; None if the table has no such counts.
    """

    telling_columns: tuple[str, ...]
    number_columns: tuple[str, ...]
    numbers_win: bool
    named_counts: NamedCounts | None

    @property
    def found(self) -> bool:
        """Whether there is any sign of a leak."""
        counts = self.named_counts
        own = counts is not None and counts.include_own_row
        return bool(self.telling_columns) or self.numbers_win or own


def find_label_leak(
    table: pd.DataFrame,
    columns: DatasetColumns,
    associations: Sequence[ColumnAssociation],
    probes: LabelProbes | None,
) -> LabelLeak:
    """Gather the signs of a leak.

    Args:
        table: the rows.
        columns: what its columns are for; there must be a label.
        associations: the result of `measure_associations`.
        probes: the result of `probe_labels`.
    """
    return LabelLeak(
        telling_columns=tuple(
            each.column for each in associations if each.is_significant and each.explained > FOLLOWS
        ),
        number_columns=columns.numbers,
        numbers_win=probes is not None
        and probes.advantage is not None
        and probes.advantage.low > FAR,
        named_counts=read_named_counts(table, columns),
    )


def read_named_counts(table: pd.DataFrame, columns: DatasetColumns) -> NamedCounts | None:
    """Compare counts called after labels with the labels.

    Returns:
        None if fewer than two labels have such a column, or no row has a largest count.
    """
    labels = table[columns.label].map(str)
    by_name = {_bare(name): name for name in columns.numbers}
    matched = {
        label: by_name[_bare(label)] for label in sorted(labels.unique()) if _bare(label) in by_name
    }
    if len(matched) < 2:
        return None
    counts = table[list(matched.values())].fillna(0).to_numpy(dtype=np.float64)
    names = np.array(list(matched), dtype=object)[counts.argmax(axis=1)]
    has_largest = (counts == counts.max(axis=1, keepdims=True)).sum(axis=1) == 1
    if not has_largest.any():
        return None
    hits, chance = _hits(labels[has_largest], names[has_largest])
    is_single = has_largest & (counts.sum(axis=1) == 1)
    n_single = int(is_single.sum())
    single_hits, single_chance = _hits(labels[is_single], names[is_single])
    return NamedCounts(
        columns=matched,
        rows=int(has_largest.sum()),
        hit_share=hits / int(has_largest.sum()),
        chance_share=chance,
        single_rows=n_single,
        single_hit_share=single_hits / n_single if n_single else None,
        single_chance_share=single_chance if n_single else None,
        single_p_value=(
            float(binomtest(single_hits, n_single, single_chance, "greater").pvalue)
            if n_single
            else None
        ),
    )


def _bare(name: str) -> str:
    """A name without its filler: "pants_fire_count" and "pants-fire" are both "pants fire"."""
    words = re.findall(r"[a-z]+", name.lower())
    return " ".join(word for word in words if word not in _FILLER)


def _hits(labels: pd.Series, named: np.ndarray) -> tuple[int, float]:
    """How many names are right, and the share that would be if they were shuffled."""
    if labels.empty:
        return 0, 0.0
    shares = labels.value_counts(normalize=True)
    chance = pd.Series(named).map(shares).fillna(0.0).mean()
    return int((labels.to_numpy() == named).sum()), float(chance)
