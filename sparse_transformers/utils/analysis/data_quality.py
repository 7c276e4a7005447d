"""Missing cells, repeated rows, odd texts, contradictory labels, and one score over them."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from sparse_transformers.utils.analysis.dataset_columns import is_missing
from sparse_transformers.utils.analysis.text_statistics import clean_texts
from sparse_transformers.utils.texts import check_list

FEWEST_CHARACTERS = 2
"""A text with fewer letters and digits is empty or very short."""
TIMES_THE_MEDIAN = 10
"""A text longer than so many times the median is extremely long."""
SPECIAL_SHARE = 0.3
"""A text with a larger share of signs, blanks aside, is called full of special characters."""

_NO_LETTER = re.compile(r"[\W_]+")
_SPAM = re.compile(r"([^\d\s])\1{4,}|\b(\w+)(?:\W+\2\b){3,}", re.IGNORECASE)


@dataclass(frozen=True)
class MissingData:
    """Cells that hold nothing: None, NaN, blanks or an empty list.

    `columns_with_missing` counts them per column; `percentage_complete` is of all cells.

    Attributes:
        columns_with_missing: empty cells of each column that has any.
        total_missing_values: empty cells in all.
        rows_with_missing: rows with an empty cell.
        percentage_complete: filled cells, in percent of all cells.
    """

    columns_with_missing: dict[str, int]
    total_missing_values: int
    rows_with_missing: int
    percentage_complete: float


@dataclass(frozen=True)
class Duplicates:
    """Rows that repeat an earlier one.

    Attributes:
        duplicate_rows: the same in every column that was compared.
        duplicate_percentage: `duplicate_rows` in percent of all rows.
        repeated_texts: rows with the texts of an earlier row, letter by letter.
        repeated_normalized_texts: the same when capitals, accents' coding, blanks and punctuation
            are ignored.
    """

    duplicate_rows: int
    duplicate_percentage: float
    repeated_texts: int
    repeated_normalized_texts: int


@dataclass(frozen=True)
class TextQuality:
    """How many texts of a column look wrong.

    Attributes:
        empty_or_very_short: fewer than two letters and digits.
        extremely_long: more than ten times the median length.
        high_special_char_ratio: more than 30% signs.
        potential_spam: a character five times, or a word four times, in a row.
    """

    empty_or_very_short: int
    extremely_long: int
    high_special_char_ratio: int
    potential_spam: int


@dataclass(frozen=True)
class Inconsistencies:
    """Texts that bear more than one label: how many there are, and how many rows they fill.

    Attributes:
        label_inconsistencies: texts that have more than one label.
        contradictory_rows: rows with such a text.
    """

    label_inconsistencies: int
    contradictory_rows: int


@dataclass(frozen=True)
class DataQuality:
    """What is wrong with a table.

    Attributes:
        missing_data: empty cells.
        duplicates: repeated rows and texts.
        text_quality: odd texts, by column.
        inconsistencies: contradictory labels.
        overall_quality_score: from 0 to 100, 100 times the mean of `score_terms`.
        score_terms: four shares of what is sound: `filled_cells`; `new_rows`, which do not repeat
            the texts of an earlier row; `sound_texts`, rows without an odd text; `agreeing_rows`,
            whose text has one label.
    """

    missing_data: MissingData
    duplicates: Duplicates
    text_quality: dict[str, TextQuality]
    inconsistencies: Inconsistencies
    overall_quality_score: float
    score_terms: dict[str, float]


def detect_data_quality_issues(
    df: pd.DataFrame,
    text_columns: Sequence[str],
    *,
    label_column: str | None = None,
    ignore: Iterable[str] = (),
) -> DataQuality:
    """Look for what is wrong with a table, row by row.

    Args:
        df: the table.
        text_columns: those that together make the text of a row. Without any, whole rows count.
        label_column: to find contradictions; without it there are none.
        ignore: columns in which repeated rows may differ, such as identifiers.

    Raises:
        ValueError: the table is empty, a column is unknown or texts are not strings.
    """
    check_list(text_columns=text_columns, ignore=ignore)
    wanted = [*text_columns, *([] if label_column is None else [label_column])]
    if df.empty or (unknown := [name for name in wanted if name not in df.columns]):
        problem = "no rows" if df.empty else f"no column {', '.join(unknown)}"
        raise ValueError(f"df must have rows and the named columns, got {problem}")
    missing = pd.DataFrame({name: is_missing(df[name]) for name in df})
    texts = {name: pd.Series(clean_texts(df[name]), index=df.index) for name in text_columns}
    odd = {name: _oddities(column) for name, column in texts.items()}
    is_odd = pd.concat([each.any(axis=1) for each in odd.values()], axis=1) if odd else None

    compared = df.drop(columns=list(ignore), errors="ignore")
    compared = df if compared.columns.empty else compared
    rows = join_texts(compared[name].map(str) for name in compared)
    exact = join_texts(texts.values()) if texts else rows
    normalized = exact.map(normalize_text)
    repeated = normalized.duplicated()
    contradictory = (
        pd.Series(False, index=df.index)
        if label_column is None
        else df[label_column].map(str).groupby(normalized).transform("nunique") > 1
    )
    terms = {
        "filled_cells": 1 - float(missing.to_numpy().mean()),
        "new_rows": 1 - float(repeated.mean()),
        "sound_texts": 1.0 if is_odd is None else 1 - float(is_odd.any(axis=1).mean()),
        "agreeing_rows": 1 - float(contradictory.mean()),
    }
    n_repeated = int(rows.duplicated().sum())
    return DataQuality(
        missing_data=MissingData(
            columns_with_missing={str(name): int(n) for name, n in missing.sum().items() if n},
            total_missing_values=int(missing.to_numpy().sum()),
            rows_with_missing=int(missing.any(axis=1).sum()),
            percentage_complete=100 * terms["filled_cells"],
        ),
        duplicates=Duplicates(
            duplicate_rows=n_repeated,
            duplicate_percentage=100 * n_repeated / len(df),
            repeated_texts=int(exact.duplicated().sum()),
            repeated_normalized_texts=int(repeated.sum()),
        ),
        text_quality={
            name: TextQuality(**{problem: int(n) for problem, n in each.sum().items()})
            for name, each in odd.items()
        },
        inconsistencies=Inconsistencies(
            label_inconsistencies=int(normalized[contradictory].nunique()),
            contradictory_rows=int(contradictory.sum()),
        ),
        overall_quality_score=100 * sum(terms.values()) / len(terms),
        score_terms=terms,
    )


def normalize_text(text: str) -> str:
    """A text without capitals, punctuation and differences in blanks, to tell repeats by."""
    return _NO_LETTER.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def join_texts(columns: Iterable[pd.Series]) -> pd.Series:
    """Several texts of each row as one, in columns that share an index."""
    columns = list(columns)
    return pd.Series(list(map("\n".join, zip(*columns, strict=True))), columns[0].index)


def _oddities(texts: pd.Series) -> pd.DataFrame:
    lengths = texts.str.len()
    characters = texts.str.count(r"[^\W_]")
    visible = texts.str.count(r"\S")
    return pd.DataFrame(
        {
            "empty_or_very_short": characters < FEWEST_CHARACTERS,
            "extremely_long": lengths > TIMES_THE_MEDIAN * lengths[lengths > 0].median(),
            "high_special_char_ratio": visible - characters > SPECIAL_SHARE * visible,
            "potential_spam": texts.map(lambda text: _SPAM.search(text) is not None),
        }
    )
