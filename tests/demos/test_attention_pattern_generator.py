"""Patterns as matrices whose rows sum to one."""

import numpy as np
import pytest

from sparse_transformers.demos.attention_pattern_generator import AttentionPatternGenerator
from sparse_transformers.models.attention_patterns import PATTERNS, LocalWindow, make_pattern

generate = AttentionPatternGenerator().generate


def test_rows_share_one_evenly_among_the_allowed_keys():
    matrix = generate("local", seq_len=5, window_size=2)

    third, half = 1 / 3, 1 / 2
    expected = [
        [half, half, 0, 0, 0],
        [third, third, third, 0, 0],
        [0, third, third, third, 0],
        [0, 0, third, third, third],
        [0, 0, 0, half, half],
    ]
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, expected, rtol=1e-6)  # single precision


@pytest.mark.parametrize("seq_len", [1, 2, 7, 64, 100])
@pytest.mark.parametrize("name", PATTERNS)
def test_every_name_has_options_for_every_length(name, seq_len):
    matrix = generate(name, seq_len=seq_len)

    assert matrix.shape == (seq_len, seq_len)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=1e-6)


def test_default_options_make_a_sparse_pattern():
    dense = {"dense", "causal"}
    shares = {name: (generate(name, seq_len=128) > 0).mean() for name in PATTERNS}

    assert all(share < 0.6 for name, share in shares.items() if name not in dense), shares


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("strided", {"stride": 5}),
        ("fixed", {"block_size": 6, "summary_size": 2, "part": "local"}),
        ("random", {"sparsity": 0.7, "seed": 3}),
        ("longformer", {"window_size": 3, "global_positions": (4,)}),
    ],
)
def test_options_are_those_of_the_pattern(name, options):
    allowed = generate(name, seq_len=40, **options) > 0

    assert np.array_equal(allowed, make_pattern(name, **options).mask(40).numpy())


def test_sparse_means_random():
    sparse, random = (
        generate(name, seq_len=64, sparsity=0.8, seed=1) for name in ("sparse", "random")
    )

    assert np.array_equal(sparse, random)
    assert not np.array_equal(sparse, generate("sparse", seq_len=64, sparsity=0.8))
    share = (sparse > 0)[~np.eye(64, dtype=bool)].mean()
    assert share == pytest.approx(0.2, abs=5 * np.sqrt(0.2 * 0.8 / (64 * 63)))


def test_query_without_a_key_has_a_row_of_zeros():
    matrix = generate("fixed", seq_len=10, block_size=20, part="column")

    assert np.array_equal(matrix, np.zeros((10, 10)))


def test_window_by_default_is_an_eighth_of_the_length():
    assert np.array_equal(generate("local", seq_len=64) > 0, LocalWindow(8).mask(64).numpy())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lokal", {"seq_len": 8}, "unknown pattern 'lokal'; known are dense, causal, local"),
        ("sparse", {"seq_len": 8, "window": 2}, "'random' has no option window; .* sparsity, seed"),
        ("local", {"seq_len": 8, "window_size": 0}, "window_size .*, got 0"),
        ("causal", {"seq_len": 0}, "seq_len must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_name_option_or_length_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        generate(name, **options)
