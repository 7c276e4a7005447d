"""What splits share is what a reader finds by comparing them."""

import pandas as pd

from sparse_transformers.utils.analysis.dataset_columns import find_columns
from sparse_transformers.utils.analysis.split_overlap import measure_split_overlap

TABLE = pd.DataFrame(
    [
        ("Cats bark.", "ann", "train"),
        ("Dogs meow.", "bob", "train"),
        ("Cows fly.", "ann", "train"),
        ("Cats bark.", "eve", "valid"),
        ("DOGS  meow", "ann", "valid"),
        ("Dogs meow!", "ann", "valid"),
        ("Pigs fly high.", "joe", "valid"),
        ("Pigs fly high.", "joe", "test"),
    ],
    columns=["statement", "speaker", "split"],
)


def overlap(table: pd.DataFrame, **options):
    return measure_split_overlap(table, find_columns(table, **options))


def test_shared_texts_speakers_and_words():
    train_valid, train_test, valid_test = overlap(TABLE)
    assert (train_valid.seen, train_valid.held_out) == ("train", "valid")
    assert train_valid.held_out_rows == 4
    assert train_valid.shared_texts == 1
    assert train_valid.shared_normalized_texts == 2
    assert train_valid.rows_with_shared_text == 3
    assert train_valid.shared_groups == 1
    assert train_valid.rows_with_shared_group == 2
    assert train_valid.unseen_word_share == 2 / 9  # pigs, high
    assert train_test.rows_with_shared_text == train_test.shared_groups == 0
    assert (valid_test.shared_texts, valid_test.shared_groups) == (1, 1)


def test_order_of_the_rows_does_not_matter():
    assert overlap(TABLE[::-1].reset_index(drop=True)) == overlap(TABLE)


def test_other_names_of_splits_come_last():
    pairs = overlap(TABLE.replace({"split": {"train": "web"}}))
    assert [(pair.seen, pair.held_out) for pair in pairs] == [
        *(("valid", "test"), ("valid", "web"), ("test", "web"))
    ]


def test_without_groups_only_texts_are_compared():
    pair = overlap(TABLE, group_column=None)[0]
    assert (pair.shared_groups, pair.rows_with_shared_group) == (None, None)
    assert pair.shared_texts == 1


def test_nothing_to_compare():
    assert overlap(TABLE, split_column=None) == ()
    assert overlap(TABLE[TABLE["split"] == "train"]) == ()
    assert overlap(TABLE, text_columns=[]) == ()
