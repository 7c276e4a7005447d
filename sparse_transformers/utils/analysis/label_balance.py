"""How evenly rows are spread over labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from scipy.stats import chisquare

from sparse_transformers.utils.texts import check_list

WELL_BALANCED, MODERATELY_BALANCED = 0.8, 0.5
"""From these balance ratios on a set of labels is called so."""


@dataclass(frozen=True)
class LabelDistribution:
    """How often each label occurs.

    Attributes:
        label_counts: rows per label, in the order of the labels.
        label_proportions: the same as shares.
        num_unique_labels: labels that occur.
        most_common_label: the accuracy of always guessing it is its proportion.
        least_common_label: of those that occur.
        balance_ratio: rows of the least common label per row of the most common one.
        imbalance_severity: chi-square against equal counts; it grows with the number of rows.
        imbalance_p_value: of equal shares, for rows that are independent.
        balance_class: in words, from the balance ratio.
    """

    label_counts: dict[str, int]
    label_proportions: dict[str, float]
    num_unique_labels: int
    most_common_label: str
    least_common_label: str
    balance_ratio: float
    imbalance_severity: float
    imbalance_p_value: float
    balance_class: str


def analyze_label_distribution(
    labels: Iterable[object], order: Sequence[str] | None = None
) -> LabelDistribution:
    """Count labels; missing ones are left out.

    Args:
        labels: one per row, named by `str`.
        order: of the labels; by default that of the alphabet.

    Raises:
        ValueError: there is no label, or one that is not in `order`.
    """
    check_list(labels=labels, order=order)
    counts = label_names(labels).value_counts()
    if counts.empty:
        raise ValueError("labels must hold at least one that is not missing, got none")
    order = sorted(counts.index) if order is None else [each for each in order if each in counts]
    if unknown := set(counts.index) - set(order):
        raise ValueError(f"labels must be among {', '.join(order)}, got {sorted(unknown)}")
    counts = counts[order]
    shares = counts / counts.sum()
    ratio = float(counts.min() / counts.max())
    test = chisquare(counts)
    return LabelDistribution(
        label_counts={name: int(count) for name, count in counts.items()},
        label_proportions={name: float(share) for name, share in shares.items()},
        num_unique_labels=len(counts),
        most_common_label=str(counts.idxmax()),
        least_common_label=str(counts.idxmin()),
        balance_ratio=ratio,
        imbalance_severity=float(test.statistic),
        imbalance_p_value=1.0 if len(counts) == 1 else float(test.pvalue),
        balance_class=_balance_class(ratio),
    )


def label_names(labels: Iterable[object]) -> pd.Series:
    """Labels as text, without the missing ones; the index says in which row each stood."""
    column = pd.Series(labels).dropna()
    column = column.map(str)
    return column[column.str.strip() != ""]


def _balance_class(ratio: float) -> str:
    if ratio > WELL_BALANCED:
        return "Well-balanced"
    return "Moderately balanced" if ratio > MODERATELY_BALANCED else "Highly imbalanced"
