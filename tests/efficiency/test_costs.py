"""Counts of pairs, FLOPs and bytes, against brute force and PyTorch's own counter."""

import math

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from sparse_transformers.efficiency.costs import attention_cost
from sparse_transformers.efficiency.memory import peak_extra_bytes
from sparse_transformers.models.attention_ops import sparse_attention
from sparse_transformers.models.attention_patterns import (
    BigBird,
    BlockSparse,
    Causal,
    Dense,
    DilatedWindow,
    LocalWindow,
    Longformer,
    PerHead,
    Strided,
)
from sparse_transformers.models.pattern_base import PerSequence
from sparse_transformers.models.sequence_patterns import Documents
from sparse_transformers.models.tiled import function as attention_tiled


def pairs_in_tiles(mask, block_size):
    """Pairs inside the tiles that hold an allowed pair, by looking at every tile."""
    return sum(
        tile.numel()
        for rows in mask.split(block_size, 0)
        for tile in rows.split(block_size, 1)
        if tile.any()
    )


@pytest.mark.parametrize("seq_len", [1, 31, 64, 97])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "pattern",
    [Dense(), LocalWindow(10), BlockSparse(8, 0.7), Longformer(6), BigBird(8), ~LocalWindow(5)],
    ids=repr,
)
def test_pairs_equal_brute_force_over_the_mask(pattern, causal, seq_len):
    mask = (pattern & Causal() if causal else pattern).mask(seq_len)

    cost = attention_cost(pattern, seq_len, 3, 8, causal=causal, block_size=16)

    assert cost.allowed_pairs == 3 * int(mask.sum())
    assert cost.computed_pairs == 3 * pairs_in_tiles(mask, 16)
    assert cost.all_pairs == 3 * seq_len**2
    assert cost.density == cost.allowed_pairs / cost.all_pairs
    if cost.computed_pairs:
        assert cost.fill == cost.allowed_pairs / cost.computed_pairs


@pytest.mark.parametrize("seq_len", [2, 60, 97])
def test_dilated_window_counts_the_tiles_of_its_phases(seq_len):
    pattern, phases = DilatedWindow(5, 3), 3
    mask = (pattern & Causal()).mask(seq_len)

    cost = attention_cost(pattern, seq_len, 2, 8, causal=True, block_size=16)

    subsequences = [mask[phase::phases, phase::phases] for phase in range(phases)]
    assert cost.computed_pairs == 2 * sum(pairs_in_tiles(x, 16) for x in subsequences)
    assert cost.allowed_pairs == 2 * int(mask.sum())


@pytest.mark.parametrize("pattern", [Strided(8), Strided(7, part="column")], ids=repr)
def test_interleaved_parts_add_up_to_the_rule(pattern):
    for causal in (False, True):
        mask = (pattern & Causal() if causal else pattern).mask(100)
        assert attention_cost(pattern, 100, 1, 8, causal=causal).allowed_pairs == int(mask.sum())


def test_per_head_patterns_are_summed_over_the_heads():
    windows = [LocalWindow(5), LocalWindow(40), LocalWindow(5)]

    together = attention_cost(PerHead(tuple(windows)), 80, 3, 8, causal=True, block_size=16)
    single = [attention_cost(window, 80, 1, 8, causal=True, block_size=16) for window in windows]

    for name in ("allowed_pairs", "computed_pairs", "dense_pairs", "forward_flops", "saved_bytes"):
        assert getattr(together, name) == sum(getattr(cost, name) for cost in single), name
    # Heads with the same pattern share one index.
    assert together.index_bytes == single[0].index_bytes + single[1].index_bytes


def test_dense_flops_equal_those_of_the_flop_counter():
    seq_len, n_heads, head_dim = 96, 4, 16
    x = torch.randn(1, n_heads, seq_len, head_dim)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        scaled_dot_product_attention(x, x, x)

    cost = attention_cost(Dense(), seq_len, n_heads, head_dim)

    shape = x.shape
    assert cost.forward_flops == cost.dense_forward_flops == counter.get_total_flops()
    assert cost.forward_flops == sdpa_flop_count(shape, shape, shape)
    assert cost.backward_flops == sdpa_backward_flop_count(shape, shape, shape, shape)
    assert cost.dense_backward_flops == cost.backward_flops
    assert cost.fill == cost.density == cost.theoretical_speedup == cost.tile_speedup == 1.0


@pytest.mark.parametrize("seq_len", [96, 192])
@pytest.mark.parametrize(
    "pattern",
    [
        LocalWindow(50),
        DilatedWindow(20, 3),
        Strided(6),
        Longformer(10, (0, 40)),
        BlockSparse(16, 0.8),
        PerHead((LocalWindow(5), Strided(4, part="local"), Dense())),
    ],
    ids=repr,
)
def test_flops_are_those_that_the_kernel_executes(pattern, seq_len, monkeypatch):
    # The fused kernel is one operation to the counter, so the matrix products of the plain one are
    # counted. They visit the same tiles.
    monkeypatch.setattr(attention_tiled, "can_fuse", lambda *tensors: False)
    query, key, value = (torch.randn(1, 3, seq_len, 8, requires_grad=True) for _ in range(3))
    cost = attention_cost(pattern, seq_len, 3, 8, causal=True)

    with FlopCounterMode(display=False) as forward:
        output = sparse_attention(query, key, value, pattern, causal=True, backend="tiled")
    with FlopCounterMode(display=False) as backward:
        output.sum().backward()

    assert forward.get_total_flops() == cost.forward_flops
    assert backward.get_total_flops() == cost.backward_flops


def test_a_causal_pattern_is_compared_with_dense_causal_attention():
    told = attention_cost(LocalWindow(8), 64, 2, 16, causal=True)
    found = attention_cost(LocalWindow(8) & Causal(), 64, 2, 16)

    assert told == found
    assert told.dense_pairs == 2 * 64 * 65 // 2
    assert attention_cost(LocalWindow(8), 64, 2, 16).dense_pairs == 2 * 64 * 64


def test_speedups_are_ratios_of_pairs():
    cost = attention_cost(LocalWindow(16), 256, 1, 8, causal=True, block_size=32)

    allowed = sum(min(position + 1, 16) for position in range(256))
    assert cost.theoretical_speedup == (256 * 257 / 2) / allowed
    assert cost.tile_speedup == pytest.approx(cost.theoretical_speedup * cost.fill)
    # 8 rows of tiles, the first without an earlier neighbour
    assert cost.computed_pairs == 15 * 32 * 32


def test_a_pattern_without_any_pair_costs_nothing():
    cost = attention_cost(~Dense(), 64, 1, 8)

    assert (cost.allowed_pairs, cost.forward_flops, cost.fill) == (0, 0, 1.0)
    assert cost.theoretical_speedup == math.inf


def test_bytes_are_those_of_the_tensors():
    pattern, seq_len = LocalWindow(40) & Causal(), 128
    layout = pattern.layout(seq_len, block_size=32)

    cost = attention_cost(pattern, seq_len, 4, 16, n_kv_heads=2, dtype_bytes=2, block_size=32)

    query, key = seq_len * 4 * 16 * 2, seq_len * 2 * 16 * 2
    lse = seq_len * 4 * 4  # single precision whatever the tensors are
    assert cost.index_bytes == 8 * (4 + 1 + 2 * layout.n_tiles)
    assert cost.mask_bytes == 32 * 32 * len(layout.masks)
    assert cost.saved_bytes == 2 * query + 2 * key + lse
    assert cost.forward_bytes == cost.saved_bytes + cost.index_bytes + cost.mask_bytes
    assert cost.backward_bytes == cost.forward_bytes + 2 * query + 2 * key
    assert cost.dense_score_bytes == 4 * seq_len**2 * 2


def test_saved_bytes_are_what_the_kernel_keeps():
    query, key, value = (torch.randn(1, 2, 256, 32, requires_grad=True) for _ in range(3))
    kept = {}  # by address: output and log-sum-exp may be saved under several names

    def remember(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        sparse_attention(query, key, value, LocalWindow(16), causal=True, backend="tiled")

    cost = attention_cost(LocalWindow(16), 256, 2, 32, causal=True)
    assert sum(kept.values()) == cost.saved_bytes


def test_a_pattern_that_looks_up_its_documents_has_a_cost():
    cost = attention_cost(Documents([0] * 40 + [1] * 60), 100, 2, 8, causal=True)
    assert cost.allowed_pairs == 2 * (40 * 41 // 2 + 60 * 61 // 2)
    assert cost.dense_pairs == 2 * 100 * 101 // 2


def test_flops_and_dense_scores_bound_the_memory_of_eager_attention():
    x = torch.randn(1, 2, 256, 16)
    eager = peak_extra_bytes(lambda: (x @ x.transpose(-1, -2)).softmax(-1) @ x)

    assert eager >= attention_cost(Dense(), 256, 2, 16).dense_score_bytes


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((LocalWindow(4), 0, 1, 1), {}, "seq_len must be a whole number of at least 1, got 0"),
        ((LocalWindow(4), 8, 0, 1), {}, "n_heads must be a whole number of at least 1, got 0"),
        ((LocalWindow(4), 8, 1, 0), {}, "head_dim must be a whole number of at least 1, got 0"),
        (
            (LocalWindow(4), 8, 1, 1),
            {"dtype_bytes": 0},
            "dtype_bytes must be a whole number of at least 1, got 0",
        ),
        ((LocalWindow(4), 8, 4, 1), {"n_kv_heads": 3}, r"must divide n_heads \(4\), got 3"),
        (
            (LocalWindow(4), 8, 1, 1),
            {"block_size": 0},
            "block_size must be a whole number of at least 1, got 0",
        ),
        ((PerHead((Dense(), Dense())), 8, 3, 1), {}, r"PerHead \(2\), got 3"),
        ((PerSequence((Dense(), Dense())), 8, 1, 1), {}, "a cost is that of one sequence"),
    ],
)
def test_unusable_arguments_are_named(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        attention_cost(*arguments, **options)
