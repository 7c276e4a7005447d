"""The published data sets that sections about truthfulness can be run on, where a user has them."""

from pathlib import Path

import pandas as pd

from sparse_transformers.utils.dataset_loaders import (
    load_judged_answers,
    load_liar,
    load_truthfulqa,
    split_by_group,
)

LIAR, JUDGED, TRUTHFULQA = "LIAR", "judged answers", "TruthfulQA"

Tables = dict[str, pd.DataFrame]


def load_tables(
    *,
    liar: str | Path | None = None,
    truthfulqa: str | Path | None = None,
    judged: str | Path | None = None,
    valid_fraction: float = 0.2,
    seed: int = 0,
) -> Tables:
    """Loads the files that are given, by the names of the data sets.

    Args:
        liar: the folder with train.tsv and valid.tsv. Its credit history is loaded too, because the
            analysis shall see the flaw; no model reads it unless it is asked to.
        truthfulqa: TruthfulQA.csv.
        judged: lines of JSON with answers that people judged. They are split by question.
        valid_fraction: the share of the questions that is held out.
        seed: of that split.

    Raises:
        OSError: a file is missing.
        ValueError: a file is malformed; the message names the file, the line and the remedy.
    """
    tables: Tables = {}
    if liar is not None:
        tables[LIAR] = load_liar(liar, include_history=True)
    if judged is not None:
        answers = load_judged_answers(judged)
        tables[JUDGED] = split_by_group(
            answers, "question", valid_fraction=valid_fraction, seed=seed
        )
    if truthfulqa is not None:
        tables[TRUTHFULQA] = load_truthfulqa(truthfulqa)
    return tables
