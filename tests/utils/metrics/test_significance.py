"""Intervals cover as often as they say; tests agree with scipy and with sums done by hand."""

import json
from math import comb, sqrt

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from sparse_transformers.utils.metrics.significance import (
    Interval,
    PairedDifference,
    bootstrap_interval,
    holm_correction,
    mcnemar_test,
    mean_interval,
    paired_bootstrap,
    wilson_interval,
)
from sparse_transformers.utils.records import from_json, to_json

PROBABILITIES = st.floats(0, 1, allow_subnormal=False)


def mean(values):
    return float(np.mean(values))


def accuracy(truth, predicted):
    return float(np.mean(truth == predicted))


def f1(truth, predicted):
    return 2 * np.sum(truth * predicted) / np.sum(truth + predicted)


def test_bootstrap_agrees_with_scipy():
    truth = np.random.default_rng(0).integers(0, 2, 150)
    predicted = np.where(np.random.default_rng(1).random(150) < 0.7, truth, 1 - truth)
    ours = bootstrap_interval(f1, truth, predicted, n_resamples=2000)
    theirs = scipy.stats.bootstrap(
        (truth, predicted),
        f1,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert ours.estimate == f1(truth, predicted)
    # The tails of 2000 draws are known to about a twentieth of the interval.
    assert ours.low == pytest.approx(theirs.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.high, abs=0.01)


def test_grouped_intervals_cover_clustered_data_and_row_intervals_do_not():
    covered = {"groups": 0, "rows": 0}
    n_trials, n_groups, per_group = 200, 60, 8
    for trial in range(n_trials):
        generator = np.random.default_rng(trial)
        of_group = generator.normal(size=n_groups)
        groups = np.repeat(np.arange(n_groups), per_group)
        values = of_group[groups] + 0.5 * generator.normal(size=n_groups * per_group)
        for name, passed in (("groups", groups), ("rows", None)):
            interval = bootstrap_interval(
                np.mean, values, groups=passed, n_resamples=199, seed=trial
            )
            covered[name] += interval.low <= 0 <= interval.high
    # 200 trials know a share of .95 to ±.046; percentiles of 60 groups cover a little less.
    assert 0.89 <= covered["groups"] / n_trials <= 0.99
    assert covered["rows"] / n_trials < 0.75


def test_higher_confidence_is_wider():
    values = np.random.default_rng(0).normal(size=50)
    narrow, wide = (bootstrap_interval(mean, values, confidence=c) for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high
    assert (narrow.confidence, wide.confidence) == (0.5, 0.99)


def test_metric_undefined_on_the_whole_data_is_refused():
    with pytest.raises(ValueError, match="metric must be defined on the data"):
        bootstrap_interval(roc_auc_score, [1, 1, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="metric must be defined on the data"):
        paired_bootstrap(roc_auc_score, [1, 1, 1], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3])


def test_paired_bootstrap_of_a_metric_with_itself_is_no_difference():
    truth = np.random.default_rng(0).integers(0, 2, 40)
    same = paired_bootstrap(accuracy, truth, truth, truth, n_resamples=99)
    assert same.difference == Interval(0, 0, 0)
    assert same.p_value == 1


def test_paired_bootstrap_sees_what_unpaired_intervals_do_not():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 400)
    first = np.where(generator.random(400) < 0.6, truth, 1 - truth)
    second = np.where((first == truth) & (generator.random(400) < 0.06), 1 - truth, first)
    result = paired_bootstrap(accuracy, truth, first, second)
    assert result.score_a == accuracy(truth, first)
    assert result.difference.estimate == pytest.approx(result.score_a - result.score_b)
    assert result.difference.low > 0
    assert result.p_value == pytest.approx(2 / 1000)  # the least that 999 resamples can tell
    swapped = paired_bootstrap(accuracy, truth, second, first)
    assert swapped.difference.high < 0
    assert swapped.p_value == result.p_value
    alone_a, alone_b = (bootstrap_interval(accuracy, truth, p) for p in (first, second))
    assert alone_a.low < alone_b.high


def test_paired_p_value_is_about_uniform_without_a_difference():
    p_values = []
    for trial in range(150):
        generator = np.random.default_rng(trial)
        truth, first, second = generator.normal(size=(3, 60))
        result = paired_bootstrap(
            lambda t, s: np.corrcoef(t, s)[0, 1], truth, first, second, n_resamples=99, seed=trial
        )
        outside = not result.difference.low <= 0 <= result.difference.high
        assert outside or result.p_value >= 0.05
        p_values.append(result.p_value)
    assert np.mean(np.array(p_values) < 0.05) < 0.105  # three standard errors above .05
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.07)


def test_paired_bootstrap_by_group_is_less_sure():
    generator = np.random.default_rng(1)
    groups = np.repeat(np.arange(20), 15)
    truth = np.ones(300)
    first = (generator.random(20) < 0.6)[groups]
    second = (generator.random(20) < 0.5)[groups]
    by_row = paired_bootstrap(accuracy, truth, first, second).difference
    by_group = paired_bootstrap(accuracy, truth, first, second, groups=groups).difference
    assert by_group.high - by_group.low > 2 * (by_row.high - by_row.low)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (7, 10), (340, 1284)])
def test_wilson_interval_solves_its_equation(successes, n):
    interval = wilson_interval(successes, n)
    z, share = scipy.stats.norm.ppf(0.975), successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    assert interval.estimate == share
    assert interval.low == pytest.approx(centre - reach, abs=1e-12)
    assert interval.high == pytest.approx(centre + reach, abs=1e-12)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=8), st.sampled_from([0.8, 0.95]))
def test_mean_interval_agrees_with_scipy(values, confidence):
    interval = mean_interval(values, confidence)
    assert interval.estimate == pytest.approx(np.mean(values), abs=1e-9)
    error = scipy.stats.sem(values)
    if error == 0:
        assert interval.low == interval.high == interval.estimate
    else:
        low, high = scipy.stats.t.interval(
            confidence, len(values) - 1, loc=np.mean(values), scale=error
        )
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, float("nan")], [[1.0, 2.0]]])
def test_mean_interval_needs_two_finite_numbers(values):
    with pytest.raises(ValueError, match="values must be at least two finite numbers"):
        mean_interval(values)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(successes, n):
    with pytest.raises(ValueError, match=f"got {successes} of {n}"):
        wilson_interval(successes, n)


def test_mcnemar_by_hand():
    truth = np.ones(20, dtype=int)
    first, second = truth.copy(), truth.copy()
    first[:2] = 0  # only the second is right
    second[2:11] = 0  # only the first is right
    first[11:13] = second[11:13] = 0  # both wrong: tells nothing
    result = mcnemar_test(truth, first, second)
    assert (result.only_a_right, result.only_b_right) == (9, 2)
    assert result.p_value == pytest.approx(2 * sum(comb(11, k) for k in range(3)) / 2**11)


def test_mcnemar_of_classes_other_than_two():
    assert mcnemar_test(["a", "b", "c"], ["a", "b", "a"], ["b", "c", "a"]).only_a_right == 2


def test_mcnemar_without_disagreement_says_nothing():
    assert mcnemar_test([0, 1, 1], [0, 0, 1], [0, 0, 1]).p_value == 1


def test_mcnemar_refuses_different_lengths():
    with pytest.raises(ValueError, match=r"got lengths \[2, 2, 1\]"):
        mcnemar_test([0, 1], [0, 1], [0])


def test_holm_by_hand():
    assert holm_correction([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm_correction([0.6, 0.7]) == (1.0, 1.0)
    assert holm_correction([]) == ()


@given(p_values=st.lists(PROBABILITIES, min_size=1, max_size=8), level=st.floats(0.01, 0.5))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values, level):
    rejected = set()
    for step, which in enumerate(np.argsort(p_values, kind="stable").tolist()):
        if p_values[which] * (len(p_values) - step) > level:
            break
        rejected.add(which)
    adjusted = holm_correction(p_values)
    assert {i for i, p in enumerate(adjusted) if p <= level} == rejected


@pytest.mark.parametrize("p_values", [[0.5, 1.1], [-0.1], [float("nan")], [[0.1]]])
def test_numbers_that_are_no_p_values_are_refused(p_values):
    with pytest.raises(ValueError, match="p_values must be a list of numbers from 0 to 1"):
        holm_correction(p_values)


def test_results_are_plain_and_pass_through_json():
    result = paired_bootstrap(accuracy, np.array([0, 1, 1]), [0, 1, 0], [0, 0, 0], n_resamples=9)
    assert from_json(PairedDifference, json.loads(json.dumps(to_json(result)))) == result
    assert str(Interval(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"
