"""What is in a dataset of claims, what is wrong with it, and what gives its labels away."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal, overload

import pandas as pd

from sparse_transformers.utils.analysis.data_quality import detect_data_quality_issues
from sparse_transformers.utils.analysis.dataset_bias import bias_features, measure_associations
from sparse_transformers.utils.analysis.dataset_columns import AUTO, find_columns, is_identifier
from sparse_transformers.utils.analysis.dataset_records import (
    AdvancedAnalysis,
    BasicStats,
    BiasAnalysis,
    DatasetAnalysis,
)
from sparse_transformers.utils.analysis.dataset_report import write_report
from sparse_transformers.utils.analysis.distribution import Distribution, distribution_of
from sparse_transformers.utils.analysis.label_balance import analyze_label_distribution, label_names
from sparse_transformers.utils.analysis.label_leak import find_label_leak
from sparse_transformers.utils.analysis.label_probes import probe_labels
from sparse_transformers.utils.analysis.readability import readability_table
from sparse_transformers.utils.analysis.split_overlap import measure_split_overlap
from sparse_transformers.utils.analysis.text_statistics import analyze_text_patterns, clean_texts
from sparse_transformers.utils.records import to_json


class DatasetAnalyzer:
    """Looks through a table of claims.

    Columns are found by their names, as the loaders and generators of this library give them; see
    `find_columns` for the names and what "auto" means. Whatever is drawn at random depends on the
    seed alone, and the table is left as it is.

    Args:
        df: one claim, question or answer per row.
        label_column: what is to be predicted; None if nothing is.
        text_columns: what is to be read.
        split_column: which rows are for training; None if there is no such division.
        group_column: what makes rows belong together; None if nothing does.
        n_shuffles: of the labels, for the associations.
        n_probe_shuffles: fits of every probe to shuffled labels.
        top_k: how many frequent words and pairs of words to list.
        seed: the seed of every random choice.

    Raises:
        ValueError: the table has no rows or lacks a named column.

    Example:
        >>> table = pd.DataFrame({"claim": ["It rains.", "It snows."], "label": [True, False]})
        >>> DatasetAnalyzer(table).analyze().label_analysis.balance_class
        'Well-balanced'
    """

    def __init__(
        self,
        df: pd.DataFrame,
        *,
        label_column: str | None = AUTO,
        text_columns: Sequence[str] | str = AUTO,
        split_column: str | None = AUTO,
        group_column: str | None = AUTO,
        n_shuffles: int = 1999,
        n_probe_shuffles: int = 20,
        top_k: int = 20,
        seed: int = 0,
    ) -> None:
        self.table = df.rename(columns=str).reset_index(drop=True)
        self.columns = find_columns(
            self.table,
            label_column=label_column,
            text_columns=text_columns,
            split_column=split_column,
            group_column=group_column,
        )
        self.n_shuffles = n_shuffles
        self.n_probe_shuffles = n_probe_shuffles
        self.top_k = top_k
        self.seed = seed

    def analyze(self, include_advanced: bool = False) -> DatasetAnalysis:
        """Find out all there is; a second call costs nothing.

        Args:
            include_advanced: also compare lengths and readability between labels, and numbers with
                each other.

        Raises:
            ValueError: a text column holds something else than texts.
        """
        return replace(self._basic, advanced=self._advanced) if include_advanced else self._basic

    @overload
    def generate_report(self, format: Literal["dict"] = "dict") -> dict[str, Any]: ...

    @overload
    def generate_report(self, format: Literal["text"]) -> str: ...

    def generate_report(self, format: str = "dict") -> dict[str, Any] | str:
        """The whole analysis, as nested dicts or as Markdown with the gravest finding first.

        Raises:
            ValueError: the format is neither "dict" nor "text".
        """
        if format not in ("dict", "text"):
            raise ValueError(f'format must be "dict" or "text", got {format!r}')
        analysis = self.analyze(include_advanced=True)
        return to_json(analysis) if format == "dict" else write_report(analysis)

    @cached_property
    def _basic(self) -> DatasetAnalysis:
        table, columns = self.table, self.columns
        text_analysis = {
            name: analyze_text_patterns(table[name], measures=measures, top_k=self.top_k)
            for name, measures in self._text_measures.items()
        }
        return DatasetAnalysis(
            basic_stats=self._basic_stats(),
            text_analysis=text_analysis,
            label_analysis=(
                analyze_label_distribution(self._labels, self._label_order())
                if len(self._labels)
                else None
            ),
            data_quality=detect_data_quality_issues(
                table,
                columns.texts,
                label_column=columns.label,
                ignore=[name for name in table if name == columns.split or is_identifier(name)],
            ),
            split_overlap=measure_split_overlap(table, columns),
            bias=self._measure_bias() if self._labels.nunique() > 1 else None,
        )

    @cached_property
    def _labels(self) -> pd.Series:
        """The labels as text, without the missing ones."""
        if self.columns.label is None:
            return pd.Series(dtype=object)
        return label_names(self.table[self.columns.label])

    @cached_property
    def _text_measures(self) -> dict[str, pd.DataFrame]:
        return {
            name: readability_table(clean_texts(self.table[name])) for name in self.columns.texts
        }

    @cached_property
    def _advanced(self) -> AdvancedAnalysis:
        numbers = self.table[list(self.columns.numbers)]
        correlations = numbers.corr("spearman").dropna(how="all").dropna(axis=1, how="all")
        return AdvancedAnalysis(
            text_length_by_label=self._by_label("words"),
            readability_by_label=self._by_label("flesch_reading_ease"),
            numeric_correlations={
                str(name): {str(other): float(value) for other, value in row.dropna().items()}
                for name, row in correlations.iterrows()
            },
        )

    def _basic_stats(self) -> BasicStats:
        table, columns = self.table, self.columns
        splits = {} if columns.split is None else table[columns.split].map(str).value_counts()
        groups = [] if columns.group is None else table[columns.group].value_counts()
        return BasicStats(
            total_samples=len(table),
            data_types={name: str(kind) for name, kind in table.dtypes.items()},
            columns=columns,
            rows_per_split={name: int(count) for name, count in splits.items()},
            rows_per_group=distribution_of(groups),
            groups=len(groups),
        )

    def _measure_bias(self) -> BiasAnalysis:
        labelled = self.table.loc[self._labels.index]
        associations = measure_associations(
            self._labels,
            bias_features(labelled, self.columns),
            n_shuffles=self.n_shuffles,
            seed=self.seed,
        )
        probes = probe_labels(
            labelled, self.columns, n_shuffles=self.n_probe_shuffles, seed=self.seed
        )
        leak = find_label_leak(labelled, self.columns, associations, probes)
        return BiasAnalysis(associations, probes, leak)

    def _label_order(self) -> list[str]:
        """By the first numeric form of the label (LIAR's truth level), else by the alphabet."""
        for target in self.columns.targets:
            if pd.api.types.is_numeric_dtype(self.table[target]):
                levels = self.table.loc[self._labels.index, target].groupby(self._labels)
                if (levels.nunique() == 1).all() and levels.first().is_unique:
                    return list(levels.first().sort_values().index)
        return sorted(self._labels.unique())

    def _by_label(self, measure: str) -> dict[str, dict[str, Distribution]]:
        order = self._label_order() if len(self._labels) else []
        measured = {}
        for name, measures in self._text_measures.items():
            values = measures.loc[self._labels.index, measure].dropna()
            by_label = values.groupby(self._labels)
            measured[name] = {
                label: each
                for label in order
                if label in by_label.groups
                and (each := distribution_of(by_label.get_group(label))) is not None
            }
        return measured
