"""A table of claims as inputs and labels: the fields, the classes and the groups of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sparse_transformers.utils.dataset_loaders import LIAR_HISTORY, LIAR_LABELS

TEXT, METADATA, HISTORY = "text", "metadata", "history"

LIAR_METADATA = ("subject", "speaker", "speaker_job", "state_info", "party_affiliation")
MOST_COUNTED = 20  # higher counts are rare, and each would be a word of its own


@dataclass(frozen=True, eq=False)
class ClaimCorpus:
    """Training rows and held-out rows of a table of claims.

    Attributes:
        name: name of the data set.
        train: the training rows, with a text in every field.
        valid: the held-out rows, likewise.
        train_labels: the labels of `train`, in the same order.
        valid_labels: the labels of `valid`, in the same order.
        classes: all labels, from the least to the most truthful.
        truthful: the labels that count as truthful in a task of two classes.
        fields: the fields of each part (text, metadata, history).
        group: the column whose equal values mark rows that are not independent, such as the
            speaker or the question.
        valid_groups: its values in `valid`.
        train_groups: its values in `train`, if `valid` has none of them: cross-validation must then
            keep groups whole, too. None otherwise.
        mark_repeats: whether a word of a later field that an earlier one holds too is a token of
            its own.
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
        """The fields of the given parts, in order."""
        return tuple(field for part in parts for field in self.fields[part])


def make_corpus(name: str, table: pd.DataFrame) -> ClaimCorpus:
    """The corpus of a table as `load_liar` or `load_judged_answers` returns it.

    Args:
        name: name of the data set.
        table: has a column `split`, with "train" in training rows and "valid" in held-out rows.

    Raises:
        ValueError: the table has neither the columns of LIAR nor those of judged answers, or has
            no rows of a split.
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
