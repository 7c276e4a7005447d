"""Exponents and crossings, from curves whose answers are known."""

import numpy as np
import pytest

from sparse_transformers.efficiency.scaling_law import (
    crossing_length,
    fit_power_law,
    speedup_interval,
)

LENGTHS = [256, 512, 1024, 2048, 4096]


@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0])
def test_exponent_and_factor_of_a_power_law_are_recovered(exponent):
    fit = fit_power_law(LENGTHS, [3 * length**exponent for length in LENGTHS])
    assert fit.exponent == pytest.approx(exponent)
    assert fit.factor == pytest.approx(3)
    assert fit.high - fit.low < 1e-6
    assert fit.n_lengths == len(LENGTHS)


def test_interval_holds_the_exponent_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        noisy = [length**2 * np.exp(rng.normal(0, 0.2)) for length in LENGTHS]
        fit = fit_power_law(LENGTHS, noisy)
        hits += fit.low <= 2 <= fit.high
    assert 0.92 < hits / 400 < 0.98  # two standard errors (0.011 each) around 0.95, and some


def test_two_points_make_no_fit():
    assert fit_power_law([1, 2], [1.0, 2.0]) is None


def test_crossing_between_two_lengths_is_exact_for_power_laws():
    # Dense takes length**2 and sparse 1000 * length: as fast as each other at 1000.
    advantages = [length**2 / (1000 * length) for length in LENGTHS]
    assert crossing_length(LENGTHS, advantages) == pytest.approx(1000)


@pytest.mark.parametrize(
    ("advantages", "expected"),
    [
        ([2, 2, 2, 2, 2], 256),
        ([0.5, 0.5, 0.5, 0.5, 0.5], None),
        ([2, 2, 2, 2, 1], None),
        ([2, 0.5, 2, 2, 2], 512 * 2**0.5),  # what counts is where it stays faster
    ],
)
def test_crossing_is_where_the_advantage_stays(advantages, expected):
    found = crossing_length(LENGTHS, advantages)
    assert found == expected if expected is None else found == pytest.approx(expected)


def test_speedup_interval_pairs_slow_with_fast():
    assert speedup_interval((2.0, 4.0), (8.0, 12.0)) == (2.0, 6.0)
