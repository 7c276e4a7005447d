"""Counting baselines against brute force and against texts whose entropy is known."""

import math
from itertools import pairwise

import pytest
import torch

from sparse_transformers.experiments.model_comparison.byte_baselines import (
    PRIOR_WEIGHT,
    byte_baselines,
)


def bits(text: bytes, windows: list[bytes]) -> tuple[float, float]:
    rows = torch.tensor([list(window) for window in windows], dtype=torch.uint8)
    singles, pairs = byte_baselines(torch.tensor(list(text), dtype=torch.uint8), rows)
    return singles.bits_per_byte, pairs.bits_per_byte


def test_baselines_equal_counting_by_hand():
    text, windows = b"abracadabra", [b"abra", b"cada"]
    singles = {byte: (text.count(bytes([byte])) + 1) / (len(text) + 256) for byte in range(256)}
    single_bits, pair_bits = [], []
    for window in windows:
        for before, target in pairwise(window):
            together = sum(text[i : i + 2] == bytes([before, target]) for i in range(len(text) - 1))
            followed = text[:-1].count(bytes([before]))
            share = (together + PRIOR_WEIGHT * singles[target]) / (followed + PRIOR_WEIGHT)
            single_bits.append(-math.log2(singles[target]))
            pair_bits.append(-math.log2(share))
    found = bits(text, windows)
    assert found[0] == pytest.approx(sum(single_bits) / 6)
    assert found[1] == pytest.approx(sum(pair_bits) / 6)


def test_random_bytes_cost_eight_bits_either_way():
    noise = torch.randint(0, 256, (200_000,), generator=torch.Generator().manual_seed(0))
    single, pair = byte_baselines(noise.to(torch.uint8), noise[:50_000].view(50, -1).byte())
    assert single.bits_per_byte == pytest.approx(8, abs=0.01)
    # Pairs were seen three times on average, in part in the very windows: no better than chance by
    # much, and no worse than the prior allows.
    assert 7.5 < pair.bits_per_byte < 8.3


def test_pairs_predict_an_alternating_text_that_single_bytes_cannot():
    single, pair = bits(b"ab" * 2000, [b"abab" * 10])
    assert single == pytest.approx(1, abs=0.15)  # the smoothing gives 254 other bytes a little
    assert pair < 0.05
