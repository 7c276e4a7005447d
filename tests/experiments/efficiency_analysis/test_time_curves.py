"""Curves of time are fitted where they should be, and cross where they do."""

import pytest

from sparse_transformers.efficiency.timing import Timing
from sparse_transformers.experiments.efficiency_analysis.time_curves import (
    TimeCurve,
    TimePoint,
    find_crossing,
    fit_time_curve,
)

LENGTHS = (64, 128, 256, 512)


def curve(name: str, milliseconds, lengths=LENGTHS, fit_from: int = 1) -> TimeCurve:
    """Times given by a function of the length, with quartiles one per cent away."""
    points = []
    for length in lengths:
        ms = milliseconds(length)
        points.append(TimePoint(length, Timing((0.98 * ms, ms, 1.02 * ms))))
    return fit_time_curve(name, "forward", points, fit_from=fit_from)


def test_exponent_is_fitted_where_fixed_costs_no_longer_rule():
    with_floor = curve("local", lambda n: max(n, 128.0), (32, 64, 128, 256, 512), fit_from=128)
    assert with_floor.fit.exponent == pytest.approx(1)
    assert with_floor.fit.n_lengths == 3
    assert len(with_floor.points) == 5


def test_speedup_and_its_interval_compare_two_points():
    fast, slow = curve("local", lambda n: 1.0).at(64), curve("dense", lambda n: 2.0).at(64)
    assert fast.speedup_over(slow) == 2
    assert slow.speedup_over(fast) == 0.5
    assert fast.speedup_interval_over(slow) == pytest.approx((1.98 / 1.01, 2.02 / 0.99))


def test_crossing_is_found_where_the_curves_meet():
    dense = curve("dense", lambda n: 1e-4 * n**2, LENGTHS[:3])
    crossing = find_crossing(dense, curve("local", lambda n: 1e-2 * n))
    assert (crossing.name, crossing.direction) == ("local", "forward")
    assert (crossing.shortest, crossing.longest) == (64, 256)
    assert crossing.length == pytest.approx(100)  # 1e-4 * n**2 == 1e-2 * n
    assert crossing.early == pytest.approx(100 * 0.99 / 1.01)
    assert crossing.late == pytest.approx(100 * 1.01 / 0.99)


def test_no_crossing_is_found_where_dense_stays_faster():
    dense = curve("dense", lambda n: 1e-4 * n**2)
    crossing = find_crossing(dense, curve("block", lambda n: 1e-3 * n**2))
    assert (crossing.length, crossing.early, crossing.late) == (None, None, None)
