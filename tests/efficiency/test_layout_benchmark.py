"""The layout benchmark counts and times what it says."""

import pytest

from sparse_transformers.efficiency.attention_growth import benchmark_layout
from sparse_transformers.models.attention_patterns import Causal, LocalWindow


def test_tiles_are_those_of_the_kernel_and_each_length_has_a_time():
    result = benchmark_layout(LocalWindow(64), [96, 256], repeats=2)

    # Rows of 32 queries and windows of 64: 1, 2, then 3 tiles a row.
    assert result.columns["tiles"] == (1 + 2 + 3, 1 + 2 + 6 * 3)
    assert all(median_ms > 0 for median_ms in result.columns["ms"])
    assert "in tiles of 32" in str(result.table())
    assert str(result.table()).count("\n") == 3
    assert f"| 256 | {1 + 2 + 6 * 3} |" in result.table().to_markdown()


def test_every_repeat_builds_the_layout_anew(monkeypatch):
    built = []

    def build(pattern, q_len, k_len, block_size):
        built.append(q_len)

    monkeypatch.setattr("sparse_transformers.efficiency.attention_growth.build_layout", build)
    (LocalWindow(8) & Causal()).layout(64, block_size=32)  # in the cache already

    benchmark_layout(LocalWindow(8), [64], repeats=3)

    assert built == [64] * 4  # one of them to warm up


@pytest.mark.parametrize("seq_lens", [[], [0]])
def test_bad_lengths_are_refused(seq_lens):
    with pytest.raises(ValueError, match="seq_lens"):
        benchmark_layout(LocalWindow(8), seq_lens)
