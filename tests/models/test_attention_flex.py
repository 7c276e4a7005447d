"""Our layouts as FlexAttention's `BlockMask`, and the backend that runs on it."""

import pytest
import torch
from attention_problems import EXACT, Problem, assert_same, evaluate, stored
from example_patterns import SINGLE_PATTERNS, single_patterns
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from sparse_transformers.models.attention_flex import flex_applies
from sparse_transformers.models.attention_ops import sparse_attention
from sparse_transformers.models.attention_patterns import (
    BigBird,
    Causal,
    Dense,
    DilatedWindow,
    LocalWindow,
    PerHead,
    Strided,
)

needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="FlexAttention is compiled for a CUDA device"
)
whole_tiles = st.tuples(st.integers(1, 4), st.integers(0, 3)).map(
    lambda tiles: (16 * tiles[0], 16 * (tiles[0] + tiles[1]))
)
lengths = st.tuples(st.integers(1, 80), st.integers(0, 50)).map(lambda t: (t[0], t[0] + t[1]))


def built_by_pytorch(pattern, q_len, k_len, block_size) -> BlockMask:
    """The block mask that PyTorch makes by evaluating all pairs."""
    allowed = pattern.mask(q_len, k_len)
    return create_block_mask(
        lambda batch, head, query, key: allowed[query, key],
        None,
        None,
        q_len,
        k_len,
        device="cpu",
        BLOCK_SIZE=block_size,
    )


def listed_tiles(counts: torch.Tensor, indices: torch.Tensor) -> list[list[int]]:
    """The tiles that a block mask lists in every row."""
    rows = zip(counts[0, 0].tolist(), indices[0, 0].tolist(), strict=True)
    return [row[:count] for count, row in rows]


@pytest.mark.parametrize("direction", ["kv", "q"])
@pytest.mark.parametrize("pattern", SINGLE_PATTERNS, ids=repr)
def test_block_mask_lists_the_tiles_that_pytorch_finds(pattern, direction):
    ours = pattern.layout(64, 96, 16).to_block_mask()
    theirs = built_by_pytorch(pattern, 64, 96, 16)

    assert (ours.shape, ours.BLOCK_SIZE) == (theirs.shape, theirs.BLOCK_SIZE)
    for kind in (direction, f"full_{direction}"):
        ours_listed, theirs_listed = (
            listed_tiles(getattr(mask, f"{kind}_num_blocks"), getattr(mask, f"{kind}_indices"))
            for mask in (ours, theirs)
        )
        assert ours_listed == theirs_listed


@given(pattern=single_patterns(), lengths=lengths, block_size=st.sampled_from([8, 16, 32]))
def test_block_mask_of_any_length_has_the_tiles_that_pytorch_finds(pattern, lengths, block_size):
    ours = pattern.layout(*lengths, block_size).to_block_mask()
    theirs = built_by_pytorch(pattern, *lengths, block_size)

    assert torch.equal(ours.to_dense(), theirs.to_dense())
    assert ours.seq_lengths == theirs.seq_lengths == lengths


@given(pattern=single_patterns(), lengths=lengths)
def test_rule_inside_a_block_mask_is_that_of_the_pattern(pattern, lengths):
    q_len, k_len = lengths
    block_mask = pattern.layout(q_len, k_len, 16).to_block_mask()
    zero, query, key = torch.tensor(0), torch.arange(q_len)[:, None], torch.arange(k_len)

    allowed = block_mask.mask_mod(zero, zero, query, key)

    assert torch.equal(allowed.broadcast_to(q_len, k_len), pattern.mask(q_len, k_len))


@pytest.mark.unchecked_arrays
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize(("q_len", "k_len"), [(64, 64), (50, 50), (20, 50)])
@pytest.mark.parametrize("pattern", SINGLE_PATTERNS, ids=repr)
def test_uncompiled_flex_attention_on_our_block_mask_equals_the_formula(pattern, q_len, k_len):
    problem = Problem(pattern, q_len, k_len)
    tensors = problem.tensors()
    block_mask = pattern.layout(q_len, k_len, 16).to_block_mask()

    output = flex_attention(*tensors, block_mask=block_mask)

    torch.testing.assert_close(output, problem.solve(*tensors)[0], **EXACT)


def test_flex_is_no_choice_on_a_cpu():
    tensors = Problem(LocalWindow(4), 16, 16, dim=16, value_dim=16).tensors(torch.float32)
    assert not flex_applies(*tensors, LocalWindow(4))


@pytest.mark.parametrize(
    ("pattern", "options", "message"),
    [
        (LocalWindow(4), {}, "'flex' has no gradients on cpu; use 'tiled'"),
        (
            LocalWindow(4),
            {"key_lengths": torch.tensor([11])},
            "without padding; use 'tiled' for PerSequence",
        ),
        (PerHead((Dense(), Causal())), {}, "use 'tiled' for PerHead"),
    ],
)
def test_flex_asked_for_by_name_refuses_what_it_cannot_do(pattern, options, message):
    query = stored((1, 2, 16, 16), "positions first", 0, torch.float32).requires_grad_()

    with pytest.raises(ValueError, match=message):
        sparse_attention(query, query, query, pattern, backend="flex", **options)


@needs_cuda
@pytest.mark.parametrize(("q_len", "k_len"), [(256, 256), (300, 300), (100, 300)])
@pytest.mark.parametrize(
    "pattern",
    [
        LocalWindow(100) & Causal(),
        Strided(50) & Causal(),
        BigBird(32, seq_len=300),
        DilatedWindow(9, 8),
    ],
    ids=repr,
)
def test_flex_backend_equals_the_formula_on_a_gpu(pattern, q_len, k_len):
    problem = Problem(pattern, q_len, k_len, batch=2, group=2, dim=16, value_dim=16)
    tensors = problem.tensors(torch.float32, "cuda")

    for backend in ("flex", "auto"):
        results = evaluate(problem.attend(backend), tensors, through_lse=True)
        expected = evaluate(problem.solve, [x.double() for x in tensors], through_lse=True)
        # The kernel multiplies in TF32, with 10 bits after the point.
        in_single = [x.float() for x in expected]
        assert_same(results, type(expected)(*in_single), rtol=4 * 2**-10, atol=8 * 2**-10)
