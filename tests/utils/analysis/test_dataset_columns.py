"""Columns are told by their names and values."""

import numpy as np
import pandas as pd
import pytest

from sparse_transformers.utils.analysis.dataset_columns import find_columns, is_missing
from sparse_transformers.utils.dataset_synthesis import (
    generate_liar_sample,
    generate_multifc_sample,
)


def test_columns_of_political_claims():
    found = find_columns(generate_liar_sample(30, leaky_history=True))
    assert found.label == "label"
    assert found.targets == ("truth_level", "truthful")
    assert found.texts == ("statement",)
    assert (found.split, found.group) == ("split", "speaker")
    assert set(found.categories) == {
        *("subject", "speaker", "speaker_job", "state_info", "party_affiliation", "context")
    }
    assert len(found.numbers) == 5
    assert found.left_out == ("statement_id",)


def test_columns_of_web_claims():
    found = find_columns(generate_multifc_sample(30))
    assert found.label == "label"
    assert found.texts == ("claim",)
    assert found.numbers == ("confidence_score",)
    assert found.group is None


def test_columns_of_judged_answers():
    table = pd.DataFrame(
        {"question": ["a?", "a?"], "answer": ["b", "c"], "truthful": [True, False]}
    )
    found = find_columns(table)
    assert (found.label, found.group) == ("truthful", "question")
    assert found.texts == ("question", "answer")
    assert found.categories == found.targets == ()


def test_what_cannot_be_compared_is_left_out():
    table = pd.DataFrame(
        {
            "claim": ["a b", "c d"],
            "id": [1, 2],
            "row_id": [1, 2],
            "same": ["x", "x"],
            "list": [["a"], ["b"]],
            "when": pd.to_datetime(["2020-01-01", "2021-01-01"]),
            "nothing": [None, np.nan],
            "flag": [True, False],
        }
    )
    found = find_columns(table)
    assert found.left_out == ("id", "row_id", "same", "list", "when", "nothing")
    assert found.categories == ("flag",)


def test_texts_are_found_by_their_look_where_names_are_strange():
    table = pd.DataFrame(
        {
            "body": ["one two three four", "five six seven eight nine"],
            "place": ["a", "b"],
            "slogan": ["we all say it again", "we all say it again"],
            "answer": [None, None],
        }
    )
    assert find_columns(table).texts == ("body",)


def test_names_can_be_given_or_denied():
    table = generate_liar_sample(30)
    found = find_columns(
        table,
        label_column="party_affiliation",
        text_columns="context",
        split_column=None,
        group_column=None,
    )
    assert (found.label, found.texts) == ("party_affiliation", ("context",))
    assert (found.split, found.group) == (None, None)
    assert "split" in found.categories
    assert "label" in found.targets  # a known name of a label is never an input
    assert find_columns(table, label_column=None).label is None


@pytest.mark.parametrize("argument", ["label_column", "split_column", "group_column"])
def test_unknown_column_is_refused_with_those_there_are(argument):
    table = pd.DataFrame({"claim": ["a"], "label": ["b"]})
    with pytest.raises(ValueError, match=rf"{argument} must be one of claim, label, got 'x'"):
        find_columns(table, **{argument: "x"})
    with pytest.raises(ValueError, match="text_columns must be one of"):
        find_columns(table, text_columns=["claim", "x"])


def test_table_must_have_rows_and_different_names():
    with pytest.raises(ValueError, match="0 rows"):
        find_columns(pd.DataFrame({"claim": []}))
    with pytest.raises(ValueError, match="different names"):
        find_columns(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_missing_is_what_holds_nothing():
    cells = pd.Series(
        ["a", "", " ", None, np.nan, pd.NA, pd.NaT, [], ["a"], 0, False], dtype=object
    )
    assert is_missing(cells).tolist() == [
        *(False, True, True, True, True, True, True, True, False, False, False)
    ]
