import pytest
import torch
from torch import nn

from sparse_transformers.models.attention_patterns import Causal, LocalWindow, PerHead, Strided
from sparse_transformers.models.rotary import rotation
from sparse_transformers.models.self_attention import SelfAttention
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_block import SparseTransformerBlock
from sparse_transformers.models.transformer_config import SparseTransformerConfig


def hidden_states(seq_len=10, d_model=16):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, seq_len, d_model, generator=generator, dtype=torch.float64)


def influence(block, seq_len=10):
    """(seq_len, seq_len): which inputs (columns) the outputs (rows) depend on."""
    x = hidden_states(seq_len)[:1].requires_grad_()
    rows = [
        torch.autograd.grad(block(x)[0, row].sum(), x)[0].abs().sum((0, 2)) > 0
        for row in range(seq_len)
    ]
    return torch.stack(rows)


def test_block_works_alone_with_the_documented_defaults():
    block = SparseTransformerBlock(d_model=256, n_heads=4, window_size=3)
    hidden = torch.zeros(2, 7, 256)
    assert block(hidden).shape == (2, 7, 256)
    assert block.attention.pattern == LocalWindow(3)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"window_size": 3}, LocalWindow(3) & Causal()),
        ({"window_size": 3, "causal": False}, LocalWindow(3)),
        ({"pattern": Strided(4)}, Strided(4) & Causal()),
        ({"pattern": Strided(4), "causal": False}, Strided(4)),
    ],
)
def test_a_token_depends_on_the_keys_of_the_pattern(options, expected):
    torch.manual_seed(0)
    block = SparseTransformerBlock(16, 2, **options).double()
    assert torch.equal(influence(block), expected.mask(10))


def test_the_model_stacks_this_block():
    model = SparseTransformer(SparseTransformerConfig(d_model=16, n_layers=3))
    assert [type(block) for block in model.blocks] == [SparseTransformerBlock] * 3


def test_feed_forward_can_be_replaced():
    block = SparseTransformerBlock(16, 2, feed_forward=nn.Identity()).double()
    x = hidden_states()
    attended = x + block.attention(block.attention_norm(x))
    torch.testing.assert_close(block(x), attended + block.feed_forward_norm(attended))


def test_dropout_acts_on_both_parts_in_training():
    torch.manual_seed(0)
    block = SparseTransformerBlock(16, 2, dropout=0.99).double()
    unchanged = block(hidden_states()) == hidden_states()
    # Each part leaves an element alone with probability 0.99.
    assert unchanged.double().mean() == pytest.approx(0.99**2, abs=0.03)
    block.eval()
    assert not (block(hidden_states()) == hidden_states()).any()


def test_grouped_queries_equal_repeated_key_heads():
    torch.manual_seed(0)
    pattern = PerHead([LocalWindow(w) for w in (1, 3, 4, 9)])
    grouped = SelfAttention(16, 4, pattern, n_kv_heads=2).double()
    repeated = SelfAttention(16, 4, pattern).double()
    weights = grouped.state_dict()
    for name in ("k_proj.weight", "v_proj.weight"):
        heads = weights[name].view(2, 4, 16).repeat_interleave(2, dim=0)
        weights[name] = heads.flatten(0, 1)
    repeated.load_state_dict(weights)
    places = rotation(4, 10, like=hidden_states())
    torch.testing.assert_close(
        grouped(hidden_states(), rotation=places), repeated(hidden_states(), rotation=places)
    )


@pytest.mark.parametrize("backend", ["reference", "tiled"])
def test_backends_agree(backend):
    torch.manual_seed(0)
    block = SparseTransformerBlock(16, 2, 4).double()
    expected = block(hidden_states())
    block.attention.backend = backend
    torch.testing.assert_close(block(hidden_states()), expected)


def test_autocast_mixes_precisions_without_complaint():
    model = SparseTransformer(SparseTransformerConfig(d_model=32, n_layers=1))
    ids = torch.arange(20)[None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(ids)
    torch.testing.assert_close(logits.float(), model(ids), rtol=0, atol=0.05)
    logits.float().square().mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_heads": 3}, r"d_model must be a multiple of n_heads \(3\), got 16"),
        ({"n_kv_heads": 3}, r"n_heads must be a multiple of n_kv_heads \(3\), got 2"),
        ({"window_size": 0}, "window_size must be a whole number of at least 1"),
        ({"pattern": PerHead([Causal()])}, r"must hold n_heads \(2\) patterns, got 1"),
        ({"backend": "gpu"}, "unknown backend 'gpu'"),
        ({"dropout": -0.1}, "dropout must be at least 0"),
        ({"d_ff": 8, "feed_forward": nn.Identity()}, "either d_ff or feed_forward"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SparseTransformerBlock(**{"d_model": 16, "n_heads": 2} | options)
