"""Balanced tables are balanced, and damaged ones are damaged where the record says."""

from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.dataset_synthesis import SYNTHESIZERS, generate_liar_sample
from sparse_transformers.utils.datasets.dataset_corruption import (
    ISSUE_KINDS,
    add_data_quality_issues,
    corrupt_dataset,
    create_balanced_dataset,
)

LIAR = generate_liar_sample(600, seed=1)


def is_same(one, other):
    """Whether two cells are alike; a missing value is like itself."""
    if isinstance(one, list) or isinstance(other, list):
        return one == other if isinstance(one, list) and isinstance(other, list) else False
    return one == other or (pd.isna(one) and pd.isna(other))


def changed_cells(before, after):
    return {
        (row, column)
        for column in before
        for row in range(len(before))
        if not is_same(before[column].iloc[row], after[column].iloc[row])
    }


def test_every_class_gets_as_many_rows_as_the_rarest_has():
    balanced = create_balanced_dataset(LIAR)
    counts = LIAR["label"].value_counts()
    assert set(balanced["label"].value_counts()) == {counts.min()}
    assert len(balanced) == 6 * counts.min()
    assert balanced["statement_id"].is_unique
    merged = balanced.merge(LIAR, how="left", indicator=True)
    assert (merged["_merge"] == "both").all()
    assert list(balanced.index) == list(range(len(balanced)))


def test_balanced_rows_are_mixed_and_follow_the_seed():
    balanced = create_balanced_dataset(LIAR, seed=3)
    assert balanced["label"].iloc[:20].nunique() > 2
    pd.testing.assert_frame_equal(balanced, create_balanced_dataset(LIAR, seed=3))
    assert not balanced.equals(create_balanced_dataset(LIAR, seed=4))


def test_classes_that_never_occur_need_no_rows():
    table = pd.DataFrame({"label": pd.Categorical(["a", "b", "a"], categories=["a", "b", "c"])})
    assert sorted(create_balanced_dataset(table)["label"]) == ["a", "b"]


@given(st.integers(2, 60))
def test_target_size_is_rounded_down_to_whole_classes(target):
    balanced = create_balanced_dataset(LIAR, "truthful", target)
    assert balanced["truthful"].value_counts().to_dict() == {True: target // 2, False: target // 2}


@pytest.mark.parametrize(
    ("df", "options", "message"),
    [
        (LIAR, {"label_column": "verdict"}, "label_column must be one of .*, got 'verdict'"),
        (LIAR, {"target_size": 5}, "target_size must be between 6, one row per class, and"),
        (LIAR, {"target_size": 600}, "the rarest class, 'pants-fire', allows, got 600"),
        (LIAR.iloc[:0], {}, "got 0 rows, 0 without"),
        (pd.DataFrame({"label": ["true", None]}), {}, "got 2 rows, 1 without"),
    ],
)
def test_what_cannot_be_balanced_is_refused(df, options, message):
    with pytest.raises(ValueError, match=message):
        create_balanced_dataset(df, **options)


@pytest.mark.parametrize("name", SYNTHESIZERS)
def test_exactly_the_recorded_cells_are_changed(name):
    table = SYNTHESIZERS[name](400, seed=1).table
    table.index = range(1000, 1400)
    original = table.copy(deep=True)
    damaged = corrupt_dataset(table, 0.4, seed=2)
    pd.testing.assert_frame_equal(table, original)
    assert damaged.table.index.equals(table.index)
    assert list(damaged.table) == list(table)

    cells = {(issue.row, issue.column) for issue in damaged.issues if issue.kind != "duplicate"}
    copies = {issue.row for issue in damaged.issues if issue.kind == "duplicate"}
    changed = changed_cells(original, damaged.table)
    assert {cell for cell in changed if cell[0] not in copies} == cells
    assert {row for row, _ in changed} == {row for row, _ in cells} | copies
    assert len(damaged.issues) == len({issue.row for issue in damaged.issues}) == 160
    assert {issue.kind for issue in damaged.issues} == set(ISSUE_KINDS)


def test_each_kind_of_damage_is_what_it_is_called():
    damaged = corrupt_dataset(LIAR, 0.5, seed=1)
    rows = Counter(tuple(row) for row in LIAR.itertuples(index=False))
    for issue in damaged.issues:
        if issue.kind == "duplicate":
            assert issue.column is None
            assert rows[tuple(damaged.table.iloc[issue.row])] == 1
            assert (
                LIAR["statement_id"].iloc[issue.row]
                != damaged.table["statement_id"].iloc[issue.row]
            )
            continue
        before, after = (
            LIAR[issue.column].iloc[issue.row],
            damaged.table[issue.column].iloc[issue.row],
        )
        if issue.kind == "missing":
            assert pd.isna(after)
        elif issue.kind == "label":
            assert issue.column == "label"
            assert after != before and after in set(LIAR["label"])
        else:
            assert after[:-3] == f"{before} " and after[-3:].isalpha()
    n_copies = sum(issue.kind == "duplicate" for issue in damaged.issues)
    assert damaged.table["statement_id"].dropna().duplicated().sum() == n_copies


def test_kinds_are_equally_probable():
    counts = Counter(issue.kind for issue in corrupt_dataset(LIAR, 0.9, seed=0).issues)
    assert all(100 < counts[kind] < 170 for kind in ISSUE_KINDS)  # of 540; sd 10


def test_damage_follows_the_seed_and_leaves_other_types_alone():
    first = corrupt_dataset(LIAR, seed=1)
    assert first.issues == corrupt_dataset(LIAR, seed=1).issues
    pd.testing.assert_frame_equal(first.table, add_data_quality_issues(LIAR, seed=1))
    assert first.issues != corrupt_dataset(LIAR, seed=2).issues
    emptied = {issue.column for issue in first.issues if issue.kind == "missing"}
    for column in set(LIAR) - emptied:
        assert first.table[column].dtype == LIAR[column].dtype


def test_rate_of_zero_changes_nothing_and_one_leaves_no_row_to_copy():
    untouched = corrupt_dataset(LIAR, 0.0)
    pd.testing.assert_frame_equal(untouched.table, LIAR)
    assert untouched.issues == ()
    everywhere = corrupt_dataset(LIAR, 1.0)
    assert {issue.row for issue in everywhere.issues} == set(range(600))
    assert {issue.kind for issue in everywhere.issues} == {"missing", "label", "noise"}


@pytest.mark.parametrize(
    ("table", "kinds"),
    [
        (pd.DataFrame({"x": range(100)}), {"missing", "duplicate"}),
        (pd.DataFrame({"label": [True] * 100}), {"missing", "duplicate"}),
        (pd.DataFrame({"label": [0, 1] * 50}), {"missing", "duplicate", "label"}),
        (
            pd.DataFrame({"text": [None, "a"] * 50, "label": pd.Categorical(["t", "f"] * 50)}),
            set(ISSUE_KINDS),
        ),
    ],
)
def test_kinds_without_room_are_left_out(table, kinds):
    assert {issue.kind for issue in corrupt_dataset(table, 0.8).issues} == kinds


def test_row_without_anything_to_damage_is_left_alone():
    table = pd.DataFrame({"text": [None, "a"], "label": [None, "true"]})
    assert {issue.row for issue in corrupt_dataset(table, 1.0).issues} == {1}
    half_empty = pd.DataFrame({"text": [None] * 50, "count": range(50)})
    columns = {i.column for i in corrupt_dataset(half_empty, 1.0).issues if i.kind == "missing"}
    assert columns == {"count"}


def test_empty_table_has_nothing_to_damage():
    assert corrupt_dataset(LIAR.iloc[:0], 0.5).issues == ()


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_rate_out_of_range_is_refused(rate):
    with pytest.raises(ValueError, match="corruption_rate must be from 0 to 1"):
        add_data_quality_issues(LIAR, rate)


@pytest.mark.parametrize(
    "table", [pd.DataFrame(index=range(3)), pd.DataFrame([[1, 2]], columns=["a", "a"])]
)
def test_table_without_distinct_columns_is_refused(table):
    with pytest.raises(ValueError, match="columns of different names"):
        corrupt_dataset(table)
