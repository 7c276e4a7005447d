import itertools

import numpy as np
import pytest

from sparse_transformers.utils.metrics.seed_resampling import RowsAndSeeds
from sparse_transformers.utils.metrics.significance import bootstrap_interval, paired_bootstrap

GROUPS = tuple(f"speaker {row // 2}" for row in range(60))


@pytest.fixture
def scores():
    """Two models with one seed each: right or wrong on sixty rows, (rows, 1)."""
    rng = np.random.default_rng(0)
    return [(rng.random((60, 1)) < share).astype(float) for share in (0.7, 0.5)]


def limits_of(interval):
    return interval.estimate, interval.low, interval.high


def mean_of_first(truth, predicted):
    return np.mean(predicted)


@pytest.mark.parametrize("n_seeds", [1, 4])
def test_one_seed_or_equal_seeds_leave_the_bootstrap_over_rows(scores, n_seeds):
    a, b = (np.tile(each, n_seeds) for each in scores)
    resamples = RowsAndSeeds(GROUPS, 199, seed=5)
    options = {"groups": GROUPS, "n_resamples": 199, "seed": 5}
    mean = bootstrap_interval(np.mean, a[:, 0], **options)
    assert limits_of(resamples.mean(a)) == pytest.approx(limits_of(mean))
    expected = paired_bootstrap(mean_of_first, b[:, 0], a[:, 0], b[:, 0], **options)
    found = resamples.difference(a, b)
    assert (found.score_a, found.score_b) == pytest.approx((expected.score_a, expected.score_b))
    assert limits_of(found.difference) == pytest.approx(limits_of(expected.difference))
    assert found.p_value == pytest.approx(expected.p_value)


def test_seeds_alone_spread_like_means_of_drawn_seeds():
    """Rows that are all alike say nothing: what remains is which seeds are drawn."""
    of_seeds = [0.0, 1.0, 5.0, 6.0]
    found = RowsAndSeeds(GROUPS, 4000).mean(np.tile(of_seeds, (60, 1)))
    every = [np.mean(draw) for draw in itertools.product(of_seeds, repeat=4)]
    assert found.estimate == 3.0
    limits = np.quantile(every, [0.025, 0.975], method="inverted_cdf")
    assert (found.low, found.high) == pytest.approx(tuple(limits))


def test_a_difference_that_one_seed_makes_is_none():
    a, b = np.zeros((60, 3)), np.zeros((60, 3))
    a[:, 0] = 1.0
    found = RowsAndSeeds(GROUPS).difference(a, b)
    assert found.difference.estimate == pytest.approx(1 / 3)
    assert found.difference.low == 0
    assert found.p_value > 0.05


def test_a_difference_on_all_rows_with_all_seeds_is_one():
    found = RowsAndSeeds(GROUPS, 199).difference(np.full((60, 3), 0.6), np.full((60, 3), 0.5))
    assert limits_of(found.difference) == pytest.approx((0.1, 0.1, 0.1))
    assert found.p_value == 2 / 200


def test_rows_of_a_group_are_not_independent():
    rng = np.random.default_rng(1)
    by_group = np.repeat(rng.random((30, 1)), 2, axis=0)
    apart = RowsAndSeeds(tuple(map(str, range(60)))).mean(by_group)
    together = RowsAndSeeds(GROUPS).mean(by_group)
    assert together.high - together.low > 1.2 * (apart.high - apart.low)


def test_resamples_follow_the_seed(scores):
    twice = [np.hstack(scores)] * 2
    first, second = (RowsAndSeeds(GROUPS, 99, seed=3).mean(each) for each in twice)
    assert first == second
    assert first != RowsAndSeeds(GROUPS, 99, seed=4).mean(twice[0])


def test_a_row_without_a_group_is_refused():
    with pytest.raises(ValueError, match="one group per row"):
        RowsAndSeeds(GROUPS[:-1]).mean(np.zeros((60, 2)))
