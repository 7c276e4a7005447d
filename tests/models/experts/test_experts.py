"""Experts against dense layers with their weights, and one implementation against the other."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck
from torch.func import functional_call

from sparse_transformers.models.experts.networks import Experts
from sparse_transformers.models.feed_forward import FeedForward

needs_grouped_mm = pytest.mark.skipif(
    not hasattr(F, "grouped_mm"), reason="torch.nn.functional.grouped_mm came with torch 2.10"
)
COUNTS = [3, 0, 5, 1, 0]
either_kind = pytest.mark.parametrize("gated", [False, True], ids=["plain", "gated"])


def experts(dtype=torch.float64, d_model=8, d_ff=12, **options):
    torch.manual_seed(0)
    return Experts(len(COUNTS), d_model, d_ff, **options).to(dtype)


def some_rows(dtype=torch.float64, d_model=8, n_rows=9):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n_rows, d_model, generator=generator, dtype=torch.float64).to(dtype)


def answers_and_gradients(tested, rows, counts=COUNTS):
    rows = rows.clone().requires_grad_()
    answers = tested(rows, torch.tensor(counts))
    tested.zero_grad()
    answers.float().square().sum().backward()
    return [answers, rows.grad, *(parameter.grad for parameter in tested.parameters())]


@pytest.fixture
def grouped_calls(monkeypatch):
    """Counts the calls of `grouped_mm`."""
    calls = []
    if hasattr(F, "grouped_mm"):
        original = F.grouped_mm
        monkeypatch.setattr(
            F, "grouped_mm", lambda *args, **kwargs: calls.append(1) or original(*args, **kwargs)
        )
    return calls


@pytest.mark.parametrize("implementation", ["loop", "auto"])
def test_each_plain_expert_is_a_feed_forward_layer(implementation):
    tested = experts(implementation=implementation)
    rows = some_rows()
    dense = FeedForward(8, 12).double()
    expected = []
    for expert, own in enumerate(rows.split(COUNTS)):
        dense.load_state_dict(
            {"up.weight": tested.up[expert].T, "down.weight": tested.down[expert].T}
        )
        expected.append(dense(own))
    torch.testing.assert_close(
        tested(rows, torch.tensor(COUNTS)), torch.cat(expected), rtol=0, atol=1e-12
    )


def test_a_gated_expert_multiplies_by_the_silu_of_its_gate():
    tested, rows = experts(gated=True), some_rows()
    expected = []
    for expert, own in enumerate(rows.split(COUNTS)):
        gate = own @ tested.gate[expert]
        inner = gate / (1 + (-gate).exp()) * (own @ tested.up[expert])
        expected.append(inner @ tested.down[expert])
    torch.testing.assert_close(
        tested(rows, torch.tensor(COUNTS)), torch.cat(expected), rtol=0, atol=1e-12
    )


@needs_grouped_mm
@either_kind
@pytest.mark.parametrize("counts", [COUNTS, [0, 0, 9, 0, 0], [0, 2, 0, 0, 7], [1, 2, 3, 2, 1]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_grouped_experts_equal_the_loop_in_output_and_gradients(
    gated, counts, dtype, grouped_calls
):
    found, expected = (
        answers_and_gradients(
            experts(dtype, d_ff=16, gated=gated, implementation=implementation),
            some_rows(dtype),
            counts,
        )
        for implementation in ("grouped", "loop")
    )
    assert grouped_calls
    # bfloat16 has 8 bits, and the two orders of a sum differ by a few of the last one.
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {}
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **tolerance)
    empty = [expert for expert, count in enumerate(counts) if not count]
    for gradient in found[2:]:
        assert not gradient[empty].any()


@needs_grouped_mm
@pytest.mark.parametrize(
    ("dtype", "sizes", "grouped"),
    [
        (torch.float32, (8, 12), True),
        (torch.float32, (8, 13), False),
        (torch.float32, (7, 12), False),
        (torch.bfloat16, (8, 16), True),
        (torch.bfloat16, (8, 12), False),
        (torch.bfloat16, (12, 16), False),
        (torch.float64, (8, 16), False),
        (torch.float16, (8, 16), False),
    ],
    ids=str,
)
def test_grouped_is_taken_where_it_can_and_refused_where_it_cannot(
    dtype, sizes, grouped, grouped_calls
):
    rows, counts = some_rows(dtype, sizes[0]), torch.tensor(COUNTS)
    assert experts(dtype, *sizes)(rows, counts).dtype == dtype
    assert bool(grouped_calls) is grouped
    insisting = experts(dtype, *sizes, implementation="grouped")
    if grouped:
        insisting(rows, counts)
    else:
        with pytest.raises(ValueError, match=rf"{dtype}, d_model={sizes[0]}, d_ff={sizes[1]}"):
            insisting(rows, counts)


@needs_grouped_mm
def test_on_a_cpu_large_experts_take_the_loop_unless_told_otherwise(grouped_calls, monkeypatch):
    rows, counts = some_rows(torch.float32), torch.tensor(COUNTS)
    # An expert has 9 / 5 rows on average, of 12 inner results of 4 bytes: 86.4 bytes.
    for large_bytes, n_calls in ((87, 2), (86, 2)):
        monkeypatch.setattr("sparse_transformers.models.experts.networks.LARGE_BYTES", large_bytes)
        experts(torch.float32)(rows, counts)
        assert len(grouped_calls) == n_calls
    experts(torch.float32, implementation="grouped")(rows, counts)
    assert len(grouped_calls) == 4


def test_without_grouped_mm_there_is_the_loop(monkeypatch):
    monkeypatch.delattr(F, "grouped_mm", raising=False)
    rows, counts = some_rows(torch.float32), torch.tensor(COUNTS)
    loop = experts(torch.float32, implementation="loop")
    torch.testing.assert_close(experts(torch.float32)(rows, counts), loop(rows, counts))
    with pytest.raises(ValueError, match="grouped experts need torch"):
        experts(torch.float32, implementation="grouped")(rows, counts)


@either_kind
def test_gradients_of_the_loop_are_those_of_finite_differences(gated):
    tested = experts(d_model=3, d_ff=4, gated=gated)
    names = [name for name, _ in tested.named_parameters()]
    assert len(names) == 2 + gated

    def answer(rows, *weights):
        weights_by_name = dict(zip(names, weights, strict=True))
        return functional_call(tested, weights_by_name, (rows, torch.tensor([2, 0, 1, 1, 0])))

    inputs = [some_rows(d_model=3, n_rows=4), *tested.parameters()]
    assert gradcheck(answer, [each.detach().requires_grad_() for each in inputs])


@either_kind
@pytest.mark.parametrize("implementation", ["loop", "auto"])
def test_autocast_multiplies_in_bfloat16_and_keeps_float32_weights(gated, implementation):
    tested = experts(torch.float32, d_ff=16, gated=gated, implementation=implementation)
    rows, counts = some_rows(torch.float32), torch.tensor(COUNTS)
    exact = tested(rows, counts)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = tested(rows, counts)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0, atol=0.05)
    rounded.float().sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in tested.parameters())


def test_autocast_leaves_double_precision_alone():
    tested, rows = experts(torch.float64), some_rows(torch.float64)
    exact = tested(rows, torch.tensor(COUNTS))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(tested(rows, torch.tensor(COUNTS)), exact)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_no_rows_give_no_outputs(dtype):
    assert experts(dtype)(some_rows(dtype, n_rows=0), torch.zeros(5).long()).shape == (0, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"d_ff": 0}, "d_ff must be a whole number of at least 1, got 0"),
        ({"d_model": 1.5}, "d_model must be a whole number of at least 1, got 1.5"),
        ({"num_experts": 0}, "num_experts must be a whole number of at least 1, got 0"),
        ({"implementation": "fast"}, "unknown implementation 'fast'; known are auto, grouped"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Experts(**{"num_experts": 2, "d_model": 4, "d_ff": 4} | options)
