"""Metrics of a group are those of its rows alone."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_fscore_support

from sparse_transformers.utils.metrics.group_metrics import (
    MISSING,
    difficulty_performance,
    evaluate_misinformation_detection,
    group_performance,
)
from sparse_transformers.utils.metrics.predictions import encode_predictions


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("average", ["weighted", "macro"])
def test_groups_equal_scikit_learn_on_their_rows(n_classes, average):
    generator = np.random.default_rng(0)
    truth, predicted = generator.integers(n_classes, size=(2, 300))
    groups = generator.choice(["b", "a", "c"], 300)
    predictions = encode_predictions(truth, predicted, labels=range(n_classes))

    results = group_performance(predictions, groups, average)

    assert list(results) == ["a", "b", "c"]
    for name, result in results.items():
        rows = groups == name
        expected = precision_recall_fscore_support(
            truth[rows], predicted[rows], average="binary" if n_classes == 2 else average
        )
        assert result == pytest.approx(
            {
                "accuracy": np.mean(truth[rows] == predicted[rows]),
                "precision": expected[0],
                "recall": expected[1],
                "f1_score": expected[2],
                "sample_count": rows.sum(),
            }
        )


def test_small_group_has_undefined_metrics_and_missing_names_a_group():
    predictions = encode_predictions([1, 0, 0, 1, 1], [1, 0, 0, 0, 1])

    results = group_performance(predictions, ["x", "x", 7, None, ""])

    assert set(results) == {"x", "7", MISSING}
    assert results["7"]["accuracy"] == 1
    assert results["7"]["sample_count"] == 1
    assert math.isnan(results["7"]["precision"])
    assert math.isnan(results["7"]["f1_score"])
    assert results[MISSING]["accuracy"] == 0.5


def test_groups_come_in_pandas_columns():
    predictions = encode_predictions([1, 0, 0], [1, 0, 1])
    groups = pd.Series(["x", None, "y"], index=[5, 5, 1], dtype="string")

    assert set(group_performance(predictions, groups)) == {"x", "y", MISSING}


def test_difficulty_has_three_levels():
    predictions = encode_predictions([1, 0, 1, 0, 1], [1, 1, 1, 0, 0])

    results = difficulty_performance(predictions, [0.0, 0.33, 0.34, 0.67, 1.0])

    assert {name: each["sample_count"] for name, each in results.items()} == {
        "Easy": 2,
        "Medium": 2,
        "Hard": 1,
    }
    assert results["Easy"]["avg_difficulty"] == pytest.approx(0.165)
    assert [each["accuracy"] for each in results.values()] == [0.5, 1.0, 0.0]
    assert list(difficulty_performance(predictions, [0.9] * 5)) == ["Hard"]


@pytest.mark.parametrize(
    ("difficulty", "message"),
    [
        ([0.5], r"difficulty must hold a number for each of 2 rows, got shape \(1,\)"),
        ([0.5, 1.5], r"difficulty must be from 0 to 1, got 0\.5 to 1\.5"),
        ([0.5, -0.1], "difficulty must be from 0 to 1"),
        ([0.5, float("nan")], "difficulty must be finite, got nan in row 1"),
        (["Easy", "Hard"], "difficulty must hold numbers"),
    ],
)
def test_bad_difficulty_is_refused(difficulty, message):
    with pytest.raises(ValueError, match=message):
        difficulty_performance(encode_predictions([1, 0], [1, 0]), difficulty)


def test_group_per_row_is_required():
    with pytest.raises(ValueError, match="groups must hold one entry for each of 2 rows"):
        group_performance(encode_predictions([1, 0], [1, 0]), ["a"])


def test_misinformation_detection_worked_by_hand():
    # Four false claims of two types, and three true ones: two without a type, one with.
    truth = [0, 0, 0, 0, 1, 1, 1]
    called = [0, 0, 1, 1, 1, 0, 1]
    types = ["hoax", "hoax", "hoax", "rumour", None, "", "rumour"]

    results = evaluate_misinformation_detection(truth, called, types)

    assert list(results) == ["hoax", "rumour"]
    assert results["hoax"] == pytest.approx(
        {
            "accuracy": 3 / 5,
            "precision": 2 / 3,  # one true claim without a type was called false
            "recall": 2 / 3,
            "f1_score": 2 / 3,
            "detection_rate": 2 / 3,
            "sample_count": 5,
            "false_count": 3,
        }
    )
    assert results["rumour"]["detection_rate"] == 0
    assert results["rumour"]["sample_count"] == 4
    assert results["rumour"]["false_count"] == 1


def test_perfect_detector_detects_everything():
    truth = np.tile([0, 1], 50)
    types = np.where(truth == 0, np.repeat(["a", "b", "c", "d", "e"], 20), None)

    results = evaluate_misinformation_detection(truth, truth, types)

    assert all(
        each[name] == 1
        for each in results.values()
        for name in ("accuracy", "precision", "recall", "f1_score", "detection_rate")
    )


def test_type_without_a_false_claim_has_no_detection_rate():
    results = evaluate_misinformation_detection([1, 0], [1, 0], ["rumour", None])

    assert math.isnan(results["rumour"]["detection_rate"])
    assert results[MISSING]["detection_rate"] == 1


@pytest.mark.parametrize(
    ("truth", "types", "message"),
    [
        ([0, 1], ["a", "b", "c"], "misinformation_types must hold one entry for each of 2 rows"),
        ([0, 2], ["a", "b"], "y_true must hold only True or False"),
        ([], [], "y_true must be a list"),
    ],
)
def test_bad_types_are_refused(truth, types, message):
    with pytest.raises(ValueError, match=message):
        evaluate_misinformation_detection(truth, truth, types)
