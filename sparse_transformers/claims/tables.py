"""The published data sets about truthfulness, read from the files that a user has."""

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
    """Load the files that are given; the keys of the result are the names of the data sets.

    Args:
        liar: the folder with train.tsv and valid.tsv. The credit history is loaded too, so that
            the analysis can show that it leaks; no classifier reads it unless told to.
        truthfulqa: the file TruthfulQA.csv.
        judged: a file with a line of JSON for each answer that people judged. The answers are
            split by question into training rows and held-out rows.
        valid_fraction: the share of the questions of `judged` that is held out.
        seed: of the split of `judged`.

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
