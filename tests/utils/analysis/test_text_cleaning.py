"""Cleaning changes what it says and nothing else."""

import itertools

import pandas as pd
import pytest

from sparse_transformers.utils.analysis.text_cleaning import (
    OPERATIONS,
    expand_contractions,
    normalize_characters,
    preprocess_text_data,
)


@pytest.mark.parametrize(
    ("contracted", "expanded"),
    [
        ("I can't", "I cannot"),
        ("Can't we?", "Cannot we?"),
        ("they WON'T", "they WILL NOT"),
        ("shan't", "shall not"),
        ("we don’t", "we do not"),
        ("DON'T", "DO NOT"),
        ("I'm sure they're late", "I am sure they are late"),
        ("we've said we'll go", "we have said we will go"),
        ("it's raining", "it is raining"),
        ("It's been raining", "It has been raining"),
        ("let's go", "let us go"),
        ("shouldn't've", "should not have"),
        ("Anna's dog", "Anna's dog"),
        ("I'd go", "I'd go"),
        ("ain't", "ain't"),
        ("o'clock", "o'clock"),
    ],
)
def test_contractions_are_written_in_full_where_the_reading_is_sure(contracted, expanded):
    assert expand_contractions(contracted) == expanded


def test_characters_become_plain_and_letters_stay():
    assert normalize_characters("“café” – it’s ﬁne…\u200b\x07") == '"café" - it\'s fine...'


def test_every_operation_does_what_it_is_called():
    text = "See  http://a.org/x or www.b.org, @anna: #Go DON'T “stop”"
    done = preprocess_text_data(pd.DataFrame({"text": [text]}), ["text"], tuple(OPERATIONS))
    assert done["text"].tolist() == ['see or : do not "stop"']


def test_the_order_in_which_operations_are_named_does_not_matter():
    table = pd.DataFrame({"text": ["I CAN’T @you go", "It’s ok "]})
    named = ("remove_extra_whitespace", "remove_mentions", "expand_contractions")
    results = [
        preprocess_text_data(table, ["text"], each) for each in itertools.permutations(named)
    ]
    for result in results:
        pd.testing.assert_frame_equal(result, results[0])
    assert results[0]["text"].tolist() == ["I CANNOT go", "It is ok"]


def test_only_the_named_columns_of_a_copy_are_changed():
    table = pd.DataFrame({"a": ["X", None], "b": ["Y", "Z"]})
    done = preprocess_text_data(table, ["a"])
    assert done["a"].tolist()[0] == "x"
    assert done["a"].isna().tolist() == [False, True]
    assert done["b"].tolist() == ["Y", "Z"]
    assert table["a"].tolist()[0] == "X"


def test_unknown_names_are_refused():
    table = pd.DataFrame({"a": ["X"]})
    with pytest.raises(ValueError, match=r"text_columns must be among a, got \['b'\]"):
        preprocess_text_data(table, ["b"])
    with pytest.raises(ValueError, match=r"operations must be among .*lowercase.*got \['upper'\]"):
        preprocess_text_data(table, ["a"], ["upper"])
