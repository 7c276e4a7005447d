import pytest
import torch
from attention_problems import EXACT
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_transformers.models import attention_selected
from sparse_transformers.models.attention_patterns import Dense
from sparse_transformers.models.attention_reference import reference_attention
from sparse_transformers.models.attention_selected import selected_attention
from sparse_transformers.models.selectors import selection_mask


def tensors(batch=2, heads=4, kv_heads=2, q_len=9, k_len=13, dim=4, value_dim=3, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)

    return (
        draw(batch, heads, q_len, dim),
        draw(batch, kv_heads, k_len, dim),
        draw(batch, kv_heads, k_len, value_dim),
    )


def selections(batch, heads, q_len, k_len, n_selected, seed):
    """Distinct random keys for every query, some of them missing."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(batch, heads, q_len, k_len, generator=generator).argsort(-1)
    missing = torch.rand(batch, heads, q_len, n_selected, generator=generator) < 0.4
    return order[..., :n_selected].masked_fill(missing, -1)


@settings(max_examples=50)
@given(
    q_len=st.integers(1, 12),
    n_selected=st.integers(0, 13),
    kv_heads=st.sampled_from([1, 2, 4]),
    scale=st.sampled_from([None, 0.3]),
    bytes_per_chunk=st.sampled_from([1, 3000, 8 << 20]),
    seed=st.integers(0, 9),
)
def test_output_and_gradients_equal_masked_dense_attention(
    q_len, n_selected, kv_heads, scale, bytes_per_chunk, seed
):
    inputs = tensors(kv_heads=kv_heads, q_len=q_len, seed=seed)
    selected = selections(2, 4, q_len, 13, n_selected, seed)
    before = attention_selected.BYTES_PER_CHUNK
    attention_selected.BYTES_PER_CHUNK = bytes_per_chunk
    try:
        output = selected_attention(*inputs, selected, scale=scale)
        weights = torch.randn(output.shape, dtype=torch.float64)
        gradients = torch.autograd.grad((output * weights).sum(), inputs)
    finally:
        attention_selected.BYTES_PER_CHUNK = before

    mask = selection_mask(selected, 13)
    expected, _, _ = reference_attention(*inputs, Dense(), scale=scale, selected=mask)
    torch.testing.assert_close(output, expected, **EXACT)
    for got, right in zip(
        gradients, torch.autograd.grad((expected * weights).sum(), inputs), strict=True
    ):
        torch.testing.assert_close(got, right, **EXACT)


def test_gradients_are_the_finite_differences():
    inputs = tensors(batch=1, heads=2, kv_heads=1, q_len=3, k_len=5)
    selected = selections(1, 2, 3, 5, 3, seed=1)
    assert torch.autograd.gradcheck(lambda *x: selected_attention(*x, selected), inputs)


def test_query_without_a_key_gives_zeros_and_no_gradient():
    inputs = tensors()
    selected = selections(2, 4, 9, 13, 4, seed=0)
    selected[:, :, 5] = -1
    output = selected_attention(*inputs, selected)
    assert (output[:, :, 5] == 0).all()
    gradients = torch.autograd.grad(output.sum(), inputs)
    assert (gradients[0][:, :, 5] == 0).all()
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.unchecked_arrays
@pytest.mark.parametrize(
    ("selected", "message"),
    [
        (torch.zeros(2, 4, 8, 1, dtype=torch.long), "heads and positions of query"),
        (torch.full((2, 4, 9, 1), 13), "below the 13 keys, got 13"),
        (torch.full((2, 4, 9, 1), -2), "-1 or positions"),
    ],
)
def test_selections_that_do_not_fit_are_refused(selected, message):
    with pytest.raises(ValueError, match=message):
        selected_attention(*tensors(), selected)
