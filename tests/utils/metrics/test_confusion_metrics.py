"""Metrics from counts equal scikit-learn's, and are NaN where those are made up."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from sparse_transformers.utils.metrics import confusion_metrics as counted

sizes = st.integers(2, 6)
seeds = st.integers(0, 10_000)

# The rows are as unbalanced, and as few, as a speaker's: classes are often lacking.
N_ROWS = st.sampled_from([1, 2, 5, 30, 200])


def random_labels(n_classes, n_rows, seed):
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.full(n_classes, 0.5))
    truth = generator.choice(n_classes, n_rows, p=shares)
    guess = generator.choice(n_classes, n_rows, p=generator.dirichlet(np.full(n_classes, 0.5)))
    return truth, np.where(generator.random(n_rows) < 0.5, truth, guess)


def counts_of(truth, predicted, n_classes):
    return sk.confusion_matrix(truth, predicted, labels=range(n_classes))


def same(ours, theirs):
    return ours == pytest.approx(theirs, nan_ok=True)


@given(n_rows=N_ROWS, seed=seeds)
def test_two_class_metrics_equal_scikit_learn(n_rows, seed):
    truth, predicted = random_labels(2, n_rows, seed)
    counts = counts_of(truth, predicted, 2)
    undefined = {"zero_division": np.nan}

    assert same(counted.accuracy(counts), sk.accuracy_score(truth, predicted))
    assert same(counted.precision(counts), sk.precision_score(truth, predicted, **undefined))
    assert same(counted.recall(counts), sk.recall_score(truth, predicted, **undefined))
    assert same(counted.f1(counts), sk.f1_score(truth, predicted, **undefined))
    negative = {"pos_label": 0, **undefined}
    assert same(counted.specificity(counts), sk.recall_score(truth, predicted, **negative))
    assert same(counted.npv(counts), sk.precision_score(truth, predicted, **negative))
    assert same(counted.false_alarm_rate(counts), 1 - counted.specificity(counts))


@given(n_classes=sizes, n_rows=N_ROWS, seed=seeds)
def test_correlations_equal_scikit_learn_where_they_are_defined(n_classes, n_rows, seed):
    truth, predicted = random_labels(n_classes, n_rows, seed)
    counts = counts_of(truth, predicted, n_classes)
    constant = len(set(truth)), len(set(predicted))

    if 1 in constant:
        assert math.isnan(counted.mcc(counts))
    else:
        assert same(counted.mcc(counts), sk.matthews_corrcoef(truth, predicted))
    if constant == (1, 1) and truth[0] == predicted[0]:
        assert math.isnan(counted.kappa(counts))
        assert math.isnan(counted.quadratic_kappa(counts))
    else:
        labels = {"labels": range(n_classes)}
        assert same(counted.kappa(counts), sk.cohen_kappa_score(truth, predicted, **labels))
        quadratic = sk.cohen_kappa_score(truth, predicted, weights="quadratic", **labels)
        assert same(counted.quadratic_kappa(counts), quadratic)


@given(n_classes=sizes, n_rows=N_ROWS, seed=seeds, average=st.sampled_from(counted.AVERAGES))
def test_averages_over_classes_equal_scikit_learn(n_classes, n_rows, seed, average):
    truth, predicted = random_labels(n_classes, n_rows, seed)
    counts = counts_of(truth, predicted, n_classes)
    theirs = sk.precision_recall_fscore_support(
        truth, predicted, average=average, zero_division=0.0
    )

    for by_class, expected in zip(
        (counted.class_precision, counted.class_recall, counted.class_f1), theirs, strict=False
    ):
        assert same(counted.average_over_classes(by_class(counts), counts, average), expected)


@given(n_classes=sizes, n_rows=N_ROWS, seed=seeds)
def test_class_metrics_equal_scikit_learn(n_classes, n_rows, seed):
    truth, predicted = random_labels(n_classes, n_rows, seed)
    counts = counts_of(truth, predicted, n_classes)
    theirs = sk.precision_recall_fscore_support(
        truth, predicted, labels=range(n_classes), average=None, zero_division=np.nan
    )

    np.testing.assert_allclose(counted.class_precision(counts), theirs[0])
    np.testing.assert_allclose(counted.class_recall(counts), theirs[1])
    np.testing.assert_allclose(counted.class_f1(counts), theirs[2])


@given(n_classes=sizes, n_rows=N_ROWS, seed=seeds)
def test_steps_equal_those_of_the_class_numbers(n_classes, n_rows, seed):
    truth, predicted = random_labels(n_classes, n_rows, seed)
    counts = counts_of(truth, predicted, n_classes)

    assert same(counted.mean_absolute_error(counts), sk.mean_absolute_error(truth, predicted))
    assert same(counted.within_one_accuracy(counts), np.mean(abs(truth - predicted) <= 1))


def test_worked_example_on_a_scale():
    # Calls of 10 claims on a scale of three: the one of class 0 called 2 is two steps off.
    counts = np.array([[3, 0, 1], [1, 2, 0], [0, 1, 2]])

    assert counted.accuracy(counts) == pytest.approx(0.7)
    assert counted.mean_absolute_error(counts) == pytest.approx((2 + 1 + 1) / 10)
    assert counted.within_one_accuracy(counts) == pytest.approx(0.9)
    # Squared steps: seen 4 + 1 + 1 = 6; by chance, with margins (4, 3, 3) on both sides,
    # (4·3 + 3·4 + 3·3 + 3·3 + 4·(4·3 + 3·4)) / 10 = 13.8.
    assert counted.quadratic_kappa(counts) == pytest.approx(1 - 6 / 13.8)


def test_large_counts_do_not_overflow():
    counts = np.array([[3, 1], [1, 3]]) * 10**9

    assert counted.mcc(counts) == pytest.approx(0.5)
    assert counted.kappa(counts) == pytest.approx(0.5)


def test_unknown_average_is_refused():
    with pytest.raises(ValueError, match="average must be one of weighted, macro, got 'micro'"):
        counted.check_average("micro")
