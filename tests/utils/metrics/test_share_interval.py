"""Intervals of shares hold the true value as often as they say, at the edges too."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

import sparse_transformers as st
from sparse_transformers.utils.metrics.predictions import check_probabilities
from sparse_transformers.utils.metrics.significance import share_interval, wilson_interval


@pytest.mark.parametrize(("hits", "n"), [(20, 20), (0, 20), (98, 100), (1, 3), (50, 100)])
def test_independent_rows_have_wilsons_interval(hits, n):
    found = share_interval([1] * hits + [0] * (n - hits), confidence=0.9)
    expected = wilson_interval(hits, n, 0.9)
    assert (found.estimate, found.confidence) == (expected.estimate, 0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("group_size", [1, 5])
def test_the_interval_holds_the_true_share(share, group_size):
    """Rows of a group are copies of one another, so that a group tells as much as one row."""
    generator = np.random.default_rng(0)
    groups = None if group_size == 1 else np.repeat(np.arange(100), group_size)
    held = 0
    for _ in range(400):
        hits = np.repeat(generator.random(100) < share, group_size)
        interval = share_interval(hits, groups=groups)
        held += interval.low <= share <= interval.high
    # A 95% interval misses at most 1 in 10 times; the bootstrap's missed 14% at a share of .98.
    assert held / 400 > 0.92


def test_groups_whose_rows_differ_cost_nothing():
    hits = np.tile([1, 1, 1, 0], 25)
    alone = share_interval(hits)
    balanced = share_interval(hits, groups=np.repeat(np.arange(25), 4))
    assert balanced.high - balanced.low == pytest.approx(alone.high - alone.low, rel=0.1)
    clustered = share_interval(np.sort(hits), groups=np.repeat(np.arange(25), 4))
    assert clustered.high - clustered.low > 1.5 * (alone.high - alone.low)


def test_no_interval_without_rows_or_with_other_numbers():
    for hits in ([], [0.5], [[1, 0]], [2]):
        with pytest.raises(ValueError, match="zeros and ones"):
            share_interval(hits)
    with pytest.raises(ValueError, match="at least two groups"):
        share_interval([1, 0], groups=["a", "a"])


def test_all_right_is_not_certain():
    truth = np.array([0, 1] * 10)
    metrics = st.TruthfulnessEvaluator().calculate_comprehensive_metrics(truth, truth, ci=0.95)
    assert metrics["accuracy_high"] == 1
    assert metrics["accuracy_low"] == pytest.approx(wilson_interval(20, 20).low)
    assert accuracy_score(truth, truth) == 1


def test_every_share_of_rows_has_wilsons_interval():
    truth = np.repeat([1, 0], [30, 20])
    predicted = np.r_[np.repeat([1, 0], [24, 6]), np.repeat([0, 1], [20, 0])]
    found = st.TruthfulnessEvaluator().calculate_comprehensive_metrics(truth, predicted, ci=0.95)
    shares = {
        "precision": (24, 24), "recall": (24, 30), "truth_detection_rate": (24, 30),
        "specificity": (20, 20), "npv": (20, 26), "false_alarm_rate": (0, 20),
    }  # fmt: skip
    for name, (hits, n) in shares.items():
        expected = wilson_interval(hits, n)
        assert found[name] == expected.estimate
        limits = found[f"{name}_low"], found[f"{name}_high"]
        assert limits == pytest.approx((expected.low, expected.high)), name


def test_off_by_one_is_a_share_too():
    truth = np.arange(20) % 5
    found = st.TruthfulnessEvaluator("ordinal", [0, 1, 2, 3, 4]).calculate_comprehensive_metrics(
        truth, np.minimum(truth + 1, 4), ci=0.95
    )
    expected = wilson_interval(20, 20)
    assert found["within_one_accuracy"] == 1
    assert found["within_one_accuracy_low"] == pytest.approx(expected.low)


def test_perfect_and_reversed_scores_are_compared():
    truth = np.array([0, 1] * 10)
    right = 0.1 + 0.8 * truth
    comparison = st.TruthfulnessEvaluator().compare(truth, truth, 1 - truth, right, 1 - right)
    assert (comparison.auc.score_a, comparison.auc.score_b) == (1, 0)
    assert comparison.auc.p_value < 0.01


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("n_classes", [2, 3, 6, 50])
def test_every_softmax_in_half_precision_is_one(dtype, n_classes):
    logits = 3 * torch.randn(500, n_classes, generator=torch.manual_seed(0))
    probabilities = logits.to(dtype).softmax(-1).requires_grad_()
    checked = check_probabilities(probabilities, 500, tuple(range(n_classes)))
    np.testing.assert_array_equal(checked, probabilities.detach().double().numpy())
