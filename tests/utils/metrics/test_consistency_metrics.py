"""Consistency is measured against chance: a constant prediction earns nothing."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.metrics.consistency_metrics import (
    calculate_domain_transfer_metrics,
    calculate_prediction_consistency,
    calculate_temporal_consistency,
)


@given(seed=st.integers(0, 10_000), n_labels=st.integers(2, 4))
def test_agreement_equals_that_of_all_pairs(seed, n_labels):
    generator = np.random.default_rng(seed)
    items = np.append(np.arange(12), generator.integers(12, size=30))
    predicted = generator.integers(n_labels, size=len(items))
    repeated = [np.flatnonzero(items == each) for each in range(12) if sum(items == each) > 1]
    pairs = [
        np.mean([predicted[i] == predicted[j] for i, j in itertools.combinations(rows, 2)])
        for rows in repeated
    ]

    result = calculate_prediction_consistency(predicted, items)

    assert result.agreement == pytest.approx(np.mean(pairs))


def test_consistency_worked_by_hand():
    # Claim a: true, true, false (1 of 3 pairs agree); claim b: false twice; claim c: once.
    result = calculate_prediction_consistency(
        [True, True, False, False, False, True], ["a", "a", "a", "b", "b", "c"]
    )

    assert result.agreement == pytest.approx((1 / 3 + 1) / 2)
    assert result.chance_agreement == pytest.approx((1 / 3) ** 2 + (2 / 3) ** 2)
    assert result.consistency == pytest.approx((2 / 3 - 5 / 9) / (4 / 9))


def test_same_answers_for_each_claim_are_fully_consistent():
    result = calculate_prediction_consistency(["a", "a", "b", "b"], [1, 1, 2, 2])

    assert (result.agreement, result.consistency) == (1, 1)


def test_random_answers_are_as_consistent_as_chance():
    generator = np.random.default_rng(0)
    predicted = generator.random(40_000) < 0.9

    result = calculate_prediction_consistency(predicted, np.arange(40_000) // 4)

    assert result.agreement == pytest.approx(0.82, abs=0.01)
    assert result.consistency == pytest.approx(0, abs=0.02)


def test_constant_answer_has_no_consistency_to_speak_of():
    result = calculate_prediction_consistency([1, 1, 1, 1], [1, 1, 2, 2])

    assert result.agreement == result.chance_agreement == 1
    assert math.isnan(result.consistency)


@pytest.mark.parametrize(
    ("y_pred", "items", "message"),
    [
        ([1, 0], ["a", "b"], "items must name some input twice, got 2 different ones"),
        ([1, 0], ["a"], "items must have a label for each of 2 rows, got 1"),
        ([1, 0], ["a", None], "items must not miss a label, row 1 has none"),
        ([], [], "y_pred must be a list"),
        ([1, "a"], ["a", "a"], "labels must be of one type"),
    ],
)
def test_predictions_without_repetitions_are_refused(y_pred, items, message):
    with pytest.raises(ValueError, match=message):
        calculate_prediction_consistency(y_pred, items)


def test_temporal_consistency_worked_by_hand():
    windows = [[1, 1, 0, 0], [1, 1, 0, 1], [0, 1, 1, 1]]

    result = calculate_temporal_consistency(windows, ["2020", "2021", "2022"])

    assert result == pytest.approx(
        {
            "temporal_consistency": (3 / 4 + 2 / 4) / 2,
            "consistency_std": math.sqrt(2) / 8,
            "min_consistency": 0.5,
            "max_consistency": 0.75,
            # Half and three quarters true, then three quarters both times.
            "chance_consistency": ((0.5 * 0.75 + 0.5 * 0.25) + (0.75**2 + 0.25**2)) / 2,
        }
    )


def test_constant_prediction_is_seen_to_agree_by_chance():
    result = calculate_temporal_consistency([[True] * 5, ["true"] * 5], ["before", "after"])

    assert result["temporal_consistency"] == result["chance_consistency"] == 1
    assert math.isnan(result["consistency_std"])


@pytest.mark.parametrize(
    ("windows", "names", "message"),
    [
        ([[1, 0]], ["2020"], "two or more time_windows, got 1 for 1"),
        ([[1, 0], [1, 0]], ["2020"], "got 2 for 1"),
        ([[1, 0], [1]], ["2020", "2021"], "predictions of 2021 must have a label for each of 2"),
        ([[], []], ["2020", "2021"], "predictions of 2020 must be a list"),
        ([[1, 2], ["a", "b"]], ["2020", "2021"], "labels must be of one type"),
    ],
)
def test_windows_that_do_not_match_are_refused(windows, names, message):
    with pytest.raises(ValueError, match=message):
        calculate_temporal_consistency(windows, names)


def test_domain_transfer_worked_by_hand():
    truth = {"health": [1, 0, 1, 0], "politics": ["true", "false"]}
    at_home = {"health": [1, 0, 1, 0], "politics": [True, True]}
    abroad = {"health": [1, 0, 0, 1], "politics": [True, True]}

    assert calculate_domain_transfer_metrics(at_home, abroad, truth) == pytest.approx(
        {
            "health_source_accuracy": 1.0,
            "health_target_accuracy": 0.5,
            "health_transfer_gap": 0.5,
            "politics_source_accuracy": 0.5,
            "politics_target_accuracy": 0.5,
            "politics_transfer_gap": 0.0,
            "average_transfer_gap": 0.25,
            "transfer_consistency": 1 - math.sqrt(2) / 4,
        }
    )


def test_transfer_to_one_domain_has_no_consistency():
    result = calculate_domain_transfer_metrics({"a": [1, 0]}, {"a": [1, 1]}, {"a": [1, 0]})

    assert result["average_transfer_gap"] == 0.5
    assert math.isnan(result["transfer_consistency"])


def test_transfer_follows_the_labels():
    two = {"a": ["x", "y"]}

    result = calculate_domain_transfer_metrics(two, two, two, labels=["y", "x"])
    assert result["a_source_accuracy"] == 1
    with pytest.raises(ValueError, match="labels must be passed"):
        calculate_domain_transfer_metrics(two, two, two)


@pytest.mark.parametrize(
    ("source", "target", "truth", "message"),
    [
        ({}, {}, {}, "ground_truth must hold at least one domain, got none"),
        ({"a": [1]}, {"b": [1]}, {"a": [1]}, r"target_predictions must hold the domains .*\['b'\]"),
        ({}, {"a": [1]}, {"a": [1]}, r"source_predictions must hold the domains"),
        ({"a": [1]}, {"a": [1, 0]}, {"a": [1]}, "y_pred must have a label for each of 1 rows"),
    ],
)
def test_domains_that_do_not_match_are_refused(source, target, truth, message):
    with pytest.raises(ValueError, match=message):
        calculate_domain_transfer_metrics(source, target, truth)
