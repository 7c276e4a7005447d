"""Measures of balance against closed forms and plain sums, and the counter against a big batch."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy, variation

from sparse_transformers.utils.metrics.experts.load import (
    ExpertLoadBalancer,
    ExpertLoads,
    coefficient_of_variation,
    dead_experts,
    load_fractions,
    max_violation,
    normalised_entropy,
)
from sparse_transformers.utils.records import from_json, to_json

MEASURES = [
    coefficient_of_variation,
    dead_experts,
    load_fractions,
    max_violation,
    normalised_entropy,
]
some_counts = st.lists(st.integers(0, 10_000), min_size=1, max_size=20).filter(any)


@pytest.mark.parametrize("num_experts", [1, 2, 7, 64])
def test_even_load_has_the_closed_forms(num_experts):
    counts = np.full(num_experts, 13)
    assert load_fractions(counts) == pytest.approx(np.full(num_experts, 1 / num_experts))
    assert coefficient_of_variation(counts) == pytest.approx(0, abs=1e-12)
    assert max_violation(counts) == pytest.approx(0, abs=1e-12)
    assert normalised_entropy(counts) == pytest.approx(1)
    assert dead_experts(counts) == 0


@pytest.mark.parametrize("num_experts", [2, 7, 64])
def test_collapse_has_the_closed_forms(num_experts):
    counts = np.zeros(num_experts)
    counts[num_experts // 2] = 13
    assert coefficient_of_variation(counts) == pytest.approx(math.sqrt(num_experts - 1))
    assert max_violation(counts) == pytest.approx(num_experts - 1)
    assert normalised_entropy(counts) == 0
    assert dead_experts(counts) == num_experts - 1


@given(some_counts)
def test_measures_equal_plain_sums_and_scipy(counts):
    mean = sum(counts) / len(counts)
    assert load_fractions(counts).tolist() == pytest.approx([c / sum(counts) for c in counts])
    assert coefficient_of_variation(counts) == pytest.approx(variation(counts), abs=1e-9)
    assert max_violation(counts) == pytest.approx((max(counts) - mean) / mean, abs=1e-9)
    assert dead_experts(counts) == counts.count(0)
    if len(counts) > 1:
        expected = entropy(counts, base=len(counts))
        assert normalised_entropy(counts) == pytest.approx(expected, abs=1e-9)


@given(some_counts, st.integers(1, 1000), st.randoms())
def test_measures_know_no_order_and_no_scale(counts, scale, random):
    changed = [scale * count for count in counts]
    random.shuffle(changed)
    for measure in (coefficient_of_variation, max_violation, normalised_entropy, dead_experts):
        assert measure(changed) == pytest.approx(measure(counts), abs=1e-9)


@given(some_counts)
def test_measures_stay_within_even_load_and_collapse(counts):
    largest = len(counts) - 1
    assert -1e-12 <= coefficient_of_variation(counts) <= math.sqrt(largest) + 1e-9
    assert -1e-12 <= max_violation(counts) <= largest + 1e-9
    assert 0 <= normalised_entropy(counts) <= 1 + 1e-12


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([], r"counts must be \(experts,\), at least one, got shape \(0,\)"),
        ([[1, 2]], r"got shape \(1, 2\)"),
        (3, r"got shape \(\)"),
        ([0, 0, 0], "at least one assignment, got 3 zeros"),
        ([1, -1], "finite and not negative, got"),
        ([1, math.nan], "finite and not negative, got"),
        ([1, math.inf], "finite and not negative, got"),
    ],
)
def test_counts_without_sense_are_refused(measure, counts, message):
    with pytest.raises(ValueError, match=message):
        measure(counts)


assignment_batches = st.lists(st.lists(st.integers(-1, 3), max_size=12), min_size=1, max_size=5)


@given(assignment_batches.filter(lambda batches: any(e >= 0 for batch in batches for e in batch)))
def test_batches_add_up_to_one_big_batch_without_those_of_no_expert(batches):
    balancer, at_once = ExpertLoadBalancer(4), ExpertLoadBalancer(4)
    for batch in batches:
        balancer.update_loads(batch)
    everything = [expert for batch in batches for expert in batch]
    at_once.update_loads(everything)
    loads = balancer.get_current_loads()
    assert loads == at_once.get_current_loads()
    assert loads.counts == tuple(everything.count(expert) for expert in range(4))


def test_loads_hold_the_seeds_measures_and_the_others():
    balancer = ExpertLoadBalancer(4)
    balancer.update_loads([[0, 0], [0, 0], [0, 1], [1, 2]])
    loads = balancer.get_current_loads()
    shares = (5 / 8, 2 / 8, 1 / 8, 0.0)
    assert loads.loads == shares
    assert loads.balance_score == pytest.approx(1 - np.std(shares))
    assert loads.imbalance == 5 / 8
    assert loads.coefficient_of_variation == pytest.approx(np.std(shares) / 0.25)
    assert loads.max_violation == pytest.approx((5 - 2) / 2)
    assert loads.normalised_entropy == pytest.approx(entropy(shares, base=4))
    assert loads.dead_experts == 1
    assert balancer.compute_auxiliary_loss() == pytest.approx(np.var(shares))
    assert from_json(ExpertLoads, to_json(loads)) == loads


def test_imbalance_is_from_the_largest_to_the_smallest():
    balancer = ExpertLoadBalancer(2)
    balancer.update_loads([0, 1, 1, 1])
    assert balancer.get_current_loads().imbalance == 0.5


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, (0.5**2 + 0.5**2) / 2),
        (0.5, (0.5**2 + 0.5**2) / 2),
        (0.25, (0.75**2 + 0.25**2) / 2),
        ([1.0, 0.0], 0.0),
        ([0.0, 1.0], 1.0),
    ],
)
def test_auxiliary_loss_is_the_mean_squared_distance_from_the_target(target, expected):
    balancer = ExpertLoadBalancer(2, target_load=target)
    balancer.update_loads([0, 0, 0])
    assert balancer.compute_auxiliary_loss() == pytest.approx(expected)


def test_tensors_are_assignments_too():
    balancer = ExpertLoadBalancer(2)
    balancer.update_loads(torch.tensor([[0, 1], [-1, 1]]))
    assert balancer.get_current_loads().counts == (1, 2)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        ([0, 3], "assignments must be from -1 to 2, got 0 to 3"),
        ([-2, 1], "assignments must be from -1 to 2, got -2 to 1"),
        ([0.0, 1.0], "whole numbers, got float64"),
        ([True, False], "whole numbers, got bool"),
    ],
)
def test_assignments_without_sense_are_refused_and_not_counted(assignments, message):
    balancer = ExpertLoadBalancer(3)
    balancer.update_loads([0])
    with pytest.raises(ValueError, match=message):
        balancer.update_loads(assignments)
    assert balancer.get_current_loads().counts == (1, 0, 0)


def test_nothing_counted_is_an_error():
    balancer = ExpertLoadBalancer(3)
    balancer.update_loads([])
    balancer.update_loads([-1])
    for question in (balancer.get_current_loads, balancer.compute_auxiliary_loss):
        with pytest.raises(ValueError, match="at least one assignment"):
            question()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_experts": 0}, "num_experts must be at least 1, got 0"),
        ({"num_experts": 2, "target_load": 1.5}, "between 0 and 1, got 1.5"),
        ({"num_experts": 2, "target_load": math.nan}, "between 0 and 1, got nan"),
        ({"num_experts": 2, "target_load": [0.5, -0.5]}, r"between 0 and 1, got \[0.5, -0.5\]"),
        ({"num_experts": 2, "target_load": [1, 1, 1]}, r"each of 2 experts, got shape \(3,\)"),
    ],
)
def test_balancer_without_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ExpertLoadBalancer(**options)
