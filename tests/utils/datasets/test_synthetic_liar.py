"""Synthetic LIAR has the form of the real files, and their flaw where asked for."""

import numpy as np
import pandas as pd

from sparse_transformers.utils.dataset_loaders import (
    LIAR_COLUMNS,
    LIAR_HISTORY,
    LIAR_LABELS,
    load_liar,
)
from sparse_transformers.utils.dataset_synthesis import generate_liar_sample, synthesize_liar


def test_liar_table_is_one_that_the_loader_returns(tmp_path):
    table = generate_liar_sample(300, seed=1, leaky_history=True)
    for split, rows in table.groupby("split"):
        rows[list(LIAR_COLUMNS)].to_csv(
            tmp_path / f"{split}.tsv", sep="\t", header=False, index=False
        )
    pd.testing.assert_frame_equal(load_liar(tmp_path, include_history=True), table)
    pd.testing.assert_frame_equal(load_liar(tmp_path), generate_liar_sample(300, seed=1))


def test_history_counts_the_verdicts_of_the_speaker_with_the_row_s_own():
    table = generate_liar_sample(400, seed=2, leaky_history=True)
    for row in table.to_dict("records"):
        own = table.loc[table["speaker"] == row["speaker"], "label"].tolist()
        for column in LIAR_HISTORY:
            assert row[column] == own.count(column.removesuffix("_count").replace("_", "-"))


def test_history_exceeds_the_ceiling_of_the_text_as_in_the_real_files():
    sample = synthesize_liar(4000, seed=3, leaky_history=True)
    counts = sample.table[list(LIAR_HISTORY)].to_numpy()
    ordinal = [LIAR_LABELS.index(c.removesuffix("_count").replace("_", "-")) for c in LIAR_HISTORY]
    guess = np.where(counts.any(axis=1), np.array(ordinal)[counts.argmax(axis=1)], 5)
    valid = sample.table["split"] == "valid"
    # The real files: .43 on train and valid.
    assert 0.4 < (guess == sample.table["truth_level"])[valid].mean() < 0.5
