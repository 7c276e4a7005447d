"""The size and shape of a table at a glance. For more, see `dataset_analysis`."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class LengthStatistics:
    """How long the texts of a column are, in characters. Missing texts do not count.

    Attributes:
        mean: the mean length.
        median: the median length.
        std: of the sample; 0 for a single text.
        min: the shortest length.
        max: the longest length.
    """

    mean: float
    median: float
    std: float
    min: int
    max: int


@dataclass(frozen=True)
class DatasetStatistics:
    """What is in a table.

    Attributes:
        total_samples: rows.
        columns: the names of the columns, in order.
        missing_values: per column, the cells that are empty texts or no value at all.
        data_types: the dtype of each column.
        label_distribution: rows per class of the column "label", the most frequent first; empty
            without that column.
        text_lengths: statistics of each column of texts.
    """

    total_samples: int
    columns: tuple[str, ...]
    missing_values: dict[str, int]
    data_types: dict[str, str]
    label_distribution: dict[str, int]
    text_lengths: dict[str, LengthStatistics]


def get_dataset_statistics(df: pd.DataFrame) -> DatasetStatistics:
    """Count rows, missing cells, labels, and the lengths of all columns of text.

    Example:
        >>> import sparse_transformers as st
        >>> import pandas as pd
        >>> claims = pd.DataFrame({"text": ["It rains.", "It snows."], "label": ["true", "true"]})
        >>> statistics = st.get_dataset_statistics(claims)
        >>> statistics.label_distribution, statistics.text_lengths["text"].mean
        ({'true': 2}, 9.0)
    """
    lengths = {column: df[column].dropna().str.len() for column in text_columns(df)}
    labels = df["label"].value_counts() if "label" in df else {}
    return DatasetStatistics(
        total_samples=len(df),
        columns=tuple(map(str, df)),
        missing_values={
            str(column): int((df[column].isna() | df[column].eq("")).sum()) for column in df
        },
        data_types={str(column): str(dtype) for column, dtype in df.dtypes.items()},
        label_distribution={str(label): int(count) for label, count in labels.items()},
        text_lengths={
            column: LengthStatistics(
                mean=float(length.mean()),
                median=float(length.median()),
                std=float(length.std()) if len(length) > 1 else 0.0,
                min=int(length.min()),
                max=int(length.max()),
            )
            for column, length in lengths.items()
        },
    )


def text_columns(df: pd.DataFrame) -> list[str]:
    """The columns that hold text and nothing else, apart from missing values."""
    return [
        column
        for column in df
        if not isinstance(df[column].dtype, pd.CategoricalDtype)
        and not df[column].dropna().empty
        and df[column].dropna().map(lambda cell: isinstance(cell, str)).all()
    ]
