"""What the columns of a dataset of claims are for, found by their names and values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from pandas.api import types

AUTO = "auto"
"""Find the column by its name."""

LABELS = ("label", "truthful", "truth_level", "verdict", "target")
TEXTS = (
    "statement",
    "claim",
    "question",
    "answer",
    "best_answer",
    "best_incorrect_answer",
    "text",
)
SPLITS = ("split",)
WORDS_OF_A_TEXT = 4
"""In a table without a known name, a column of different cells this long on average holds texts."""


@dataclass(frozen=True)
class DatasetColumns:
    """The part that each column plays; None or empty where there is none.

    Attributes:
        label: what is to be predicted.
        targets: the label in other words (`truth_level` beside `label`); never an input.
        texts: what is to be read.
        split: "train", "valid" or the like.
        group: what makes rows belong together: the speaker, or the question of several answers.
        categories: names of things, such as a party; a cell may list several, with commas.
        numbers: measures and counts.
        left_out: identifiers, lists, dates, and columns without two different values.
    """

    label: str | None
    targets: tuple[str, ...]
    texts: tuple[str, ...]
    split: str | None
    group: str | None
    categories: tuple[str, ...]
    numbers: tuple[str, ...]
    left_out: tuple[str, ...]


def find_columns(
    table: pd.DataFrame,
    *,
    label_column: str | None = AUTO,
    text_columns: Sequence[str] | str = AUTO,
    split_column: str | None = AUTO,
    group_column: str | None = AUTO,
) -> DatasetColumns:
    """Tell the parts of the columns.

    Args:
        table: one claim, question or answer per row.
        label_column: "auto" takes the first of `LABELS`, None says that there is no label.
        text_columns: "auto" takes those of `TEXTS`, else those that look like texts.
        split_column: "auto" takes "split".
        group_column: "auto" takes "speaker", else "question" where there is an "answer" too.

    Raises:
        ValueError: the table has no rows, two columns of one name, or lacks a named column.
    """
    if table.empty or not table.columns.is_unique:
        raise ValueError(
            "table must have rows, and columns of different names, "
            f"got {len(table)} rows of {list(table.columns)}"
        )
    names = [str(name) for name in table.columns]
    label = _choose(label_column, LABELS, names, "label_column")
    split = _choose(split_column, SPLITS, names, "split_column")
    if text_columns == AUTO:
        texts = [name for name in names if name in TEXTS and not is_missing(table[name]).all()]
        texts = texts or [name for name in names if name != label and _looks_like_text(table[name])]
    else:
        texts = [text_columns] if isinstance(text_columns, str) else list(text_columns)
        for name in texts:
            _choose(name, (), names, "text_columns")
    groups = ["speaker", *(["question"] if "answer" in names else [])]
    group = _choose(group_column, groups, names, "group_column")

    parts: dict[str, list[str]] = {"targets": [], "categories": [], "numbers": [], "left_out": []}
    for name in names:
        if name not in (label, split, *texts):
            parts[_part(table[name], name, has_label=label is not None)].append(name)
    return DatasetColumns(
        label=label,
        texts=tuple(texts),
        split=split,
        group=group,
        **{part: tuple(members) for part, members in parts.items()},
    )


def is_identifier(name: str) -> bool:
    """Whether a column only tells rows apart."""
    return name == "id" or name.endswith("_id")


def is_missing(column: pd.Series) -> pd.Series:
    """Which cells hold nothing: None, NaN, blanks, or an empty list."""
    return column.map(_is_empty).astype(bool)


def _choose(
    asked: str | None, known: Iterable[str], names: Sequence[str], argument: str
) -> str | None:
    if asked == AUTO:
        return next((name for name in known if name in names), None)
    if asked is not None and asked not in names:
        raise ValueError(f"{argument} must be one of {', '.join(names)}, got {asked!r}")
    return asked


def _looks_like_text(column: pd.Series) -> bool:
    filled = column[~is_missing(column)]
    if filled.empty or not filled.map(lambda cell: isinstance(cell, str)).all():
        return False
    return filled.str.split().str.len().mean() >= WORDS_OF_A_TEXT and filled.is_unique


def _part(column: pd.Series, name: str, *, has_label: bool) -> str:
    if has_label and name in LABELS:
        return "targets"
    filled = column[~is_missing(column)]
    if is_identifier(name) or types.is_datetime64_any_dtype(column):
        return "left_out"
    if filled.map(lambda cell: isinstance(cell, list | tuple | set | dict)).any():
        return "left_out"
    if column.map(str).nunique() < 2:
        return "left_out"
    is_number = types.is_numeric_dtype(column) and not types.is_bool_dtype(column)
    return "numbers" if is_number else "categories"


def _is_empty(cell: object) -> bool:
    if isinstance(cell, str):
        return not cell.strip()
    if isinstance(cell, list | tuple | set | dict):
        return not cell
    return bool(pd.isna(cell))
