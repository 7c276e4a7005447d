import pytest
from claim_examples import answers_table, liar_table

from sparse_transformers.claims.corpora import (
    HISTORY,
    METADATA,
    TEXT,
    make_corpus,
)
from sparse_transformers.utils.dataset_loaders import LIAR_LABELS, LIAR_TRUTHFUL


def test_liar_is_read_part_by_part():
    table = liar_table()
    corpus = make_corpus("claims", table)
    first = table[table["split"] == "train"].iloc[0]
    row = corpus.train.iloc[0]
    assert row["statement"] == first["statement"]
    assert row["metadata"] == " ".join(
        first[["subject", "speaker", "speaker_job", "state_info", "party_affiliation"]]
    )
    assert row["context"] == first["context"]
    assert corpus.classes == LIAR_LABELS
    assert corpus.truthful == LIAR_TRUTHFUL
    assert corpus.fields_of(TEXT, METADATA) == ("statement", "metadata", "context")
    assert corpus.train_labels[0] == first["label"]
    assert len(corpus.train) == len(corpus.train_labels) == 160
    assert len(corpus.valid) == len(corpus.valid_labels) == len(corpus.valid_groups) == 40


def test_no_field_holds_the_label_or_its_history_unasked():
    corpus = make_corpus("claims", liar_table(leaky_history=True))
    assert set(corpus.train) == {"statement", "metadata", "context", "history"}
    assert "history" not in corpus.fields_of(TEXT, METADATA)
    assert corpus.fields[HISTORY] == ("history",)
    assert HISTORY not in make_corpus("claims", liar_table()).fields


def test_history_is_told_in_words():
    table = liar_table(leaky_history=True)
    table["false_count"] = 300
    words = make_corpus("claims", table).train["history"].iloc[0].split()
    assert len(words) == 5
    assert words[1] == "false20"
    assert words[4].startswith("pantsfire")


def test_splits_that_share_no_group_are_cross_validated_by_group():
    table = liar_table()
    apart = make_corpus("claims", table)
    assert apart.train_groups == tuple(table.loc[table["split"] == "train", "speaker"])
    assert make_corpus("claims", table.assign(speaker="one")).train_groups is None


def test_positive_labels_are_those_of_the_table():
    table = liar_table()
    table["truthful"] = table["label"] == "true"
    assert make_corpus("claims", table).truthful == ("true",)


def test_answers_are_read_with_their_question():
    table = answers_table()
    corpus = make_corpus("answers", table)
    assert corpus.fields == {TEXT: ("question", "answer")}
    assert corpus.mark_repeats
    assert corpus.group == "question"
    expected = ["true" if each else "false" for each in table["truthful"][:140]]
    assert list(corpus.train_labels) == expected


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (liar_table().drop(columns="split"), "claims must have a split column .* got none"),
        (liar_table().assign(split="test"), "got 'test'"),
        (liar_table().drop(columns="context"), "columns of LIAR or of judged answers"),
    ],
)
def test_table_that_nothing_can_be_learned_from_is_named(table, message):
    with pytest.raises(ValueError, match=message):
        make_corpus("claims", table)
