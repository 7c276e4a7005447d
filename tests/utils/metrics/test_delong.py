"""DeLong's variance equals its definition over all pairs, and its test errs as often as it says."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from sparse_transformers.utils.metrics.delong import delong_interval, delong_test, roc_auc


@st.composite
def scored_rows(draw):
    """Labels with at least two of each class, and two scores with many ties."""
    extra = draw(st.lists(st.booleans(), max_size=12))
    truth = np.array([0, 1, 0, 1, *extra], dtype=int)
    scores = st.lists(st.integers(0, 4), min_size=len(truth), max_size=len(truth))
    return truth, np.array(draw(scores), float), np.array(draw(scores), float)


def placements(truth, scores):
    """The placement values of positives and of negatives, from all pairs."""
    gaps = scores[truth == 1][:, None] - scores[truth == 0][None, :]
    wins = np.where(gaps > 0, 1.0, np.where(gaps == 0, 0.5, 0.0))
    return wins.mean(axis=1), wins.mean(axis=0)


def brute_force(truth, *scores):
    """AUC and their covariances by the definition of DeLong et al. 1988."""
    of_positives, of_negatives = zip(*(placements(truth, each) for each in scores), strict=True)
    aucs = [each.mean() for each in of_positives]
    covariance = np.zeros((len(scores), len(scores)))
    for i, j in np.ndindex(covariance.shape):
        for parts in (of_positives, of_negatives):
            n = len(parts[i])
            products = (parts[i] - aucs[i]) * (parts[j] - aucs[j])
            covariance[i, j] += products.sum() / (n - 1) / n
    return aucs, covariance


@given(rows=scored_rows())
def test_auc_is_that_of_scikit_learn(rows):
    truth, scores, _ = rows
    assert roc_auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores))


@given(rows=scored_rows())
def test_interval_is_that_of_all_pairs(rows):
    truth, scores, _ = rows
    (auc,), covariance = brute_force(truth, scores)
    reach = 1.959963984540054 * np.sqrt(covariance[0, 0])
    interval = delong_interval(truth, scores)
    assert interval.estimate == pytest.approx(auc)
    assert interval.low == pytest.approx(max(auc - reach, 0), abs=1e-9)
    assert interval.high == pytest.approx(min(auc + reach, 1), abs=1e-9)


@given(rows=scored_rows())
def test_comparison_is_that_of_all_pairs(rows):
    truth, first, second = rows
    (auc_a, auc_b), covariance = brute_force(truth, first, second)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    if variance < 1e-9 and abs(auc_a - auc_b) > 1e-9:
        with pytest.raises(ValueError, match="without variance"):
            delong_test(truth, first, second)
        return
    result = delong_test(truth, first, second)
    assert (result.auc_a, result.auc_b) == pytest.approx((auc_a, auc_b))
    if abs(auc_a - auc_b) < 1e-9:
        assert result.p_value == 1
        return
    z = (auc_a - auc_b) / np.sqrt(variance)
    assert result.p_value == pytest.approx(2 * scipy.stats.norm.sf(abs(z)))
    width = result.difference.high - result.difference.low
    assert width == pytest.approx(2 * 1.959963984540054 * np.sqrt(variance))


def test_variance_nears_the_one_known_for_equal_distributions():
    # Without any signal, the variance of the AUC is that of the Mann-Whitney statistic.
    generator = np.random.default_rng(0)
    truth = np.repeat([0, 1], [1500, 1000])
    interval = delong_interval(truth, generator.normal(size=2500))
    expected = np.sqrt((1500 + 1000 + 1) / (12 * 1500 * 1000))
    assert (interval.high - interval.low) / 2 / 1.96 == pytest.approx(expected, rel=0.05)


def test_intervals_cover_the_true_auc_and_tests_keep_their_level():
    truth = np.repeat([0, 1], 60)
    true_auc = scipy.stats.norm.cdf(1 / np.sqrt(2))  # of N(1, 1) against N(0, 1)
    covered = rejected = 0
    for seed in range(400):
        generator = np.random.default_rng(seed)
        signal = truth + 0.8 * generator.normal(size=120)
        first, second = (signal + 0.6 * generator.normal(size=120) for _ in range(2))
        interval = delong_interval(truth, first)
        covered += interval.low <= true_auc <= interval.high
        rejected += delong_test(truth, first, second).p_value < 0.05
    assert 0.92 <= covered / 400 <= 0.98  # ±3 standard errors
    assert 0.02 <= rejected / 400 <= 0.085


def test_same_order_is_the_same_auc():
    truth, scores = [0, 1, 0, 1, 1], np.array([0.1, 0.9, 0.5, 0.4, 0.6])
    result = delong_test(truth, scores, np.exp(scores))
    assert result.difference.estimate == 0
    assert result.p_value == 1


def test_faultless_separation_has_no_width():
    assert delong_interval([0, 0, 1, 1], [1, 2, 3, 4]).low == 1


@pytest.mark.parametrize("measure", [delong_interval, delong_test])
def test_single_row_of_a_class_is_refused(measure):
    scores = [[1.0, 2.0, 3.0]] * (2 if measure is delong_test else 1)
    with pytest.raises(ValueError, match="at least two rows of each class"):
        measure([0, 0, 1], *scores)


@pytest.mark.parametrize("measure", [delong_interval, delong_test])
def test_confidence_in_percent_is_refused(measure):
    scores = [[1.0, 2.0, 3.0, 4.0]] * (2 if measure is delong_test else 1)
    with pytest.raises(ValueError, match="confidence must be between 0 and 1, got 95"):
        measure([0, 1, 0, 1], *scores, confidence=95)
