"""Measures at a threshold are scikit-learn's of the predictions that the threshold makes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
)

from sparse_transformers.utils.metrics.thresholds import (
    ThresholdChoice,
    ThresholdTable,
    choose_threshold,
    threshold_analysis,
)
from sparse_transformers.utils.records import from_json, to_json

TRUTH = np.array([0, 0, 1, 0, 1, 1, 0, 1])
SCORES = np.array([0.1, 0.2, 0.3, 0.4, 0.4, 0.7, 0.8, 0.9])


@st.composite
def scored_rows(draw):
    truth = [0, 1, *draw(st.lists(st.integers(0, 1), max_size=20))]
    tenths = st.lists(st.integers(0, 10), min_size=len(truth), max_size=len(truth))
    return np.array(truth), np.array(draw(tenths)) / 10


@given(rows=scored_rows(), given_grid=st.booleans())
def test_table_equals_scikit_learn_at_every_threshold(rows, given_grid):
    truth, scores = rows
    grid = np.linspace(-0.1, 1.1, 13) if given_grid else None
    table = threshold_analysis(
        truth, scores, thresholds=grid, false_positive_cost=2, false_negative_cost=5
    )
    for nth, threshold in enumerate(table.thresholds):
        predicted = (scores >= threshold).astype(int)
        _, false_positives, false_negatives, _ = confusion_matrix(truth, predicted).ravel()
        if predicted.any():
            assert table.precision[nth] == pytest.approx(precision_score(truth, predicted))
        else:
            assert table.precision[nth] is None
        assert table.recall[nth] == pytest.approx(recall_score(truth, predicted))
        assert table.f1[nth] == pytest.approx(f1_score(truth, predicted))
        assert table.mcc[nth] == pytest.approx(matthews_corrcoef(truth, predicted))
        assert table.accuracy[nth] == pytest.approx(accuracy_score(truth, predicted))
        paid = 2 * false_positives + 5 * false_negatives
        assert table.cost[nth] == pytest.approx(paid / len(truth))


def test_thresholds_are_the_scores_that_occur_and_one_above():
    table = threshold_analysis(TRUTH, SCORES)
    assert table.thresholds[:-1] == (0.1, 0.2, 0.3, 0.4, 0.7, 0.8, 0.9)
    assert table.thresholds[-1] > 0.9
    assert table.recall[0] == 1
    assert table.recall[-1] == 0


def test_counts_of_many_rows_do_not_overflow():
    truth = np.arange(200_000) % 2
    table = threshold_analysis(truth, truth.astype(float), thresholds=[0.5])
    assert table.mcc == (1.0,)


@given(rows=scored_rows(), criterion=st.sampled_from(["f1", "mcc", "accuracy", "cost"]))
def test_no_threshold_is_better_than_the_chosen_one(rows, criterion):
    truth, scores = rows
    chosen = choose_threshold(truth, scores, criterion, false_negative_cost=3)
    table = threshold_analysis(truth, scores, false_negative_cost=3)
    best = min(table.cost) if criterion == "cost" else max(getattr(table, criterion))
    assert getattr(chosen, criterion) == best
    equally_good = [
        threshold
        for threshold, value in zip(table.thresholds, getattr(table, criterion), strict=True)
        if value == best
    ]
    assert chosen.threshold == max(equally_good)


@given(rows=scored_rows(), min_recall=st.floats(0.05, 1))
def test_fixed_recall_is_kept_at_the_best_precision(rows, min_recall):
    truth, scores = rows
    chosen = choose_threshold(truth, scores, "recall", min_recall=min_recall)
    assert chosen.recall >= min_recall
    table = threshold_analysis(truth, scores)
    allowed = [p for p, r in zip(table.precision, table.recall, strict=True) if r >= min_recall]
    assert chosen.precision == max(allowed)


def test_cost_decides_where_to_cut():
    cheap = choose_threshold(TRUTH, SCORES, "cost", false_positive_cost=100).threshold
    dear = choose_threshold(TRUTH, SCORES, "cost", false_negative_cost=100).threshold
    assert cheap == 0.9
    assert dear == 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"criterion": "auc"}, "one of f1, mcc, accuracy, cost, recall, got 'auc'"),
        ({"min_recall": 0}, "min_recall must be above 0 and at most 1, got 0"),
        ({"min_recall": 1.1}, "min_recall must be above 0"),
        ({"false_positive_cost": -1}, "costs must not be negative, got -1 and 1"),
        ({"false_negative_cost": float("nan")}, "costs must not be negative"),
    ],
)
def test_bad_choice_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        choose_threshold(TRUTH, SCORES, **options)


@pytest.mark.parametrize("thresholds", [[], [0.5, float("nan")], [[0.5]]])
def test_bad_thresholds_are_refused(thresholds):
    with pytest.raises(ValueError, match="thresholds must be a list of numbers"):
        threshold_analysis(TRUTH, SCORES, thresholds=thresholds)


def test_single_class_is_refused():
    with pytest.raises(ValueError, match="both classes"):
        threshold_analysis([1, 1], [0.2, 0.3])


def test_results_pass_through_json():
    for kind, result in (
        (ThresholdTable, threshold_analysis(TRUTH, SCORES)),
        (ThresholdChoice, choose_threshold(TRUTH, SCORES)),
    ):
        written = json.dumps(to_json(result), allow_nan=False)
        assert from_json(kind, json.loads(written)) == result
