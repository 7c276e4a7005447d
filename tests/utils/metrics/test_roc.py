"""The curve is scikit-learn's, and the band is where it lies on other rows."""

import json

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc, roc_auc_score, roc_curve

from sparse_transformers.utils.metrics.roc import RocCurve, roc_with_band
from sparse_transformers.utils.metrics.significance import bootstrap_interval
from sparse_transformers.utils.records import from_json, to_json


@given(
    truth=st.lists(st.integers(0, 1), max_size=20),
    scores=st.lists(st.integers(0, 5), min_size=26, max_size=26),
)
def test_curve_is_that_of_scikit_learn_and_its_upper_end_where_it_jumps(truth, scores):
    truth = np.array([0, 0, 0, 1, 1, 1, *truth])  # most resamples hold both classes
    scores = np.array(scores[: len(truth)], dtype=float)
    curve = roc_with_band(truth, scores, n_points=7, n_resamples=5)
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    for x, y in zip(curve.fpr, curve.tpr, strict=True):
        here = np.isclose(fpr, x)
        assert y == pytest.approx(tpr[here].max() if here.any() else np.interp(x, fpr, tpr))
    assert curve.auc.estimate == pytest.approx(roc_auc_score(truth, scores))


def test_points_are_close_enough_to_give_the_area():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 500)
    curve = roc_with_band(truth, truth + generator.normal(size=500), n_resamples=2)
    assert auc([0, *curve.fpr], [0, *curve.tpr]) == pytest.approx(curve.auc.estimate, abs=0.005)


def test_interval_of_the_area_is_the_bootstrap_interval():
    generator = np.random.default_rng(0)
    truth, groups = generator.integers(0, 2, 80), generator.integers(0, 20, 80)
    scores = truth + generator.normal(size=80)
    options = {"groups": groups, "n_resamples": 50, "confidence": 0.8, "seed": 3}
    curve = roc_with_band(truth, scores, **options)
    expected = bootstrap_interval(roc_auc_score, truth, scores, **options)
    assert curve.auc.low == pytest.approx(expected.low)
    assert curve.auc.high == pytest.approx(expected.high)
    assert curve.auc.confidence == 0.8


def test_band_covers_the_true_curve():
    covered = np.zeros(3)
    for seed in range(60):
        generator = np.random.default_rng(seed)
        truth = np.repeat([0, 1], 150)
        curve = roc_with_band(
            truth, truth + generator.normal(size=300), n_points=5, n_resamples=99, seed=seed
        )
        true_tpr = scipy.stats.norm.sf(scipy.stats.norm.isf([0.25, 0.5, 0.75]) - 1)
        covered += (np.array(curve.low)[1:4] <= true_tpr) & (true_tpr <= np.array(curve.high)[1:4])
    assert np.all(covered / 60 >= 0.86)  # .95 less three standard errors of 60 trials


def test_band_holds_the_curve_and_ends_in_the_corner():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 200)
    curve = roc_with_band(truth, truth + generator.normal(size=200), n_points=200)
    assert np.all(np.array(curve.low) <= np.array(curve.tpr))
    assert np.all(np.array(curve.tpr) <= np.array(curve.high))
    assert (curve.fpr[0], curve.fpr[-1], curve.tpr[-1], len(curve.fpr)) == (0, 1, 1, 200)
    assert from_json(RocCurve, json.loads(json.dumps(to_json(curve)))) == curve


@pytest.mark.parametrize("n_points", [1, 201])
def test_too_few_or_too_many_points_are_refused(n_points):
    with pytest.raises(ValueError, match=f"n_points must be from 2 to 200, got {n_points}"):
        roc_with_band([0, 1], [0.1, 0.2], n_points=n_points)


def test_single_class_is_refused():
    with pytest.raises(ValueError, match="both classes"):
        roc_with_band([1, 1, 1], [0.1, 0.2, 0.3])
