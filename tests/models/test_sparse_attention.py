"""`sparse_attention` equals dense attention, forward and backward, and refuses bad arguments."""

import pytest
import torch
from attention_problems import (
    EXACT,
    Problem,
    assert_same,
    evaluate,
    poisoned,
    problems,
    stored,
)
from conftest import EXAMPLE_PATTERNS, PER_HEAD_PATTERNS, SINGLE_PATTERNS, single_patterns
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from sparse_transformers.models.attention_ops import sparse_attention
from sparse_transformers.models.attention_patterns import (
    AttentionSinks,
    BigBird,
    BlockSparse,
    Causal,
    Dense,
    DilatedWindow,
    GlobalTokens,
    LocalWindow,
    PerHead,
    Strided,
)
from sparse_transformers.models.attention_reference import reference_attention

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
COMPUTING_BACKENDS = ["reference", "tiled"]  # "flex" has a file of its own


def problem_of(pattern, q_len=101, k_len=101, **options):
    """A problem with as many heads as the pattern needs."""
    heads = len(pattern.patterns) if isinstance(pattern, PerHead) else 2
    return Problem(pattern, q_len, k_len, **({"kv_heads": heads} | options))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("backend", COMPUTING_BACKENDS)
@settings(max_examples=60)
@given(problem=problems(), through_lse=st.booleans())
def test_backend_equals_the_formula(backend, device, problem, through_lse):
    tensors = problem.tensors(device=device)
    options = {"storage": problem.storage, "through_lse": through_lse}

    results = evaluate(problem.attend(backend), tensors, **options)
    assert_same(results, evaluate(problem.solve, tensors, **options), **EXACT)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("q_len", "k_len"), [(96, 96), (101, 101), (33, 130)])
@pytest.mark.parametrize("pattern", EXAMPLE_PATTERNS, ids=repr)
def test_every_example_equals_the_formula(pattern, q_len, k_len, device):
    for causal in (False, True):
        problem = problem_of(pattern, q_len, k_len, batch=2, causal=causal)
        tensors = problem.tensors(device=device)
        results = evaluate(problem.attend("tiled"), tensors)
        assert_same(results, evaluate(problem.solve, tensors), **EXACT)


@pytest.mark.parametrize("pattern", SINGLE_PATTERNS, ids=repr)
def test_reference_equals_pytorch_under_the_same_mask(pattern):
    problem = problem_of(pattern, 50, 70)
    query, key, value = problem.tensors()
    mask = pattern.mask(50, 70)
    has_key = mask.any(1)

    output, lse, weights = reference_attention(query, key, value, pattern)

    expected = scaled_dot_product_attention(query, key, value, attn_mask=mask)
    torch.testing.assert_close(output[:, :, has_key], expected[:, :, has_key], **EXACT)
    assert torch.equal(lse.isfinite(), has_key.expand_as(lse))
    torch.testing.assert_close(weights.sum(-1), has_key.expand_as(lse).double(), **EXACT)
    assert torch.equal(weights > 0, mask.expand_as(weights))
    torch.testing.assert_close(weights @ value, output, **EXACT)


@pytest.mark.parametrize(("q_len", "k_len"), [(70, 70), (20, 70)])
@pytest.mark.parametrize(
    "pattern",
    [
        *EXAMPLE_PATTERNS,
        Dense() & Dense(),
        Dense() & Causal(),
        Causal() & Causal(),
        Dense() | Causal(),
        ~Causal(),
    ],
    ids=repr,
)
def test_automatic_choice_gives_the_same(pattern, q_len, k_len):
    for causal in (False, True):
        problem = problem_of(pattern, q_len, k_len, group=2, scale=0.3, causal=causal)
        if isinstance(pattern, PerHead):
            problem = problem_of(pattern, q_len, k_len, scale=0.3, causal=causal)
        tensors = problem.tensors()
        expected = evaluate(problem.solve, tensors)

        def without_lse(query, key, value, problem=problem, lse=expected.lse):
            output = sparse_attention(query, key, value, problem.pattern, **problem.options())
            return output, lse

        assert_same(evaluate(without_lse, tensors), expected, **EXACT)
        assert_same(evaluate(problem.attend("auto"), tensors), expected, **EXACT)


@pytest.mark.parametrize("through_lse", [False, True], ids=["output", "lse too"])
@pytest.mark.parametrize("value_dim", [3, 2])
@pytest.mark.parametrize(
    "pattern",
    [
        LocalWindow(4) & Causal(),
        Strided(3) & Causal(),
        BigBird(2, random_blocks=1),
        GlobalTokens((3,)) & ~Causal(),  # most queries see no key
    ],
    ids=repr,
)
def test_gradients_are_the_finite_differences(pattern, value_dim, through_lse):
    problem = Problem(pattern, 7, 9, kv_heads=1, group=2, dim=3, value_dim=value_dim)
    tensors = [x.requires_grad_() for x in problem.tensors()]

    def attend(*tensors):
        output, lse = problem.attend("tiled")(*tensors)
        return (output, lse.masked_fill(lse == -torch.inf, 0)) if through_lse else output

    assert torch.autograd.gradcheck(attend, tensors)


# An output is a mean of values, whose error is a few roundings of the largest; half as many digits
# more are lost in the gradients, which are differences. Sums are kept in single precision.
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("value_dim", [16, 8], ids=["fused", "plain"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    "pattern",
    [LocalWindow(40) & Causal(), Strided(8) & Causal(), BlockSparse(32, 0.6), GlobalTokens((0,))],
    ids=repr,
)
def test_lower_precision_costs_a_few_roundings(pattern, dtype, value_dim, device):
    problem = Problem(pattern, 130, 130, batch=2, group=2, dim=16, value_dim=value_dim)
    rounded = problem.tensors(dtype, device)

    results = evaluate(problem.attend("tiled"), rounded)
    expected = evaluate(problem.solve, [x.double() for x in rounded])

    assert results.lse.dtype == torch.float32
    for name, got, right in zip(results._fields, results, expected, strict=True):
        error = (got.double() - right).nan_to_num().abs().max() / right[right.isfinite()].abs().max()
        assert error < 8 * torch.finfo(dtype).eps, name
        print(name, dtype, value_dim, float(error) / torch.finfo(dtype).eps)
