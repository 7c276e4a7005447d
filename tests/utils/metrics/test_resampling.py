"""Resamples are of whole groups, and a metric that is undefined never gives a number."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import precision_score, roc_auc_score

from sparse_transformers.utils.metrics.resampling import (
    bootstrap_values,
    equal_columns,
    evaluate_metric,
    percentile_limits,
)


@given(
    groups=st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=30), seed=st.integers(0, 99)
)
def test_groups_are_drawn_whole_and_as_many_as_there_are(groups, seed):
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < 2:
        groups, names, sizes = [*groups, "other"], np.append(names, "other"), np.append(sizes, 1)

    def times_drawn(rows):
        drawn = np.bincount(rows, minlength=len(groups))
        per_group = [set(drawn[np.array(groups) == name].tolist()) for name in names]
        assert all(len(times) == 1 for times in per_group)  # every row as often as its group
        return float(sum(times.pop() for times in per_group))

    values = bootstrap_values(
        times_drawn, np.arange(len(groups)), groups=groups, n_resamples=5, seed=seed
    )
    assert values.tolist() == [len(names)] * 5


def test_every_row_its_own_group_varies_as_rows_do():
    rows = np.random.default_rng(0).normal(size=200)
    alone = bootstrap_values(np.mean, rows, n_resamples=2000)
    grouped = bootstrap_values(np.mean, rows, groups=np.arange(200), n_resamples=2000, seed=1)
    expected = rows.std() / np.sqrt(200)
    assert alone.std() == pytest.approx(expected, rel=0.06)  # 2000 draws know a spread to 1.6%
    assert grouped.std() == pytest.approx(expected, rel=0.06)


def test_arrays_are_resampled_together():
    first = np.arange(50)
    assert bootstrap_values(lambda a, b: np.max(np.abs(2 * a - b)), first, 2 * first).max() == 0


def test_metric_may_be_an_array():
    values = bootstrap_values(lambda a: np.array([a.min(), a.max()]), [1.0, 2.0], n_resamples=7)
    assert values.shape == (7, 2)


def test_same_seed_same_values_and_the_global_generator_is_left_alone():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    first, again, other = (bootstrap_values(np.mean, np.arange(9.0), seed=s) for s in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_undefined_resamples_are_drawn_again():
    truth, scores = [0, 1, 1, 1, 0], [0.1, 0.9, 0.4, 0.8, 0.5]  # 9% lack a class
    values = bootstrap_values(roc_auc_score, truth, scores, n_resamples=200)
    assert values.shape == (200,)
    assert not np.isnan(values).any()


@pytest.mark.parametrize(("defined_in_tenths", "refused"), [(6, False), (4, True)])
def test_metric_that_is_mostly_undefined_is_refused(defined_in_tenths, refused):
    def metric(rows):
        return 1.0 if rows[0] < defined_in_tenths else np.nan

    if refused:
        with pytest.raises(ValueError, match="at least half the resamples, got"):
            bootstrap_values(metric, np.arange(10))
    else:
        assert bootstrap_values(metric, np.arange(10)).sum() == 999


def test_undefined_metric_raises_instead_of_zero_or_nan():
    for metric in (precision_score, lambda truth, predicted: float("nan")):
        with pytest.raises(ValueError, match="metric must be defined on the data"):
            evaluate_metric(metric, [0, 1], [0, 0])
    with pytest.raises(ValueError, match="its own"):
        evaluate_metric(lambda a: (_ for _ in ()).throw(ValueError("its own")), [0])


def test_other_warnings_of_a_metric_pass():
    def warns(values):
        warnings.warn("mind this", UserWarning, stacklevel=1)
        return 1.0

    with pytest.warns(UserWarning, match="mind this") as caught:
        assert evaluate_metric(warns, [0]) == 1
    assert not any(issubclass(each.category, UndefinedMetricWarning) for each in caught)


def test_percentiles_leave_the_confidence_between_them():
    low, high = percentile_limits(np.arange(101.0), 0.9)
    assert (low, high) == pytest.approx((5, 95))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ["a", "b"]}, r"one group per row \(3\), got shape \(2,\)"),
        ({"groups": ["a", None, "b"]}, "for every row, row 1 has none"),
        ({"groups": ["a", "b", float("nan")]}, "for every row, row 2 has none"),
        ({"groups": ["a", "a", "a"]}, "at least two groups, got 1"),
        ({"n_resamples": 0}, "n_resamples must be at least 1, got 0"),
    ],
)
def test_bad_resampling_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_values(np.mean, [1.0, 2.0, 3.0], **options)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([], r"got lengths \[\]"),
        ([[]], r"got lengths \[0\]"),
        ([[1, 2], [1]], r"got lengths \[2, 1\]"),
        ([3.0], r"got lengths \[0\]"),
    ],
)
def test_arrays_of_different_or_no_length_are_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        equal_columns(arrays)


def test_one_row_is_refused():
    with pytest.raises(ValueError, match="at least two rows"):
        bootstrap_values(np.mean, [1.0])


@pytest.mark.parametrize("confidence", [0, 1, 95, float("nan")])
def test_confidence_out_of_range_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence must be between 0 and 1"):
        percentile_limits(np.arange(3.0), confidence)
