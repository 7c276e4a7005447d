"""What several datasets of claims hold, and what in them gives the truth away without reading."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sparse_transformers.experiments.section import Visit
from sparse_transformers.utils.analysis.dataset_columns import find_columns
from sparse_transformers.utils.analysis.dataset_records import DatasetAnalysis
from sparse_transformers.utils.analysis.distribution import Distribution
from sparse_transformers.utils.dataset_analysis import DatasetAnalyzer
from sparse_transformers.utils.dataset_synthesis import generate_liar_sample
from sparse_transformers.utils.report import join

ALL_TEXTS = "all texts"


@dataclass(frozen=True)
class DatasetSurveySettings:
    """How thoroughly to look.

    Attributes:
        synthetic_rows: claims in each of the teaching tables.
        n_shuffles: of the labels, for the associations of columns with the label.
        n_probe_shuffles: fits of every simple model to shuffled labels.
        top_k: frequent words and pairs of words to list.
    """

    synthetic_rows: int = 2000
    n_shuffles: int = 1999
    n_probe_shuffles: int = 20
    top_k: int = 15


@dataclass(frozen=True)
class SurveyedDataset:
    """One dataset and what was found in it.

    Attributes:
        name: for figures and report.
        analysis: what `DatasetAnalyzer` found.
    """

    name: str
    analysis: DatasetAnalysis

    @property
    def main_text(self) -> str | None:
        """The column that the label is about: of a question and an answer, the answer."""
        texts = self.analysis.basic_stats.columns.texts
        return texts[-1] if texts else None

    @property
    def leaks(self) -> bool | None:
        """Whether the label leaks; None if there is nothing to leak."""
        bias = self.analysis.bias
        return None if bias is None else bias.leak.found

    def by_label(self) -> dict[str, tuple[Distribution, Distribution]]:
        """Words and Flesch reading ease of the main text, by label; of all where there is none."""
        if self.analysis.advanced is None or self.main_text is None:
            return {}
        lengths = self.analysis.advanced.text_length_by_label[self.main_text]
        ease = self.analysis.advanced.readability_by_label[self.main_text]
        if lengths:
            return {label: (lengths[label], ease[label]) for label in lengths if label in ease}
        texts = self.analysis.text_analysis[self.main_text]
        words, ease_of_all = texts.word_length_stats, texts.readability.flesch_reading_ease
        return {} if words is None or ease_of_all is None else {ALL_TEXTS: (words, ease_of_all)}


@dataclass(frozen=True)
class DatasetSurvey:
    """Several datasets, side by side.

    Attributes:
        settings: how thoroughly they were looked through.
        datasets: in the order in which they were given.
    """

    settings: DatasetSurveySettings
    datasets: tuple[SurveyedDataset, ...]

    def alike(self, look: Callable[[SurveyedDataset], Any]) -> list[tuple[str, Any]]:
        """What is seen in each dataset: once where it is the same, with the names of all.

        Args:
            look: what to see; datasets without anything to see are left out.
        """
        found: list[tuple[list[str], Any]] = []
        for dataset in self.datasets:
            seen = look(dataset)
            names = next((names for names, other in found if other == seen), None)
            if names is not None:
                names.append(dataset.name)
            elif seen:
                found.append(([dataset.name], seen))
        return [(join(names), seen) for names, seen in found]


def teaching_tables(settings: DatasetSurveySettings, *, seed: int = 0) -> dict[str, pd.DataFrame]:
    """The same invented claims twice: without any leak, and with LIAR's credit history."""
    rows = settings.synthetic_rows
    return {
        "synthetic LIAR": generate_liar_sample(rows, seed=seed),
        "synthetic LIAR with history": generate_liar_sample(rows, seed=seed, leaky_history=True),
    }


def survey_datasets(visit: Visit) -> DatasetSurvey:
    """Analyze every table of the user, or else the teaching tables.

    Questions with lists of right and wrong answers, as `load_truthfulqa` returns them, become one
    row per answer.

    Raises:
        ValueError: a table has no rows.
    """
    settings = visit.settings
    tables = visit.tables or teaching_tables(settings, seed=visit.seed)
    surveyed = []
    for name, table in tables.items():
        claims = one_answer_per_row(table)
        visit.say(f"looking through {name}, {len(claims):,} rows")
        analyzer = DatasetAnalyzer(
            claims,
            n_shuffles=settings.n_shuffles,
            n_probe_shuffles=settings.n_probe_shuffles,
            top_k=settings.top_k,
            seed=visit.seed,
        )
        surveyed.append(SurveyedDataset(name, analyzer.analyze(include_advanced=True)))
    return DatasetSurvey(settings, tuple(surveyed))


def one_answer_per_row(table: pd.DataFrame) -> pd.DataFrame:
    """Questions with lists of answers as rows of `question`, `answer` and `truthful`.

    Other columns but the best answers are repeated; an answer listed twice stands once. A table
    without such lists, or with labels already, is returned as it is.
    """
    lists = {"correct_answers": True, "incorrect_answers": False}
    if find_columns(table).label is not None or not all(
        name in table and table[name].map(_is_list).all() for name in lists
    ):
        return table
    shared = [
        name for name in table if name not in (*lists, "best_answer", "best_incorrect_answer")
    ]
    sides = [
        table[[*shared, name]].rename(columns={name: "answer"}).assign(truthful=truthful)
        for name, truthful in lists.items()
    ]
    rows = pd.concat(sides, ignore_index=True).explode("answer", ignore_index=True)
    return rows.dropna(subset="answer").drop_duplicates(ignore_index=True)


def _is_list(cell: object) -> bool:
    return isinstance(cell, list)
