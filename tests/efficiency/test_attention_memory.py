"""The growth of memory: linear for the tiled kernel, and seen when it is not."""

import pytest

from sparse_transformers.efficiency.attention_growth import measure_memory_scaling
from sparse_transformers.efficiency.attention_implementations import (
    IMPLEMENTATIONS,
    OURS,
    Implementation,
)
from sparse_transformers.models.attention_patterns import Causal, Dense, LocalWindow


def test_memory_of_a_window_grows_linearly_and_stays_near_that_of_the_results():
    scaling = measure_memory_scaling(LocalWindow(32), [65536, 131072, 262144])

    # The buffers of one call do not grow; without them, twice the positions take twice the bytes.
    first, second, third = (peak * 2**20 for peak in scaling.columns["peak MiB"])
    assert 1.95 < (third - second) / (second - first) < 2.05
    # Output and three gradients, and little else; one matrix of all scores would be 256 GiB.
    four_tensors = 4 * 262144 * 64 * 4
    assert four_tensors <= third < 1.2 * four_tensors


def test_memory_that_grows_with_the_square_is_seen(monkeypatch):
    def eager(pattern, seq_len, device):
        mask = (pattern & Causal()).mask(seq_len)

        def attend(query, key, value):
            scores = query @ key.transpose(-1, -2)
            return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ value

        return attend

    monkeypatch.setitem(
        IMPLEMENTATIONS, OURS, Implementation(eager, computes=lambda pattern: pattern)
    )

    scaling = measure_memory_scaling(LocalWindow(8), [128, 512], head_dim=8)

    assert 1.8 < scaling.exponent < 2.1


def test_scaling_prints_every_length_and_the_growth():
    scaling = measure_memory_scaling(Dense(), [64, 128], head_dim=8)

    lines = str(scaling.table()).splitlines()
    assert "causal `Dense()`" in lines[0]
    assert lines[0].endswith(f"grows as positions^{scaling.exponent:.2f}")
    assert [line.split()[0] for line in lines[2:]] == ["64", "128"]


@pytest.mark.parametrize("seq_lens", [[], [64], [64, 64], [0, 64]])
def test_lengths_without_a_slope_are_refused(seq_lens):
    with pytest.raises(ValueError, match="at least two lengths of 1 or more"):
        measure_memory_scaling(LocalWindow(8), seq_lens)
