"""Exponents and crossings, from curves whose answers are known."""

import math

import numpy as np
import pandas as pd
import pytest

from sparse_transformers.efficiency.scaling_law import (
    crossing_length,
    fit_exponent,
    speedups,
)
from sparse_transformers.efficiency.timing import TIMES

LENGTHS = [256, 512, 1024, 2048, 4096]


@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0])
def test_exponent_of_a_power_law_is_recovered(exponent):
    fit = fit_exponent(LENGTHS, [3 * length**exponent for length in LENGTHS])
    assert fit.estimate == pytest.approx(exponent)
    assert fit.high - fit.low < 1e-6
    assert fit.confidence == 0.95


def test_interval_holds_the_exponent_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        noisy = [length**2 * np.exp(rng.normal(0, 0.2)) for length in LENGTHS]
        fit = fit_exponent(LENGTHS, noisy)
        hits += fit.low <= 2 <= fit.high
    assert 0.92 < hits / 400 < 0.98  # two standard errors (0.011 each) around 0.95, and some


def test_two_points_make_no_fit():
    assert fit_exponent([1, 2], [1.0, 2.0]) is None


def test_crossing_between_two_lengths_is_exact_for_power_laws():
    # Dense takes length**2 and sparse 1000 * length: as fast as each other at 1000.
    advantages = [length**2 / (1000 * length) for length in LENGTHS]
    assert crossing_length(LENGTHS, advantages) == pytest.approx(1000)


@pytest.mark.parametrize(
    ("advantages", "expected"),
    [
        ([2, 2, 2, 2, 2], 256),
        ([0.5, 0.5, 0.5, 0.5, 0.5], math.inf),
        ([2, 2, 2, 2, 1], math.inf),
        ([2, 0.5, 2, 2, 2], 512 * 2**0.5),  # what counts is where it stays faster
    ],
)
def test_crossing_is_where_the_advantage_stays(advantages, expected):
    assert crossing_length(LENGTHS, advantages) == pytest.approx(expected)


def quartiles(*rows):
    return pd.DataFrame(rows, columns=TIMES)


def test_speedups_pair_slow_with_fast():
    found = speedups(quartiles((2.0, 3.0, 4.0)), quartiles((8.0, 9.0, 12.0)))
    assert found.iloc[0].to_dict() == {"estimate": 3.0, "low": 2.0, "high": 6.0}


def test_speedups_over_one_row_keep_what_was_not_measured():
    ours = quartiles((2.0, 3.0, 4.0), (math.nan, math.nan, math.nan))
    found = speedups(ours, quartiles((8.0, 9.0, 12.0)).iloc[0])
    assert found.estimate[0] == 3.0
    assert found.iloc[1].isna().all()
