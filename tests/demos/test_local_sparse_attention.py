import pytest
import torch

from sparse_transformers.demos.local_sparse_attention import LocalSparseAttention
from sparse_transformers.models.attention_patterns import LocalWindow
from sparse_transformers.models.attention_reference import reference_attention


def heads(n=3, positions=9):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 2, 4, positions, 8, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("causal", [True, False])
def test_local_attention_equals_the_reference(causal):
    q, k, v = heads()
    expected = reference_attention(q, k, v, LocalWindow(3), causal=causal)[0]
    torch.testing.assert_close(LocalSparseAttention(3, causal=causal)(q, k, v), expected)


def test_local_attention_hides_later_keys_unless_told_otherwise():
    q, k, v = heads()
    # With equal scores the output counts keys: one-hot values show which.
    q, v = torch.zeros_like(q), torch.eye(9, dtype=torch.float64).expand(2, 4, 9, 9)
    assert LocalSparseAttention(window_size=3)(q, k, v)[0, 0, 5].nonzero().flatten().tolist() == [
        3,
        4,
        5,
    ]
    both_sides = LocalSparseAttention(window_size=3, causal=False)(q, k, v)
    assert both_sides[0, 0, 5].nonzero().flatten().tolist() == [3, 4, 5, 6, 7]


@pytest.mark.unchecked_arrays
def test_local_attention_hides_padding():
    q, k, v = heads()
    attention = LocalSparseAttention(4, causal=False)
    mask = torch.arange(9) < torch.tensor([[5], [9]])
    padded = attention(q, k, v, mask)
    alone = attention(q[:1, :, :5], k[:1, :, :5], v[:1, :, :5])
    torch.testing.assert_close(padded[:1, :, :5], alone)
    torch.testing.assert_close(padded[1:], attention(q, k, v)[1:])
    with pytest.raises(
        ValueError, match=r"mask must have the shape of the tokens, \(2, 9\), got \(9, 9\)"
    ):
        attention(q, k, v, torch.ones(9, 9, dtype=torch.bool))
    left = attention(q, k, v, mask.flip(1))
    alone = attention(q[:1, :, 4:], k[:1, :, 4:], v[:1, :, 4:])
    torch.testing.assert_close(left[:1, :, 4:], alone)
