"""Scores of probabilities equal scikit-learn's, and the Brier score's parts add up to it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from sparse_transformers.utils.metrics.probability_scores import (
    brier_score,
    decompose_brier_score,
    negative_log_likelihood,
    pr_auc_of,
    roc_auc_of,
)

seeds = st.integers(0, 10_000)
sizes = st.integers(2, 6)


def random_probabilities(n_classes, seed, n_rows=60, digits=2):
    """Rounded, so that there are ties; every class occurs."""
    generator = np.random.default_rng(seed)
    truth = np.append(np.arange(n_classes), generator.integers(n_classes, size=n_rows))
    probabilities = generator.dirichlet(np.ones(n_classes), len(truth))
    probabilities = np.round(probabilities, digits) + 10.0**-digits
    return truth, probabilities / probabilities.sum(axis=1, keepdims=True)


@given(n_classes=sizes, seed=seeds)
def test_scores_equal_scikit_learn(n_classes, seed):
    truth, probabilities = random_probabilities(n_classes, seed)
    labels = range(n_classes)

    brier = brier_score(truth, probabilities, labels=labels)
    nll = negative_log_likelihood(truth, probabilities, labels=labels)

    one_hot = np.eye(n_classes)[truth]
    by_hand = np.mean(np.sum((probabilities - one_hot) ** 2, axis=1))
    assert brier == pytest.approx(by_hand / 2 if n_classes == 2 else by_hand)
    assert nll == pytest.approx(sk.log_loss(truth, probabilities, labels=labels))
    if n_classes == 2:
        assert brier == pytest.approx(sk.brier_score_loss(truth, probabilities[:, 1]))


@given(n_classes=sizes, seed=seeds, average=st.sampled_from(["weighted", "macro"]))
def test_areas_equal_scikit_learn(n_classes, seed, average):
    truth, probabilities = random_probabilities(n_classes, seed, digits=1)

    if n_classes == 2:
        expected = sk.roc_auc_score(truth, probabilities[:, 1])
        precision = sk.average_precision_score(truth, probabilities[:, 1])
        assert pr_auc_of(truth, probabilities) == pytest.approx(precision)
    else:
        expected = sk.roc_auc_score(truth, probabilities, multi_class="ovr", average=average)
    assert roc_auc_of(truth, probabilities, average) == pytest.approx(expected)


@pytest.mark.parametrize("average", ["weighted", "macro"])
def test_area_is_averaged_over_the_classes_that_occur(average):
    truth, probabilities = random_probabilities(4, seed=0)
    occurring = truth != 3
    lacking_class = roc_auc_of(truth[occurring], probabilities[occurring], average)

    areas = [
        sk.roc_auc_score(truth[occurring] == each, probabilities[occurring, each])
        for each in range(3)
    ]
    weights = np.bincount(truth[occurring]) if average == "weighted" else None
    assert lacking_class == pytest.approx(np.average(areas, weights=weights))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_area_of_one_class_is_undefined(n_classes):
    probabilities = np.full((4, n_classes), 1 / n_classes)

    assert math.isnan(roc_auc_of(np.ones(4, dtype=int), probabilities, "macro"))
    assert math.isnan(roc_auc_of(np.zeros(4, dtype=int), probabilities, "macro"))


def test_average_precision_without_a_positive_row_is_undefined():
    half = np.full((4, 2), 0.5)

    assert math.isnan(pr_auc_of(np.zeros(4, dtype=int), half))
    assert pr_auc_of(np.array([0, 1, 1, 1]), half) == 0.75  # guessing: the share of positive rows


def test_brier_score_has_its_documented_range():
    assert brier_score([0, 1], [1, 0]) == 1
    assert brier_score([0, 1], [0, 1]) == 0
    assert brier_score([0, 1, 2], np.eye(3)[[1, 2, 0]]) == 2


def test_impossible_truth_costs_infinitely_much():
    assert negative_log_likelihood([1, 0], [0.0, 0.5]) == math.inf
    assert negative_log_likelihood([0, 1], [0.5, 0.5]) == pytest.approx(math.log(2))


@given(
    n_classes=sizes,
    seed=seeds,
    n_bins=st.integers(1, 20),
    binning=st.sampled_from(["width", "mass"]),
)
def test_brier_score_is_the_sum_of_its_parts(n_classes, seed, n_bins, binning):
    truth, probabilities = random_probabilities(n_classes, seed)
    labels = range(n_classes)

    parts = decompose_brier_score(
        truth, probabilities, n_bins=n_bins, binning=binning, labels=labels
    )

    assert parts.brier_score == pytest.approx(brier_score(truth, probabilities, labels=labels))
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bin
    assert total == pytest.approx(parts.brier_score, abs=1e-12)
    assert min(parts.reliability, parts.resolution, parts.uncertainty) >= 0


def test_brier_decomposition_worked_by_hand():
    # Ten rows at .2 with 4 positives, ten at .8 with 6: each half is .2 off.
    probability = [0.2] * 10 + [0.8] * 10
    truth = [1] * 4 + [0] * 6 + [1] * 6 + [0] * 4

    parts = decompose_brier_score(truth, probability, n_bins=2)

    assert parts.reliability == pytest.approx(0.2**2)
    assert parts.resolution == pytest.approx(0.1**2)
    assert parts.uncertainty == pytest.approx(0.25)
    assert parts.within_bin == pytest.approx(0)
    assert parts.brier_score == pytest.approx(0.04 - 0.01 + 0.25)


def test_constant_forecast_of_the_frequency_has_nothing_but_uncertainty():
    parts = decompose_brier_score([1, 0, 0, 0], [0.25] * 4)

    assert parts.brier_score == pytest.approx(parts.uncertainty)
    assert parts.reliability == parts.resolution == pytest.approx(0)
