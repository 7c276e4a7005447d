"""What a classifier may read of a table of claims, and what it is asked."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sparse_transformers.utils.dataset_loaders import LIAR_HISTORY, LIAR_LABELS

TEXT, METADATA, HISTORY = "text", "metadata", "history"

LIAR_METADATA = ("subject", "speaker", "speaker_job", "state_info", "party_affiliation")
MOST_COUNTED = 20  # higher counts are rare, and would each be a word of its own


@dataclass(frozen=True, eq=False)
class ClaimCorpus:
    """A table of claims, ready to be learned from.

    Attributes:
        name: of the data set.
        train: rows with a text in every field; in the same order as `train_labels`.
        valid: likewise.
        train_labels: of the rows to learn from.
        valid_labels: of the rows that are held out.
        classes: the labels, from the least to the most truthful.
        truthful: those that count as truthful where two classes are wanted.
        fields: by part (text, metadata, history): the fields to read.
        group: the column whose values belong together (a speaker, a question).
        valid_groups: its values in the held-out rows.
        train_groups: its values in the rows to learn from, if those of `valid` are all different
            ones: then cross-validation must keep them apart too. None otherwise.
        mark_repeats: whether words that a later field repeats are told apart.
    """

    name: str
    train: pd.DataFrame
    valid: pd.DataFrame
    train_labels: tuple[str, ...]
    valid_labels: tuple[str, ...]
    classes: tuple[str, ...]
    truthful: tuple[str, ...]
    fields: dict[str, tuple[str, ...]]
    group: str
    valid_groups: tuple[str, ...]
    train_groups: tuple[str, ...] | None
    mark_repeats: bool

    def fields_of(self, *parts: str) -> tuple[str, ...]:
        """The fields of some parts, in order."""
        return tuple(field for part in parts for field in self.fields[part])


def make_corpus(name: str, table: pd.DataFrame) -> ClaimCorpus:
    """What to learn from a table as `load_liar` or `load_judged_answers` returns them.

    Args:
        name: of the data set.
        table: with a `split` column; rows of "train" are learned from, those of "valid" held out.

    Raises:
        ValueError: the table has neither the columns of LIAR nor those of judged answers, or lacks
            rows of a split.
    """
    splits = set(table["split"]) if "split" in table else set()
    if not {"train", "valid"} <= splits:
        raise ValueError(
            f"{name} must have a split column with train and valid rows, got "
            f"{', '.join(map(repr, sorted(splits))) or 'none'}"
        )
    if {"statement", "label", "truthful", "context", *LIAR_METADATA} <= set(table):
        return _liar_corpus(name, table)
    if {"question", "answer", "truthful"} <= set(table):
        return _answers_corpus(name, table)
    raise ValueError(
        f"{name} must have the columns of LIAR or of judged answers, got {', '.join(table)}"
    )


def _liar_corpus(name: str, table: pd.DataFrame) -> ClaimCorpus:
    rows = pd.DataFrame(
        {
            "statement": table["statement"],
            "metadata": table[list(LIAR_METADATA)].agg(" ".join, axis=1),
            "context": table["context"],
        }
    )
    fields = {TEXT: ("statement",), METADATA: ("metadata", "context")}
    if set(LIAR_HISTORY) <= set(table):
        rows["history"] = _history_words(table)
        fields[HISTORY] = ("history",)
    truthful = set(table.loc[table["truthful"], "label"])
    return _split(
        name,
        table,
        rows,
        labels=table["label"].astype(str),
        classes=LIAR_LABELS,
        truthful=tuple(label for label in LIAR_LABELS if label in truthful),
        fields=fields,
        group="speaker",
        mark_repeats=False,
    )


def _answers_corpus(name: str, table: pd.DataFrame) -> ClaimCorpus:
    return _split(
        name,
        table,
        table[["question", "answer"]],
        labels=pd.Series(np.where(table["truthful"], "true", "false"), index=table.index),
        classes=("false", "true"),
        truthful=("true",),
        fields={TEXT: ("question", "answer")},
        group="question",
        mark_repeats=True,
    )


def _split(
    name: str,
    table: pd.DataFrame,
    rows: pd.DataFrame,
    *,
    labels: pd.Series,
    classes: tuple[str, ...],
    truthful: tuple[str, ...],
    fields: Mapping[str, tuple[str, ...]],
    group: str,
    mark_repeats: bool,
) -> ClaimCorpus:
    train, valid = (table["split"] == part for part in ("train", "valid"))
    groups = table[group].astype(str)
    train_groups, valid_groups = tuple(groups[train]), tuple(groups[valid])
    apart = set(train_groups).isdisjoint(valid_groups)
    return ClaimCorpus(
        name=name,
        train=rows[train],
        valid=rows[valid],
        train_labels=tuple(labels[train]),
        valid_labels=tuple(labels[valid]),
        classes=classes,
        truthful=truthful,
        fields=dict(fields),
        group=group,
        valid_groups=valid_groups,
        train_groups=train_groups if apart else None,
        mark_repeats=mark_repeats,
    )


def _history_words(table: pd.DataFrame) -> pd.Series:
    """The credit history as words: "false3" for three earlier or present false claims."""
    words = [
        column.removesuffix("_count").replace("_", "")
        + table[column].clip(upper=MOST_COUNTED).astype(str)
        for column in LIAR_HISTORY
    ]
    return pd.concat(words, axis=1).agg(" ".join, axis=1)
