import numpy as np
import pytest
import torch

from sparse_transformers.demos.pattern_names import ALIASES
from sparse_transformers.demos.sparse_attention_demo import SparseAttentionDemo
from sparse_transformers.models.attention_patterns import DilatedWindow, RandomSparse

MECHANISMS = ["dense", "random", "local", "strided", "block", "dilated"]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("seq_len", [1, 8, 64])
def test_comparison_reports_on_every_mechanism(seq_len, causal):
    demo = SparseAttentionDemo(d_model=32, n_heads=4, causal=causal)
    comparison = demo.compare_attention_mechanisms(seq_len=seq_len)
    assert list(comparison) == MECHANISMS
    for report in comparison.values():
        weights = report["attention_weights"]
        assert weights.shape == (seq_len, seq_len)
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
        connections = report["connectivity"]["total_connections"]
        assert (weights > 0).sum() == connections
        assert report["sparsity"] == pytest.approx(1 - connections / seq_len**2)
        assert not causal or np.array_equal(weights, np.tril(weights))


def test_reports_agree_with_counts_by_hand():
    demo = SparseAttentionDemo(d_model=32, n_heads=4)
    report = demo.compute_attention("local_window", 16, window_size=5)
    distance = np.abs(np.subtract.outer(np.arange(16), np.arange(16)))
    allowed = distance < 5
    assert report["connectivity"]["total_connections"] == allowed.sum()
    local = (allowed & (distance <= 2)).sum() / allowed.sum()
    assert report["connectivity"]["local_ratio"] == pytest.approx(local)
    assert report["connectivity"]["long_range_ratio"] == 0
    assert report["pattern_regularity"] == pytest.approx(1 - allowed.mean(1).std())

    dense = demo.compute_attention("dense", 16)
    assert dense["sparsity"] == 0
    assert dense["pattern_regularity"] == 1
    assert dense["connectivity"]["long_range_ratio"] == pytest.approx((distance > 8).mean())


@pytest.mark.parametrize(
    ("name", "options", "pattern"),
    [
        ("sparse_random", {"sparsity": 0.5, "seed": 3}, RandomSparse(0.5, seed=3)),
        ("dilated", {"dilation": 3, "window_size": 2}, DilatedWindow(2, 3)),
    ],
)
def test_options_reach_the_pattern(name, options, pattern):
    weights = SparseAttentionDemo(32, 4).compute_attention(name, 20, **options)["attention_weights"]
    assert np.array_equal(weights > 0, pattern.mask(20).numpy())


def test_sparse_mechanisms_are_sparse_at_their_defaults():
    for seq_len in (32, 64, 128):
        comparison = SparseAttentionDemo(32, 4).compare_attention_mechanisms(seq_len)
        for name in MECHANISMS[1:]:
            assert comparison[name]["sparsity"] > 0.3


def test_demo_is_reproducible_and_leaves_the_global_random_state_alone():
    state = torch.get_rng_state()
    first, same, other = (
        SparseAttentionDemo(32, 4, seed=seed).compute_attention("sparse_random", 20)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first["attention_weights"], same["attention_weights"])
    assert not np.array_equal(first["attention_weights"], other["attention_weights"])
    assert first["sparsity"] != other["sparsity"]
    assert torch.equal(torch.get_rng_state(), state)


def test_bad_mechanisms_are_refused():
    demo = SparseAttentionDemo(32, 4)
    with pytest.raises(ValueError, match="unknown pattern 'lokal'; known are dense, causal"):
        demo.compute_attention("lokal", 8)
    with pytest.raises(ValueError, match="'local' has no option stride"):
        demo.compute_attention("local_window", 8, stride=3)
    for alias, name in ALIASES.items():
        assert (
            demo.compute_attention(alias, 8)["sparsity"]
            == (demo.compute_attention(name, 8)["sparsity"])
        )
    with pytest.raises(ValueError, match="seq_len must be a whole number of at least 1"):
        demo.compare_attention_mechanisms(0)
    with pytest.raises(ValueError, match="d_model must be a multiple of n_heads"):
        SparseAttentionDemo(30, 4).compute_attention("dense", 8)
