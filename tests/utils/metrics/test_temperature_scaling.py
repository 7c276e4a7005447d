"""Temperature scaling finds a planted temperature and agrees with scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn import calibration
from sklearn.linear_model import LogisticRegression

from sparse_transformers.utils.metrics.temperature_scaling import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    TemperatureScaling,
    fit_temperature,
)
from sparse_transformers.utils.records import from_json, to_json


def calibrated_logits(n_rows, n_classes, seed=0):
    """Labels drawn from the softmax of the logits."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=2, size=(n_rows, n_classes))
    gumbel = generator.gumbel(size=logits.shape)
    return np.argmax(logits + gumbel, axis=1), logits


@pytest.mark.parametrize("planted", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("n_classes", [2, 6])
def test_planted_temperature_is_found(planted, n_classes):
    truth, logits = calibrated_logits(20_000, n_classes)

    fitted = fit_temperature(truth, logits * planted, labels=range(n_classes))

    assert fitted.temperature == pytest.approx(planted, rel=0.05)  # about three standard errors
    assert fitted.nll_after <= fitted.nll_before
    probabilities = fitted.apply(logits * planted)
    nll = -np.mean(np.log(probabilities[np.arange(len(truth)), truth]))
    assert fitted.nll_after == pytest.approx(nll)


@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 5))
def test_no_other_temperature_is_more_likely(seed, n_classes):
    truth, logits = calibrated_logits(60, n_classes, seed)
    fitted = fit_temperature(truth, logits, labels=range(n_classes))

    for factor in (0.5, 0.99, 1.01, 2.0):
        scaled = logits / (fitted.temperature * factor)
        nll = -np.mean(log_softmax(scaled, axis=1)[np.arange(len(truth)), truth])
        assert nll >= fitted.nll_after - 1e-12


@pytest.mark.parametrize("n_classes", [2, 4])
def test_probabilities_equal_those_of_scikit_learn(n_classes):
    if not hasattr(calibration, "_TemperatureScaling"):
        pytest.skip("this scikit-learn has no temperature scaling")
    from sklearn.frozen import FrozenEstimator

    generator = np.random.default_rng(0)
    features = generator.normal(size=(600, 5))
    weights = generator.normal(size=(5, n_classes))
    truth = np.argmax(features @ weights + generator.gumbel(size=(600, n_classes)), axis=1)
    model = LogisticRegression(C=100).fit(features[:60], truth[:60])
    scaler = calibration.CalibratedClassifierCV(FrozenEstimator(model), method="temperature")
    expected = scaler.fit(features[60:], truth[60:]).predict_proba(features)

    logits = model.decision_function(features)
    fitted = fit_temperature(truth[60:], logits[60:], labels=range(n_classes))
    ours = fitted.apply(logits)

    np.testing.assert_allclose(ours, expected[:, 1] if n_classes == 2 else expected, atol=1e-5)


def test_log_odds_are_the_difference_of_two_logits():
    truth, logits = calibrated_logits(200, 2)
    log_odds = logits[:, 1] - logits[:, 0]

    of_two, of_one = fit_temperature(truth, logits), fit_temperature(truth, log_odds)

    assert of_one.temperature == pytest.approx(of_two.temperature)
    np.testing.assert_allclose(of_one.apply(log_odds), of_two.apply(logits)[:, 1])


def test_log_probabilities_will_do_for_logits():
    truth, logits = calibrated_logits(200, 3)
    log_probabilities = np.log(softmax(logits, axis=1))

    assert fit_temperature(truth, log_probabilities).temperature == pytest.approx(
        fit_temperature(truth, logits).temperature
    )


@pytest.mark.parametrize(
    "logits",
    [
        [[0.0, 0.0]] * 4,
        [[5.0, 5.0], [1e3, 1e3], [0.1, 0.1], [-7.0, -7.0]],
        [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]],  # right and wrong alike
        [[0.0, 9.0], [1.0, 0.0], [0.0, 9.0], [1.0, 0.0]],  # worse than nothing
    ],
)
def test_logits_that_tell_nothing_become_uniform(logits):
    fitted = fit_temperature([0, 1, 0, 1], logits)

    assert fitted.temperature == MAX_TEMPERATURE
    assert fitted.nll_after == pytest.approx(math.log(2), abs=1e-3)
    np.testing.assert_allclose(fitted.apply(logits), 0.5, atol=1e-3)


def test_errors_that_are_all_but_ties_have_the_lowest_temperature():
    logits = np.array([[1.0, 0.0], [1e-8, 0.0], [1e-8, 0.0], [1e-9, 0.0]])
    fitted = fit_temperature([0, 0, 0, 1], logits)

    assert fitted.temperature == MIN_TEMPERATURE
    assert fitted.nll_after == pytest.approx(math.log(2) * 3 / 4, abs=1e-3)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_logits_without_a_mistake_are_refused(scale):
    logits = scale * np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 3.0]])

    with pytest.raises(ValueError, match="must not rank the true class first in every row"):
        fit_temperature([0, 1, 2], logits)


@pytest.mark.parametrize(
    ("truth", "logits", "message"),
    [
        ([0, 1], [[0.0, float("nan")], [0, 1]], "logits must be finite, got nan in row 0"),
        ([0, 1], [[0.0, -math.inf], [0, 1]], "logits must be finite, got -inf in row 0"),
        ([0, 1], [[0.0, 1.0]], r"logits must have shape \(2, 2\)"),
        ([0, 1, 2], [0.0, 1.0, 2.0], r"logits must have shape \(3, 3\)"),
        ([0, 1], 0.5, r"logits must be \(rows, classes\) or \(rows,\), got shape \(\)"),
        ([], [], "y_true must be a list"),
    ],
)
def test_bad_input_is_refused(truth, logits, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(truth, logits)


def test_scaling_survives_json():
    fitted = TemperatureScaling(temperature=2.0, nll_before=0.7, nll_after=0.5)

    assert from_json(TemperatureScaling, to_json(fitted)) == fitted
    np.testing.assert_allclose(fitted.apply([0.0, 2.0]), [0.5, 1 / (1 + math.exp(-1))])
