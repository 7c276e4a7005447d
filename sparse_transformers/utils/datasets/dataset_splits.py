"""Rows into training and held-out rows: at random, by class, or with groups kept whole."""

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split


def split_by_group(
    frame: pd.DataFrame, column: str, *, valid_fraction: float, seed: int
) -> pd.DataFrame:
    """A copy with a `split` column, "train" or "valid", where no group is on both sides.

    Rows that share a value in `column` (a question, a speaker) are not independent: were they on
    both sides, the held-out score would be too good. A `split` that was there is replaced.

    Args:
        frame: the rows; their order and their number per group do not matter.
        column: what names the group of a row.
        valid_fraction: the share of the groups (not of the rows) on the held-out side, at least
            one group on either side.
        seed: the seed of the choice.

    Raises:
        ValueError: there is no such column, it has missing values or fewer than two groups, or
            `valid_fraction` is not between 0 and 1.
    """
    _check_column(frame, column, "column")
    _check_fraction("valid_fraction", valid_fraction)
    groups, names = pd.factorize(frame[column], sort=True)
    if len(names) < 2:
        raise ValueError(f"{column!r} must hold at least 2 groups to be split, got {len(names)}")
    n_valid = min(max(1, round(valid_fraction * len(names))), len(names) - 1)
    splitter = GroupShuffleSplit(n_splits=1, test_size=n_valid, random_state=seed)
    _, valid_rows = next(splitter.split(frame, groups=groups))
    split = np.full(len(frame), "train", dtype=object)
    split[valid_rows] = "valid"
    return frame.assign(split=split)


def create_train_test_split(
    df: pd.DataFrame,
    test_size: float = 0.2,
    stratify_column: str | None = None,
    random_state: int = 42,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows, drawn at random and numbered anew.

    Args:
        df: the rows.
        test_size: the share of the rows on the test side.
        stratify_column: keep the shares of this column's values alike on both sides.
        random_state: seed of the choice.

    Raises:
        ValueError: there is no such column, it has missing values or a value that occurs only
            once, there are too few rows, or `test_size` is not between 0 and 1.
    """
    _check_fraction("test_size", test_size)
    stratify = None
    if stratify_column is not None:
        _check_column(df, stratify_column, "stratify_column")
        stratify = df[stratify_column]
        if rare := [name for name, count in stratify.value_counts().items() if count < 2]:
            raise ValueError(
                f"stratify_column must hold each value at least twice, got {rare} once in "
                f"{stratify_column!r}"
            )
    train, test = train_test_split(
        df, test_size=test_size, stratify=stratify, random_state=random_state
    )
    return train.reset_index(drop=True), test.reset_index(drop=True)


def _check_column(frame: pd.DataFrame, column: str, argument: str) -> None:
    if column not in frame.columns:
        raise ValueError(f"{argument} must be one of {list(frame.columns)}, got {column!r}")
    if n_missing := int(frame[column].isna().sum()):
        raise ValueError(f"{column!r} must have no missing values, got {n_missing}")


def _check_fraction(argument: str, fraction: float) -> None:
    if not 0 < fraction < 1:
        raise ValueError(f"{argument} must be between 0 and 1, got {fraction}")
