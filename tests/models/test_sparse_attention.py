"""`sparse_attention` equals dense attention, forward and backward, and refuses bad arguments."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from attention_problems import (
    EXACT,
    Problem,
    assert_same,
    evaluate,
    problems,
    stored,
)
from example_patterns import EXAMPLE_PATTERNS, PER_HEAD_PATTERNS, SINGLE_PATTERNS, single_patterns
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from sparse_transformers.models.attention_ops import sparse_attention
from sparse_transformers.models.attention_patterns import (
    AttentionPattern,
    AttentionSinks,
    BigBird,
    BlockSparse,
    Causal,
    Dense,
    DilatedWindow,
    GlobalTokens,
    Interleaved,
    LocalWindow,
    PerHead,
    Strided,
)
from sparse_transformers.models.attention_reference import reference_attention
from sparse_transformers.models.tiled import function as attention_tiled

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


def test_reference_takes_the_same_options():
    options = {"causal": True, "scale": 0.3, "key_lengths": (40, 17)}
    problem = Problem(Strided(5), 30, 40, batch=2, group=2, **options)
    tensors = problem.tensors()

    output, lse, _ = reference_attention(*tensors, problem.pattern, **problem.options())

    expected, expected_lse = problem.solve(*tensors)
    torch.testing.assert_close(output, expected, **EXACT)
    torch.testing.assert_close(lse, expected_lse, **EXACT)


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


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("value_dim", [16, 8], ids=["equal dims", "unequal dims"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    "pattern",
    [LocalWindow(40) & Causal(), Strided(8) & Causal(), BlockSparse(32, 0.6), AttentionSinks(5)],
    ids=repr,
)
def test_lower_precision_costs_a_few_roundings(pattern, dtype, value_dim, device):
    problem = Problem(pattern, 130, 130, batch=2, group=2, dim=16, value_dim=value_dim)
    rounded = problem.tensors(dtype, device)

    results = evaluate(problem.attend("tiled"), rounded)
    expected = evaluate(problem.solve, [x.double() for x in rounded])

    # A result is rounded at the end; PyTorch's own CPU kernel rounds weights, the output and
    # partial sums before: at most 4 roundings, each relative to the largest numbers.
    for name, got, right in zip(results._fields, results, expected, strict=True):
        error = (got.double() - right).abs().max() / right.abs().max()
        assert error < 4 * torch.finfo(dtype).eps, name


@pytest.mark.parametrize("backend", COMPUTING_BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_results_have_the_type_of_the_arguments_and_lse_at_least_single(dtype, backend):
    for value_dim in (8, 5):
        problem = Problem(Strided(4) & Causal(), 40, 40, value_dim=value_dim)
        results = evaluate(problem.attend(backend), problem.tensors(dtype))

        assert results.output.dtype == results.grad_key.dtype == dtype
        assert results.lse.dtype == torch.promote_types(dtype, torch.float32)


@dataclass(frozen=True)
class Distance(AttentionPattern):
    """Every query sees one key: that at a distance."""

    distance: int

    def allows(self, query: Any, key: Any) -> Any:
        return query - key == self.distance


@dataclass(frozen=True)
class TwoDistances(AttentionPattern):
    """Every query sees two keys, in two parts, and the first queries see none."""

    def allows(self, query: Any, key: Any) -> Any:
        return (query - key == 40) | (query - key == 50)

    def parts(self) -> list[Interleaved]:
        return [Interleaved(4, Distance(10)), Interleaved(5, Distance(10))]


@pytest.mark.parametrize("backend", COMPUTING_BACKENDS)
@pytest.mark.parametrize("value_dim", [8, 5])
@pytest.mark.parametrize(
    "pattern",
    [
        LocalWindow(70) & ~LocalWindow(40),  # the tiles are there, the first queries see nothing
        Dense() & ~Dense(),  # no tile at all
        DilatedWindow(3, dilation=4) & ~LocalWindow(2) & Causal(),
        TwoDistances(),
    ],
    ids=repr,
)
def test_query_without_a_key_gives_zeros_and_no_gradient(pattern, value_dim, backend):
    problem = Problem(pattern, 90, 90, value_dim=value_dim, causal=True)
    blind = ~(pattern & Causal()).mask(90).any(1)
    assert blind.any()

    for through_lse in (False, True):
        attend = problem.attend(backend)
        results = evaluate(attend, problem.tensors(), through_lse=through_lse)
        assert (results.output[:, :, blind] == 0).all()
        assert (results.lse[:, :, blind] == -torch.inf).all()
        assert results.lse[:, :, ~blind].isfinite().all()
        assert (results.grad_query[:, :, blind] == 0).all()
        expected = evaluate(problem.solve, problem.tensors(), through_lse=through_lse)
        assert_same(results, expected, **EXACT)


@pytest.mark.parametrize("backend", COMPUTING_BACKENDS)
@given(problem=problems(), data=st.data())
def test_forbidden_keys_never_change_an_output_and_get_no_gradient(backend, problem, data):
    position = data.draw(st.integers(0, problem.k_len - 1), label="position")
    forbidden = ~problem.allowed()[..., position]
    attend = problem.attend(backend)
    query, key, value = problem.tensors()

    leaves = [x.detach().requires_grad_() for x in (key, value)]
    output, _ = attend(query, *leaves)
    weights = stored(tuple(output.shape), "heads first", seed=0) * forbidden[..., None]
    for grad in torch.autograd.grad(output, leaves, weights):
        assert (grad[:, :, position] == 0).all()

    changed, _ = attend(query, huge_at(position, key), huge_at(position, value))
    assert torch.equal(changed[forbidden], output[forbidden])


def huge_at(position, x):
    """A copy of (batch, heads, positions, dim) with huge numbers at one position."""
    x = x.clone()
    x[:, :, position] *= 1e30
    return x


@pytest.mark.parametrize("pattern", [LocalWindow(101), LocalWindow(500), Strided(100)], ids=repr)
def test_window_as_wide_as_the_sequence_is_dense_causal_attention(pattern):
    problem = Problem(pattern, 101, 101, causal=True)
    tensors = problem.tensors()
    results = evaluate(problem.attend("tiled"), tensors)

    def dense(query, key, value):
        return scaled_dot_product_attention(query, key, value, is_causal=True), results.lse

    assert_same(results, evaluate(dense, tensors), **EXACT)


@given(left=single_patterns(), right=single_patterns(), length=st.sampled_from([33, 64, 90]))
def test_disjoint_parts_merge_by_their_lse_to_the_union(left, right, length):
    tensors = Problem(left, length, length).tensors()
    (first, first_lse), (rest, rest_lse), (whole, whole_lse) = (
        sparse_attention(*tensors, pattern, backend="tiled", return_lse=True)
        for pattern in (left, right & ~left, left | right)
    )

    lse = torch.logaddexp(first_lse, rest_lse)
    torch.testing.assert_close(lse, whole_lse, **EXACT)
    # -inf - -inf is a query without a key, on both sides.
    first_share, rest_share = (
        (x - lse).exp().nan_to_num()[..., None] for x in (first_lse, rest_lse)
    )
    torch.testing.assert_close(first * first_share + rest * rest_share, whole, **EXACT)


@pytest.mark.parametrize("pattern", EXAMPLE_PATTERNS, ids=repr)
def test_decoding_step_by_step_equals_the_whole(pattern):
    problem = problem_of(pattern, 70, 70, causal=True)
    query, key, value = problem.tensors()
    whole, whole_lse = problem.attend("tiled")(query, key, value)

    for start, stop in [(0, 1), (1, 2), (31, 32), (32, 33), (33, 63), (63, 64), (64, 70)]:
        chunk = query[:, :, start:stop], key[:, :, :stop], value[:, :, :stop]
        output, lse = problem.attend("tiled")(*chunk)
        torch.testing.assert_close(output, whole[:, :, start:stop], **EXACT)
        torch.testing.assert_close(lse, whole_lse[:, :, start:stop], **EXACT)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("backend", ["auto", *COMPUTING_BACKENDS])
@pytest.mark.parametrize("pattern", EXAMPLE_PATTERNS, ids=repr)
def test_padded_batch_equals_its_sequences_one_by_one(pattern, backend, causal):
    lengths = (70, 33, 33, 64)
    problem = problem_of(pattern, 70, 70, batch=4, causal=causal, key_lengths=lengths)
    tensors = problem.tensors()
    output = sparse_attention(*tensors, pattern, backend=backend, **problem.options())

    for element, length in enumerate(lengths):
        alone = [x[element, None, :, :length] for x in tensors]
        expected = sparse_attention(*alone, pattern, causal=causal, backend="reference")
        torch.testing.assert_close(output[element, None, :, :length], expected, **EXACT)


def test_sequence_without_any_real_key_gives_zeros():
    problem = Problem(LocalWindow(9), 40, 40, batch=2, key_lengths=(0, 40))
    output, lse = problem.attend("tiled")(*problem.tensors())

    assert (output[0] == 0).all()
    assert (lse[0] == -torch.inf).all()
    assert lse[1].isfinite().all()


@pytest.mark.parametrize("backend", ["auto", *COMPUTING_BACKENDS])
@pytest.mark.parametrize("pattern", [Dense(), LocalWindow(9), PER_HEAD_PATTERNS[0]], ids=repr)
def test_grouped_queries_equal_repeated_keys(pattern, backend):
    query, key, value = Problem(pattern, 50, 50, kv_heads=2, group=2).tensors()
    repeated = [x[:, [0, 0, 1, 1]] for x in (key, value)]

    torch.testing.assert_close(
        sparse_attention(query, key, value, pattern, backend=backend),
        sparse_attention(query, *repeated, pattern, backend=backend),
        **EXACT,
    )


@pytest.mark.parametrize("n_bytes", [1, 1 << 17, 1 << 30], ids=["one row", "some rows", "all rows"])
@pytest.mark.parametrize(
    "pattern",
    [
        LocalWindow(100) & Causal(),
        DilatedWindow(20, dilation=8),
        Strided(16) & Causal(),
        BlockSparse(32, 0.5),
        BlockSparse(32, 0.6, seed=1) & Causal(),
        BigBird(32, seq_len=400),
        GlobalTokens((0, 200)) | LocalWindow(40),
        Dense(),
    ],
    ids=repr,
)
def test_work_may_be_cut_into_launches_of_any_size(pattern, n_bytes, monkeypatch):
    monkeypatch.setitem(attention_tiled.BYTES_PER_LAUNCH, "cpu", n_bytes)
    for lengths in [(390, 400), (384, 384)]:
        problem = Problem(pattern, *lengths)
        tensors = problem.tensors()
        results = evaluate(problem.attend("tiled"), tensors)
        assert_same(results, evaluate(problem.solve, tensors), **EXACT)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("pattern", [LocalWindow(100), BlockSparse(32, 0.5)], ids=repr)
def test_two_threads_give_the_same(pattern, two_threads):
    problem = Problem(pattern, 800, 800, batch=2, causal=True)
    tensors = problem.tensors()
    results = evaluate(problem.attend("tiled"), tensors)
    assert_same(results, evaluate(problem.solve, tensors), **EXACT)


def test_gradients_can_be_taken_twice_and_for_some_arguments_only():
    problem = Problem(Strided(6) & Causal(), 70, 70)
    query, key, value = problem.tensors()
    expected = evaluate(problem.attend("tiled"), [query, key, value])
    weights = stored(tuple(query.shape), "heads first", 100)

    value.requires_grad_()
    output, lse = problem.attend("tiled")(query, key, value)
    for _ in range(2):
        (grad_value,) = torch.autograd.grad(output, [value], weights, retain_graph=True)
        torch.testing.assert_close(grad_value, expected.grad_value, **EXACT)
    assert torch.equal(output, expected.output)
    assert torch.equal(lse, expected.lse)


def test_inference_mode_gives_the_same():
    problem = Problem(LocalWindow(9) & Causal(), 70, 70)
    output, _ = problem.attend("tiled")(*problem.tensors())

    with torch.inference_mode():
        assert torch.equal(problem.attend("tiled")(*problem.tensors())[0], output)


def of_shape(*shape, dtype=torch.float64, device="cpu"):
    return torch.zeros(shape, dtype=dtype, device=device)


@pytest.mark.unchecked_arrays
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"backend": "dense"}, "backend must be one of auto, reference, tiled, flex, got 'dense'"),
        ({"pattern": "local"}, "pattern must be an AttentionPattern .*, got 'local'"),
        ({"query": of_shape(2, 6, 8)}, r"query must have the shape .*, got \(2, 6, 8\)"),
        ({"key": of_shape(2, 10, 8)}, r"key must have the shape .*, got \(2, 10, 8\)"),
        ({"value": of_shape(10, 5)}, r"value must have the shape .*, got \(10, 5\)"),
        ({"key": of_shape(2, 2, 10, 8, dtype=torch.float32)}, "key must be .* torch.float32"),
        ({"value": of_shape(2, 2, 10, 5, device="meta")}, "value must be on cpu .* got meta"),
        (
            {
                "query": of_shape(2, 4, 6, 8, dtype=torch.int64),
                "key": of_shape(2, 2, 10, 8, dtype=torch.int64),
                "value": of_shape(2, 2, 10, 5, dtype=torch.int64),
            },
            "query must be of a floating-point type, got torch.int64",
        ),
        ({"query": of_shape(2, 4, 0, 8)}, r"must not be empty, got .* \(2, 4, 0, 8\)"),
        ({"value": of_shape(2, 2, 10, 0)}, r"must not be empty, got .* \(2, 2, 10, 0\)"),
        ({"key": of_shape(3, 2, 10, 8)}, r"key must have the batch \(2\) .*, got \(3, 2, 10, 8\)"),
        ({"key": of_shape(2, 2, 10, 7)}, r"dim \(8\) of query, got \(2, 2, 10, 7\)"),
        ({"value": of_shape(2, 2, 9, 5)}, r"value must .* positions of key, got \(2, 2, 9, 5\)"),
        ({"value": of_shape(2, 1, 10, 5)}, r"value must .* positions of key, got \(2, 1, 10, 5\)"),
        ({"query": of_shape(2, 3, 6, 8)}, "the 3 heads of query must be a multiple .*, got 2"),
        ({"query": of_shape(2, 4, 11, 8)}, r"query must not .* than key \(10\), got 11"),
        ({"pattern": PerHead((Dense(),) * 2)}, "one entry for each of the 4 heads, got 2"),
        ({"scale": float("nan")}, "scale must be finite, got nan"),
        ({"key_lengths": [10, 10]}, r"key_lengths must be a tensor .*, got \[10, 10\]"),
        ({"key_lengths": torch.tensor([10])}, r"key_lengths must be a tensor of 2 .*\[10\]"),
        ({"key_lengths": torch.tensor([9.0, 9.0])}, "key_lengths must be .* whole numbers"),
        ({"key_lengths": torch.tensor([True, True])}, "key_lengths must be .* whole numbers"),
        ({"key_lengths": torch.tensor([-1, 10])}, r"key_lengths .* 0 and the 10 .*\[-1, 10\]"),
        ({"key_lengths": torch.tensor([11, 10])}, r"key_lengths .* 0 and the 10 .*\[11, 10\]"),
    ],
)
def test_bad_argument_is_named_with_its_value(changed, message):
    arguments = {
        "query": of_shape(2, 4, 6, 8),
        "key": of_shape(2, 2, 10, 8),
        "value": of_shape(2, 2, 10, 5),
        "pattern": LocalWindow(3),
    }
    assert sparse_attention(**arguments).shape == (2, 4, 6, 5)

    with pytest.raises(ValueError, match=message):
        sparse_attention(**(arguments | changed))
