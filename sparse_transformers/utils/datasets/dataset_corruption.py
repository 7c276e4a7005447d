"""Tables changed on purpose: balanced, or damaged in places that are known."""

import string
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sparse_transformers.utils.datasets.dataset_statistics import text_columns

ISSUE_KINDS = ("missing", "duplicate", "label", "noise")
"""A cell lost, a row replaced by a copy of another, a label replaced, and letters after a text."""


@dataclass(frozen=True)
class QualityIssue:
    """One place where a table was damaged.

    Attributes:
        kind: one of `ISSUE_KINDS`.
        row: the damaged row, counted from 0, whatever the table's index is.
        column: the damaged column; None for a whole row.
    """

    kind: str
    row: int
    column: str | None


@dataclass(frozen=True, eq=False)
class CorruptedSample:
    """A damaged table, and the record of the damage: what a detector should find.

    Attributes:
        table: the damaged table.
        issues: each damage, in the order of the rows.
    """

    table: pd.DataFrame
    issues: tuple[QualityIssue, ...]


def create_balanced_dataset(
    df: pd.DataFrame, label_column: str = "label", target_size: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """As many rows of each class, drawn without replacement, in random order and numbered anew.

    Args:
        df: the rows.
        label_column: what is to be balanced.
        target_size: the number of rows in all, rounded down to a multiple of the number of classes.
            None keeps as many as the rarest class allows.
        seed: the seed of the choice and the order.

    Raises:
        ValueError: there is no such column, no row, or a row without a label, or `target_size` is
            more than the rarest class allows or less than one row per class.

    Example:
        >>> import sparse_transformers as st
        >>> import pandas as pd
        >>> claims = pd.DataFrame({"text": ["a", "b", "c"], "label": ["true", "true", "false"]})
        >>> st.create_balanced_dataset(claims)["label"].value_counts().to_dict()
        {'...': 1, '...': 1}
    """
    _check_column(df, label_column)
    labels = df[label_column].astype(object)  # a categorical would count classes that never occur
    if df.empty or labels.isna().any():
        raise ValueError(
            f"df must have rows, all with a {label_column}, got {len(df)} rows, "
            f"{labels.isna().sum()} without"
        )
    counts = labels.value_counts()
    largest = int(counts.min()) * len(counts)
    if target_size is None:
        target_size = largest
    if not len(counts) <= target_size <= largest:
        raise ValueError(
            f"target_size must be between {len(counts)}, one row per class, and {largest}, what "
            f"the rarest class, {counts.idxmin()!r}, allows, got {target_size}"
        )
    rng = np.random.default_rng(seed)
    chosen = df.groupby(labels, sort=False).sample(target_size // len(counts), random_state=rng)
    return chosen.iloc[rng.permutation(len(chosen))].reset_index(drop=True)


def add_data_quality_issues(
    df: pd.DataFrame, corruption_rate: float = 0.05, seed: int = 0
) -> pd.DataFrame:
    """The table of `corrupt_dataset`.

    Example:
        >>> import sparse_transformers as st
        >>> claims = st.generate_liar_sample(100)
        >>> damaged = st.add_data_quality_issues(claims, corruption_rate=0.2)
        >>> int((damaged != claims).any(axis=1).sum())
        20
    """
    return corrupt_dataset(df, corruption_rate, seed).table


def corrupt_dataset(
    df: pd.DataFrame, corruption_rate: float = 0.05, seed: int = 0, *, label_column: str = "label"
) -> CorruptedSample:
    """Damage a share of the rows, each in one way, and record where.

    Each damaged row gets one of `ISSUE_KINDS`, all equally probable: any of its cells is emptied;
    the row becomes a copy of one that is not damaged; its label becomes another one that occurs in
    the table; or three letters are added to one of its texts. A kind that a row has no room for (no
    second label, no text, no row to copy) is left out.

    Args:
        df: the rows. It is not changed.
        corruption_rate: the share of the rows to damage, from 0 to 1.
        seed: the seed of all choices.
        label_column: what "label" replaces. A table without it keeps its labels.

    Raises:
        ValueError: the rate is not from 0 to 1, or the table has no column or names one twice.
    """
    if not 0 <= corruption_rate <= 1:
        raise ValueError(f"corruption_rate must be from 0 to 1, got {corruption_rate}")
    if not len(df.columns) or not df.columns.is_unique:
        raise ValueError(f"df must have columns of different names, got {list(df.columns)}")
    rng = np.random.default_rng(seed)
    damaged = rng.permutation(len(df))[: round(corruption_rate * len(df))]
    intact = np.setdiff1d(np.arange(len(df)), damaged).tolist()
    filled = df.notna()
    labels = df[label_column].dropna().unique() if label_column in df else np.empty(0)
    texts = [column for column in text_columns(df) if column != label_column]

    table, copied, issues = df.copy(), np.arange(len(df)), []
    emptied = {column: np.zeros(len(df), dtype=bool) for column in df}
    for row in damaged.tolist():
        targets: dict[str, list[Any]] = {
            "missing": [column for column in df if filled[column].iloc[row]],
            "duplicate": intact,
            "label": [
                label
                for label in labels
                if filled[label_column].iloc[row] and label != df[label_column].iloc[row]
            ],
            "noise": [column for column in texts if isinstance(df[column].iloc[row], str)],
        }
        kinds = [kind for kind in ISSUE_KINDS if targets[kind]]
        if not kinds:
            continue
        kind = str(rng.choice(kinds))
        target = targets[kind][rng.integers(len(targets[kind]))]
        match kind:
            case "missing":
                emptied[target][row] = True
            case "duplicate":
                copied[row] = target
            case "label":
                table.iloc[row, df.columns.get_loc(label_column)] = target
            case "noise":
                letters = "".join(rng.choice(list(string.ascii_lowercase), size=3))
                table.iloc[row, df.columns.get_loc(target)] += f" {letters}"
        column = {"duplicate": None, "label": label_column}.get(kind, target)
        issues.append(QualityIssue(kind, row, column))

    table = table.iloc[copied].set_axis(df.index)
    for column, rows in emptied.items():
        if rows.any():
            table[column] = table[column].mask(rows)
    return CorruptedSample(table, tuple(sorted(issues, key=lambda issue: issue.row)))


def _check_column(df: pd.DataFrame, column: str) -> None:
    if column not in df:
        raise ValueError(f"label_column must be one of {list(df.columns)}, got {column!r}")
