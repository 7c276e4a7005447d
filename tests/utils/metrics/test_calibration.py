"""Calibration errors equal brute force and closed forms, and calibrated models pass their test."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from sparse_transformers.utils.metrics.calibration import (
    KINDS,
    ReliabilityDiagram,
    adaptive_calibration_error,
    calibration_null,
    expected_calibration_error,
    maximum_calibration_error,
    reliability_diagram,
)
from sparse_transformers.utils.metrics.probability_bins import assign_bins
from sparse_transformers.utils.metrics.significance import wilson_interval
from sparse_transformers.utils.records import from_json, to_json

seeds = st.integers(0, 10_000)
binnings = st.sampled_from(["width", "mass"])


def random_scores(seed, n_rows=300, digits=2):
    generator = np.random.default_rng(seed)
    return generator.random(n_rows) < 0.4, np.round(generator.beta(1, 1, n_rows), digits)


@given(seed=seeds, n_bins=st.integers(1, 20), binning=binnings)
def test_bins_are_those_of_scikit_learn(seed, n_bins, binning):
    truth, scores = random_scores(seed)
    strategy = {"width": "uniform", "mass": "quantile"}[binning]
    frequency, mean_score = calibration_curve(truth, scores, n_bins=n_bins, strategy=strategy)

    bins = reliability_diagram(
        truth, scores, kind="positive-class", n_bins=n_bins, binning=binning
    ).bins

    np.testing.assert_allclose([each.accuracy for each in bins], frequency)
    np.testing.assert_allclose([each.confidence for each in bins], mean_score)
    assert sum(each.count for each in bins) == len(truth)
    assert all(each.low - 1e-12 <= each.confidence <= each.high + 1e-12 for each in bins)


@given(seed=seeds, n_bins=st.integers(1, 20), binning=binnings, kind=st.sampled_from(KINDS))
def test_errors_are_the_mean_and_the_maximum_over_the_diagram(seed, n_bins, binning, kind):
    truth, scores = random_scores(seed)
    options = {"kind": kind, "n_bins": n_bins, "binning": binning}
    bins = reliability_diagram(truth, scores, **options).bins
    gaps = [abs(each.accuracy - each.confidence) for each in bins]
    weights = [each.count for each in bins]

    ece = expected_calibration_error(truth, scores, **options)
    mce = maximum_calibration_error(truth, scores, **options)

    assert ece == pytest.approx(np.average(gaps, weights=weights))
    assert mce == pytest.approx(max(gaps))


def test_expected_error_worked_by_hand():
    # Two bins of the truthful class's probability: .1 and .3, mean .2, of which half come true;
    # .9 alone, which does not.
    truth, probability = [1, 0, 0], [0.1, 0.3, 0.9]
    positive = {"kind": "positive-class", "n_bins": 2}

    assert expected_calibration_error(truth, probability, **positive) == pytest.approx(
        (2 * 0.3 + 0.9) / 3
    )
    assert maximum_calibration_error(truth, probability, **positive) == pytest.approx(0.9)
    # The top label is "false" at .9 and .7 (wrong, right), and "true" at .9 (wrong): one bin of
    # mean confidence 2.5 / 3 with a third right.
    assert expected_calibration_error(truth, probability, n_bins=2) == pytest.approx(1.5 / 3)


def test_two_kinds_differ():
    # All rows are 50:50, half are true: right about the class, and the top label (the first) is
    # right half of the time; at .4 the top label is "false" at .6.
    truth = [0, 1] * 10

    assert expected_calibration_error(truth, [0.4] * 20) == pytest.approx(0.1)
    assert expected_calibration_error(truth, [0.4] * 20, kind="positive-class") == pytest.approx(
        0.1
    )
    both = [0.4, 0.6] * 10  # the top label is always right, at .6
    assert expected_calibration_error(truth, both) == pytest.approx(0.4)
    assert expected_calibration_error(
        truth, both, kind="positive-class", n_bins=1
    ) == pytest.approx(0)


def test_multiclass_top_label_is_the_most_probable_class():
    probabilities = [[0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]]

    error = expected_calibration_error(
        ["x", "x", "y"], probabilities, n_bins=5, labels=["x", "y", "z"]
    )

    # At .6: one of two right; at .8: right.
    assert error == pytest.approx((2 * 0.1 + 0.2) / 3)


@given(seed=seeds, n_bins=st.sampled_from([1, 2, 5, 10]), n_classes=st.integers(2, 5))
def test_adaptive_error_equals_brute_force_without_ties(seed, n_bins, n_classes):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(n_classes), 100)
    truth = generator.integers(n_classes, size=100)
    gaps = []
    for each in range(n_classes):
        order = np.argsort(probabilities[:, each])
        for rows in np.split(order, n_bins):
            gaps.append(abs(probabilities[rows, each].mean() - (truth[rows] == each).mean()))

    error = adaptive_calibration_error(truth, probabilities, n_bins=n_bins, labels=range(n_classes))

    assert error == pytest.approx(np.mean(gaps))


@given(seed=seeds, binning=binnings)
def test_order_of_the_rows_does_not_matter(seed, binning):
    truth, scores = random_scores(seed, digits=1)
    shuffled = np.random.default_rng(seed).permutation(len(truth))

    for error in (expected_calibration_error, maximum_calibration_error):
        assert error(truth, scores, binning=binning) == pytest.approx(
            error(truth[shuffled], scores[shuffled], binning=binning)
        )
    assert adaptive_calibration_error(truth, scores) == pytest.approx(
        adaptive_calibration_error(truth[shuffled], scores[shuffled])
    )


def test_equal_probabilities_share_a_bin():
    bins = assign_bins(np.array([0.3] * 50 + [0.6] * 3), 10, "mass")

    assert len(set(bins.members[:50])) == 1
    assert bins.counts.sum() == 53


def test_bin_holds_its_upper_edge():
    bins = assign_bins(np.array([0.0, 0.5, 0.5 + 1e-9, 1.0]), 2, "width")

    assert bins.members.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_calibrated_model_lies_inside_its_null(kind):
    p_values = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        probability = generator.beta(2, 2, 400)
        truth = generator.random(400) < probability
        null = calibration_null(truth, probability, kind=kind, n_simulations=99, seed=seed)
        assert 0 < null.null_mean < null.null_high
        assert (null.error <= null.null_high) or null.p_value <= 0.06
        p_values.append(null.p_value)

    # With uniform p-values: mean .5 ± .046 (one standard error), and 2 of 40 below .05.
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.15)
    assert np.sum(np.array(p_values) <= 0.05) <= 6


def test_calibrated_multiclass_model_lies_inside_its_null():
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(6), 2000)
    truth = (generator.random((2000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)

    null = calibration_null(truth, probabilities, labels=range(6))

    assert null.error <= null.null_high
    assert null.error > 0.5 * null.null_mean > 0  # not 0, though the model is perfect


def test_overconfident_model_lies_outside_its_null():
    generator = np.random.default_rng(0)
    probability = generator.beta(2, 2, 1000)
    truth = generator.random(1000) < probability
    sharpened = probability**3 / (probability**3 + (1 - probability) ** 3)

    null = calibration_null(truth, sharpened)

    assert null.error > 2 * null.null_high
    assert null.p_value == 0.001
    assert null == calibration_null(truth, sharpened)
    assert null != calibration_null(truth, sharpened, seed=1)


def test_null_of_certain_and_right_predictions_is_zero():
    null = calibration_null([0, 1, 1], [0, 1, 1], n_simulations=9)

    assert null.error == null.null_mean == null.null_high == 0
    assert null.p_value == 1


def test_diagram_has_wilson_intervals_and_survives_json():
    truth, scores = random_scores(0)
    diagram = reliability_diagram(truth, scores, n_bins=5, confidence=0.9)

    for each in diagram.bins:
        expected = wilson_interval(round(each.accuracy * each.count), each.count, 0.9)
        assert (each.accuracy_low, each.accuracy_high) == (expected.low, expected.high)
    assert from_json(ReliabilityDiagram, to_json(diagram)) == diagram
    assert len(diagram.bins) == 3  # the top label of two has at least .5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "top"}, "kind must be one of top-label, positive-class, got 'top'"),
        ({"n_bins": 0}, "n_bins must be a positive integer, got 0"),
        ({"n_bins": 2.5}, r"n_bins must be a positive integer, got 2\.5"),
        ({"binning": "equal"}, "binning must be one of width, mass, got 'equal'"),
    ],
)
@pytest.mark.parametrize(
    "function", [expected_calibration_error, maximum_calibration_error, reliability_diagram]
)
def test_bad_options_are_refused(function, options, message):
    with pytest.raises(ValueError, match=message):
        function([0, 1], [0.2, 0.8], **options)


def test_positive_class_needs_two_classes():
    with pytest.raises(ValueError, match="'positive-class' must be about two classes, got 3"):
        expected_calibration_error([0, 1, 2], np.eye(3), kind="positive-class")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_simulations": 0}, "n_simulations must be at least 1, got 0"),
        ({"confidence": 1}, "confidence must be between 0 and 1, got 1"),
    ],
)
def test_bad_simulation_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        calibration_null([0, 1], [0.2, 0.8], **options)


@pytest.mark.parametrize(
    "function",
    [expected_calibration_error, adaptive_calibration_error, reliability_diagram, calibration_null],
)
def test_bad_input_is_refused(function):
    with pytest.raises(ValueError, match="y_true must be a list"):
        function([], [])
    with pytest.raises(ValueError, match="y_prob must have shape"):
        function([0, 1], [0.2])
    with pytest.raises(ValueError, match="y_prob must be finite, got nan in row 0"):
        function([0, 1], [float("nan"), 0.2])


def test_single_row_and_single_class_have_an_error():
    assert expected_calibration_error([1], [0.75]) == pytest.approx(0.25)
    assert expected_calibration_error([0, 0], [0.75, 0.75]) == pytest.approx(0.75)
