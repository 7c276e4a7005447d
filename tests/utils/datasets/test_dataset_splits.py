"""No group stands on both sides, and both functions follow their seed alone."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.dataset_loaders import create_train_test_split, split_by_group

FRAME = pd.DataFrame({"text": list("abcdefghij"), "label": ["x"] * 4 + ["y"] * 6})


@given(
    groups=st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40).filter(
        lambda groups: len(set(groups)) > 1
    ),
    valid_fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_groups_are_whole_and_both_sides_have_their_share(groups, valid_fraction, seed):
    frame = pd.DataFrame({"question": groups}, index=range(100, 100 + len(groups)))
    split = split_by_group(frame, "question", valid_fraction=valid_fraction, seed=seed)
    assert list(frame.columns) == ["question"]
    pd.testing.assert_frame_equal(split[["question"]], frame)
    sides = split.groupby("question")["split"].unique()
    assert all(len(side) == 1 for side in sides)
    n_valid = sum(side[0] == "valid" for side in sides)
    assert 1 <= n_valid <= len(sides) - 1
    assert abs(n_valid - valid_fraction * len(sides)) <= 1


def test_side_of_a_group_depends_on_the_set_of_groups_and_the_seed_alone():
    names = [f"question {number}" for number in range(30)]
    frame = pd.DataFrame({"question": names})
    larger = pd.concat([frame, frame.iloc[:7]]).sample(frac=1, random_state=3)

    def valid_names(frame: pd.DataFrame, seed: int) -> set[str]:
        split = split_by_group(frame, "question", valid_fraction=0.3, seed=seed)
        return set(split.loc[split["split"] == "valid", "question"])

    assert valid_names(frame, 0) == valid_names(larger, 0)
    assert len(valid_names(frame, 0)) == 9
    assert valid_names(frame, 0) != valid_names(frame, 1)


def test_split_that_was_there_is_replaced():
    frame = pd.DataFrame({"speaker": ["a", "b"], "split": ["test", "test"]})
    split = split_by_group(frame, "speaker", valid_fraction=0.5, seed=0)
    assert sorted(split["split"]) == ["train", "valid"]
    assert frame["split"].tolist() == ["test", "test"]


@pytest.mark.parametrize(
    ("values", "column", "valid_fraction", "message"),
    [
        (["a", "b"], "speaker", 0.5, r"column must be one of \['question'\], got 'speaker'"),
        (["a", None], "question", 0.5, "'question' must have no missing values, got 1"),
        (["a", "a"], "question", 0.5, "'question' must hold at least 2 groups .*, got 1"),
        ([], "question", 0.5, "'question' must hold at least 2 groups to be split, got 0"),
        (["a", "b"], "question", 0.0, r"valid_fraction must be between 0 and 1, got 0\.0"),
        (["a", "b"], "question", 1, "valid_fraction must be between 0 and 1, got 1"),
        (["a", "b"], "question", float("nan"), "valid_fraction must be between 0 and 1, got nan"),
    ],
)
def test_what_cannot_be_split_by_group_is_refused(values, column, valid_fraction, message):
    with pytest.raises(ValueError, match=message):
        split_by_group(
            pd.DataFrame({"question": values}), column, valid_fraction=valid_fraction, seed=0
        )


def test_train_and_test_rows_are_all_rows_numbered_anew():
    train, test = create_train_test_split(FRAME, test_size=0.3)
    assert len(test) == 3
    assert sorted([*train["text"], *test["text"]]) == list(FRAME["text"])
    assert train.index.tolist() == list(range(7)) and test.index.tolist() == list(range(3))


def test_stratified_rows_keep_the_shares_of_the_classes():
    for random_state in range(5):
        _, test = create_train_test_split(FRAME, 0.5, "label", random_state)
        assert test["label"].value_counts().to_dict() == {"x": 2, "y": 3}


def test_random_state_decides_the_split():
    first = create_train_test_split(FRAME)[1]
    pd.testing.assert_frame_equal(first, create_train_test_split(FRAME)[1])
    others = [create_train_test_split(FRAME, random_state=seed)[1] for seed in range(5)]
    assert any(not first.equals(other) for other in others)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_size": 1.5}, r"test_size must be between 0 and 1, got 1\.5"),
        ({"stratify_column": "party"}, r"stratify_column must be one of \['text', 'label'\]"),
        ({"stratify_column": "text"}, "stratify_column must hold each value at least twice, got"),
        (
            {"test_size": 0.1, "stratify_column": "label"},
            "should be greater or equal to the number",
        ),
    ],
)
def test_what_cannot_be_split_at_random_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        create_train_test_split(FRAME, **options)


def test_too_few_rows_or_missing_classes_are_refused():
    with pytest.raises(ValueError, match="n_samples=1"):
        create_train_test_split(FRAME.iloc[:1])
    with pytest.raises(ValueError, match="'label' must have no missing values, got 1"):
        create_train_test_split(pd.DataFrame({"label": ["a", None]}), stratify_column="label")
