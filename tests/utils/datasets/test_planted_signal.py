"""Planted signals against brute force over every combination of cues."""

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from sparse_transformers.utils.datasets.planted_signal import (
    PlantedSignal,
    graded_cue,
    plant_signal,
)


def random_signal(seed, n_classes=3, sizes=(2, 3, 2)):
    rng = np.random.default_rng(seed)
    cues = tuple(rng.dirichlet(np.ones(size), n_classes).T + 1e-3 for size in sizes)
    return PlantedSignal(rng.dirichlet(np.ones(n_classes)), tuple(c / c.sum(0) for c in cues))


def outcomes(signal):
    """Every combination of options with its probability together with each class."""
    for options in product(*(range(len(cue)) for cue in signal.cues)):
        joint = [
            share * np.prod([cue[o, y] for o, cue in zip(options, signal.cues, strict=True)])
            for y, share in enumerate(signal.prior)
        ]
        yield options, joint


# Made in the tests: the check of their arrays looks at random items, which strategies must not.
seeds = st.integers(0, 10_000)


@given(seeds)
def test_posteriors_equal_bayes_rule_by_brute_force(seed):
    signal = random_signal(seed)
    options, joints = zip(*outcomes(signal), strict=True)
    expected = np.array([np.array(joint) / sum(joint) for joint in joints])
    np.testing.assert_allclose(signal.posteriors(np.array(options)), expected)


@given(seeds)
def test_bayes_accuracy_equals_the_sum_over_every_combination(seed):
    signal = random_signal(seed)
    assert signal.bayes_accuracy() == pytest.approx(sum(max(j) for _, j in outcomes(signal)))
    grouped = sum(max(j[1], j[0] + j[2]) for _, j in outcomes(signal))
    assert signal.bayes_accuracy([[1], [2, 0]]) == pytest.approx(grouped)
    assert signal.bayes_accuracy([[0, 1, 2]]) == pytest.approx(1)


@given(seeds, st.floats(0, 1))
def test_requested_accuracy_is_met(seed, place):
    signal = random_signal(seed)
    lowest, highest = signal.prior.max(), signal.bayes_accuracy()
    target = lowest + place * (highest - lowest)
    assert plant_signal(signal, target).bayes_accuracy() == pytest.approx(target, abs=1e-9)


@given(seeds)
def test_accuracy_never_falls_as_the_strength_grows(seed):
    signal = random_signal(seed)
    accuracies = [signal.weakened(strength).bayes_accuracy() for strength in np.linspace(0, 1, 9)]
    assert accuracies[0] == pytest.approx(signal.prior.max())
    assert (np.diff(accuracies) > -1e-12).all()
    assert accuracies[-1] == pytest.approx(signal.bayes_accuracy())


def test_no_signal_leaves_the_prior():
    signal = plant_signal(random_signal(0), float(random_signal(0).prior.max()))
    posteriors = signal.posteriors(np.array([options for options, _ in outcomes(signal)]))
    np.testing.assert_allclose(posteriors, np.tile(signal.prior, (12, 1)))


def test_draws_follow_the_joint_distribution():
    signal, n = random_signal(1), 20_000
    labels, options = signal.draw(n, np.random.default_rng(0))
    expected = {(y, *o): p for o, joint in outcomes(signal) for y, p in enumerate(joint)}
    rows = [tuple(row) for row in np.column_stack([labels, options]).tolist()]
    observed = [rows.count(cell) for cell in expected]
    assert chisquare(observed, n * np.array(list(expected.values()))).pvalue > 1e-3


@pytest.mark.parametrize("wrong", [-1.0, 0.2, 0.98, float("nan")])
def test_impossible_accuracy_is_refused_with_the_possible_range(wrong):
    signal = PlantedSignal(np.array([0.6, 0.4]), (np.array([[0.9, 0.2], [0.1, 0.8]]),))
    with pytest.raises(ValueError, match=r"between 0.6000.* and 0.8600.*, got") as refused:
        plant_signal(signal, wrong)
    for limit in map(float, re.findall(r"0\.\d{4}", str(refused.value))[:2]):
        assert plant_signal(signal, limit).bayes_accuracy() == pytest.approx(limit)


def test_graded_cue_falls_off_by_its_steepness():
    cue = graded_cue(4, np.log(2))
    np.testing.assert_allclose(cue[:, 0], np.array([8, 4, 2, 1]) / 15)
    np.testing.assert_allclose(cue[:, 1], np.array([2, 4, 2, 1]) / 9)


HALVES = np.array([0.5, 0.5])


@pytest.mark.unchecked_arrays
@pytest.mark.parametrize(
    ("prior", "cues", "message"),
    [
        (np.array([0.5, 0.6]), (), "prior must sum to 1"),
        (np.array([1.0, 0.0]), (), "prior must hold positive numbers"),
        (np.array([[0.5], [0.5]]), (), "prior must hold positive numbers in 1 dimension"),
        (HALVES, (np.array([[0.5, 0.5], [0.4, 0.5]]),), "each cue must sum to 1"),
        (HALVES, (np.full((2, 3), 0.5),), "one column per class of the prior, 2, got 3"),
        (HALVES, (np.full((2, 2), 0.5),) * 20, "at most 1,000,000 .* got 1,048,576"),
    ],
)
def test_what_is_no_distribution_is_refused(prior, cues, message):
    with pytest.raises(ValueError, match=message):
        PlantedSignal(prior, cues)
