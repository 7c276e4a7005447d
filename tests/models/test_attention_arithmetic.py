"""Attention with NaN and infinity, in half precision, and differentiated more than once."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from attention_problems import EXACT, Problem, evaluate
from example_patterns import patterns
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from model_examples import ids, model

from sparse_transformers.models.attention_ops import sparse_attention
from sparse_transformers.models.attention_patterns import (
    BigBird,
    BlockSparse,
    Causal,
    Dense,
    GlobalTokens,
    LocalWindow,
    Strided,
)
from sparse_transformers.models.attention_reference import reference_attention
from sparse_transformers.models.attention_selected import selected_attention

NUMBERS = [float("nan"), float("inf"), float("-inf"), 1e38, -1e38]
backends = pytest.mark.parametrize("backend", ["reference", "tiled"])


def by_visible_keys(query, key, value, allowed, scale):
    """Each query by itself, with the keys that it may attend to and no others."""
    output = torch.zeros(*query.shape[:3], value.shape[-1], dtype=query.dtype)
    for place in torch.cartesian_prod(*(torch.arange(n) for n in query.shape[:3])).tolist():
        batch, head, row = place
        keys = allowed[batch, head, row].nonzero().flatten()
        if len(keys):
            scores = (key[batch, head, keys] * query[batch, head, row]).sum(-1) * scale
            weights = torch.softmax(scores, 0)
            output[batch, head, row] = (weights[:, None] * value[batch, head, keys]).sum(0)
    return output


def equal_with_nan(found, expected, message=None, **tolerance):
    torch.testing.assert_close(found, expected, equal_nan=True, msg=message, **tolerance)


@backends
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@settings(max_examples=60)
@given(data=st.data())
def test_what_a_query_may_not_see_does_not_touch_it(backend, dtype, data):
    length = data.draw(st.sampled_from([5, 33, 40, 70]))
    problem = Problem(
        data.draw(patterns(2)),
        length,
        length,
        kv_heads=2,
        value_dim=data.draw(st.sampled_from([8, 5])),
        key_lengths=data.draw(st.sampled_from([None, (length - 2,)])),
        causal=data.draw(st.booleans()),
    )
    tensors = problem.tensors(dtype)
    clean = evaluate(problem.attend(backend), tensors)
    spoilt = [x.clone() for x in tensors]
    for _ in range(data.draw(st.integers(1, 3))):
        tensor = data.draw(st.sampled_from([1, 2]))
        head, place = data.draw(st.integers(0, 1)), data.draw(st.integers(0, length - 1))
        spoilt[tensor][0, head, place, data.draw(st.integers(0, 4))] = data.draw(
            st.sampled_from(NUMBERS)
        )
    allowed = problem.allowed()
    touched = (spoilt[1] != tensors[1]).any(-1) | (spoilt[2] != tensors[2]).any(-1)
    sees = (allowed & touched[:, :, None, :]).any(-1)  # (batch, heads, queries)
    assume(not bool(sees.all()))

    leaves = [x.clone().requires_grad_() for x in spoilt]
    output, lse = problem.attend(backend)(*leaves)

    untouched = ~sees
    torch.testing.assert_close(output[untouched], clean.output[untouched])
    torch.testing.assert_close(lse[untouched], clean.lse[untouched])
    # So are the gradients of those queries, and of the keys that no touched query sees.
    weights = torch.ones_like(output) * untouched[..., None]
    (output.where(weights > 0, 0.0)).sum().backward()
    kept = [x.clone().requires_grad_() for x in tensors]
    (problem.attend(backend)(*kept)[0] * weights).sum().backward()
    torch.testing.assert_close(leaves[0].grad[untouched], kept[0].grad[untouched])
    apart = ~(allowed & sees[..., None]).any(-2) & ~touched
    for n in (1, 2):
        torch.testing.assert_close(leaves[n].grad[apart], kept[n].grad[apart])


@backends
@pytest.mark.parametrize("which", ["key", "value", "query"])
@pytest.mark.parametrize("number", NUMBERS[:4])
def test_what_a_query_sees_counts_as_in_dense_attention(backend, which, number):
    problem = Problem(Strided(6) & Causal(), 40, 40, kv_heads=2, scale=0.3)
    tensors = dict(zip(("query", "key", "value"), problem.tensors(), strict=True))
    tensors[which][0, 1, 17, 3] = number
    output, _ = problem.attend(backend)(*tensors.values())
    expected = by_visible_keys(*tensors.values(), problem.allowed(), 0.3)
    equal_with_nan(output, expected)
    assert output[0, 0].isfinite().all()
    if number != number:
        assert output[0, 1].isnan().any()


def test_a_gradient_of_nan_stays_with_the_keys_that_its_query_sees():
    problem = Problem(LocalWindow(5) & Causal(), 70, 70, kv_heads=1)
    leaves = [x.requires_grad_() for x in problem.tensors()]
    grad = torch.ones(1, 1, 70, 8, dtype=torch.double)
    grad[0, 0, 40] = torch.nan
    output, _ = problem.attend("tiled")(*leaves)
    found = torch.autograd.grad(output, leaves, grad)
    for gradient, rows in zip(found, ([40], range(36, 41), range(36, 41)), strict=True):
        spoilt = gradient[0, 0].isnan().any(-1).nonzero().flatten().tolist()
        assert spoilt == list(rows)


def test_no_key_is_touched_by_a_query_that_did_not_select_it():
    query, key, value = Problem(Dense(), 6, 6, kv_heads=1).tensors()
    selected = torch.tensor([[[[1, -1], [2, 1], [-1, -1], [3, 4], [5, -1], [4, 2]]]])
    expected = selected_attention(query, key, value, selected)
    key[0, 0, 0], value[0, 0, 0] = torch.nan, torch.inf
    leaves = [x.requires_grad_() for x in (query, key, value)]
    found = selected_attention(*leaves, selected)
    torch.testing.assert_close(found, expected)
    for gradient in torch.autograd.grad(found.sum(), leaves):
        assert gradient.isfinite().all()


HALVES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)


def relative_error(found, expected):
    assert torch.equal(found == -torch.inf, expected == -torch.inf)  # queries without a key
    found, expected = (x.masked_fill(x == -torch.inf, 0.0) for x in (found, expected))
    return float((found.double() - expected).abs().max() / expected.abs().max())


@HALVES
@pytest.mark.parametrize("value_dim", [64, 32])
@backends
def test_large_scores_are_not_rounded(backend, value_dim, dtype):
    problem = Problem(LocalWindow(40), 70, 70, dim=64, value_dim=value_dim, storage="heads first")
    query, key, value = problem.tensors(dtype)
    query, key = 40 * query.sign(), 40 * query.sign()  # products of 102,400: above float16's range
    output, lse = problem.attend(backend)(query, key, value)
    expected, expected_lse = by_formula(problem, query, key, value)
    assert relative_error(output, expected) < torch.finfo(dtype).eps
    assert relative_error(lse, expected_lse) < 1e-5


def by_formula(problem, query, key, value):
    """Reference in double precision; its scores are too large for exponentials of them."""
    query, key, value = (x.double() for x in (query, key, value))
    return reference_attention(query, key, value, problem.pattern, **problem.options())[:2]


@HALVES
def test_large_scores_of_selected_keys_are_not_rounded(dtype):
    query = 40 * torch.randn(1, 2, 30, 64).sign().to(dtype)
    value = torch.randn(1, 2, 30, 64).to(dtype)
    everything = torch.arange(30).expand(1, 2, 30, 30)
    found = selected_attention(query, query, value, everything)
    exact = selected_attention(*(x.double() for x in (query, query, value)), everything)
    assert relative_error(found, exact) < torch.finfo(dtype).eps


@HALVES
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    "pattern",
    [
        GlobalTokens((36,)) & Causal(),
        BigBird(32) & Causal(),
        BlockSparse(16, 0.6),
        Strided(8) & Causal(),
        LocalWindow(30),
    ],
    ids=repr,
)
@pytest.mark.parametrize("value_dim", [64, 32])
def test_gradients_in_half_precision_are_rounded_once(pattern, value_dim, batch, dtype):
    problem = Problem(pattern, 130, 130, batch=batch, dim=64, value_dim=value_dim)
    rounded = problem.tensors(dtype)
    results = evaluate(problem.attend("tiled"), rounded)
    expected = evaluate(problem.attend("reference"), [x.double() for x in rounded])
    # One rounding in tensor operations; the CPU's own kernel rounds weights and partial sums too.
    roundings = 1 if value_dim == 32 else 4
    for name, got, right in zip(results._fields, results, expected, strict=True):
        assert relative_error(got, right.double()) < roundings * torch.finfo(dtype).eps, name


@HALVES
def test_gradients_of_selected_keys_are_rounded_once(dtype):
    for n_selected in (1, 7):
        tensors = [x.to(dtype) for x in Problem(Dense(), 40, 40, dim=64, value_dim=32).tensors()]
        selected = torch.randint(40, (1, 2, 40, n_selected), generator=torch.manual_seed(0))

        def attend(*x, selected=selected):
            return selected_attention(*x, selected)

        found, exact = (gradients(attend, x) for x in (tensors, [x.double() for x in tensors]))
        for one, two in zip(found, exact, strict=True):
            if two.abs().max() > 1e-9:  # a single key has no gradient of its score
                assert relative_error(one, two) < torch.finfo(dtype).eps
            else:
                assert one.abs().max() < torch.finfo(dtype).eps


def gradients(function: Callable[..., Any], tensors):
    leaves = [x.clone().requires_grad_() for x in tensors]
    return torch.autograd.grad(function(*leaves).float().pow(2).sum(), leaves)


SMALL = Problem(Strided(3) & Causal(), 5, 7, kv_heads=1, group=2, dim=3, value_dim=2)


@pytest.mark.parametrize(
    "pattern", [Strided(3) & Causal(), LocalWindow(2), GlobalTokens((3,)) & ~Causal()], ids=repr
)
@pytest.mark.parametrize("value_dim", [3, 2])
def test_second_derivatives_are_the_finite_differences(pattern, value_dim):
    problem = Problem(pattern, 5, 7, kv_heads=1, group=2, dim=3, value_dim=value_dim)
    tensors = [x.requires_grad_() for x in problem.tensors()]

    def attend(*tensors):
        output, lse = problem.attend("tiled")(*tensors)
        return output, lse.masked_fill(lse == -torch.inf, 0)

    assert torch.autograd.gradgradcheck(attend, tensors)


def test_second_derivatives_of_selected_keys_are_the_finite_differences():
    selected = torch.tensor([[0, -1], [0, 1], [-1, -1], [2, 4]]).expand(1, 2, 4, 2)
    tensors = [x.requires_grad_() for x in Problem(Dense(), 4, 6, dim=3, value_dim=2).tensors()]
    assert torch.autograd.gradgradcheck(lambda *x: selected_attention(*x, selected), tensors)


@pytest.mark.parametrize("changes", [{}, {"selector": {"name": "top_k", "top_k": 3}}])
def test_hessian_times_vector_of_a_model_is_that_of_the_reference(changes):
    products = []
    for backend in ("tiled", "reference"):
        tested = model(backend=backend, **changes)
        parameters = list(tested.parameters())
        loss = tested(ids()).log_softmax(-1)[..., 3].sum()
        first = torch.autograd.grad(loss, parameters, create_graph=True)
        dot = sum(gradient.sum() for gradient in first)
        products.append(torch.autograd.grad(dot, parameters))
    for found, expected in zip(*products, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)


def test_third_derivatives_too():
    def third(backend):
        x = SMALL.tensors()[0].requires_grad_()
        _, key, value = SMALL.tensors()
        y = SMALL.attend(backend)(x, key, value)[0].sin().sum()
        for _ in range(2):
            (gradient,) = torch.autograd.grad(y, x, create_graph=True)
            y = gradient.sin().sum()
        return torch.autograd.grad(y, x)[0]

    torch.testing.assert_close(third("tiled"), third("reference"), **EXACT)


def attend_selected(query, key, value):
    selected = torch.tensor([[0, -1], [0, 1], [-1, -1], [2, 4], [1, 6]]).expand(1, 2, 5, 2)
    return selected_attention(
        query, key.expand(-1, 2, -1, -1), value.expand(-1, 2, -1, -1), selected
    )


FUNCTIONS = pytest.mark.parametrize(
    "attend",
    [lambda *x: SMALL.attend("tiled")(*x)[0], attend_selected],
    ids=["tiled", "selected"],
)


@FUNCTIONS
def test_function_transforms(attend):
    tensors = SMALL.tensors()

    def loss(query, key, value):
        return attend(query, key, value).sin().sum()

    leaves = [x.clone().requires_grad_() for x in tensors]
    expected = torch.autograd.grad(loss(*leaves), leaves)
    for found, right in zip(torch.func.grad(loss, (0, 1, 2))(*tensors), expected, strict=True):
        torch.testing.assert_close(found, right, **EXACT)

    stack = [torch.stack([x, 2 * x, x - 1]) for x in tensors]
    mapped = torch.func.vmap(attend)(*stack)
    each = [attend(*(x[n] for x in stack)) for n in range(3)]
    torch.testing.assert_close(mapped, torch.stack(each), **EXACT)
    shared = torch.func.vmap(attend, in_dims=(0, None, None))(stack[0], *tensors[1:])
    torch.testing.assert_close(shared[1], attend(2 * tensors[0], *tensors[1:]), **EXACT)

    jacobian = torch.func.jacrev(attend)(*tensors)
    expected_jacobian = torch.autograd.functional.jacobian(attend, tuple(tensors))[0]
    torch.testing.assert_close(jacobian, expected_jacobian, **EXACT)
    per_sample = torch.func.vmap(torch.func.grad(loss))(*stack)
    alone = torch.func.grad(loss)(*(x[1] for x in stack))
    torch.testing.assert_close(per_sample[1], alone, **EXACT)


@FUNCTIONS
def test_hessians(attend):
    query, key, value = SMALL.tensors()

    def loss(query):
        return attend(query, key, value).sin().sum()

    expected = torch.autograd.functional.hessian(loss, query)
    found = torch.func.jacrev(torch.func.grad(loss))(query)
    torch.testing.assert_close(found, expected, **EXACT)


@pytest.mark.parametrize("batch", [1, 2])
def test_training_step_of_a_model_in_bfloat16(batch):
    tested = model(attention={"name": "bigbird", "block_size": 32}, n_layers=1).float()
    tokens = ids(batch, 200)
    with torch.autocast("cpu", torch.bfloat16):
        tested(tokens).float().logsumexp(-1).sum().backward()
    found = [parameter.grad.clone() for parameter in tested.parameters()]
    tested.zero_grad()
    tested(tokens).logsumexp(-1).sum().backward()
    for gradient, parameter in zip(found, tested.parameters(), strict=True):
        assert relative_error(gradient, parameter.grad.double()) < 0.1


def test_flex_makes_the_log_sum_exp_only_if_it_is_asked_for(monkeypatch):
    from sparse_transformers.models import attention_flex

    asked = []

    def kernel(query, key, value, *, return_lse, **options):
        asked.append(return_lse)
        return (query, query[..., 0]) if return_lse else query

    monkeypatch.setattr(attention_flex, "_compiled", lambda: kernel)
    query = torch.randn(1, 1, 16, 16)
    sparse_attention(query, query, query, LocalWindow(4), backend="flex")
    sparse_attention(query, query, query, LocalWindow(4), backend="flex", return_lse=True)
    assert asked == [False, True]
