"""What makes experts fast: it is taken where it should be, and changes no number."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from sparse_transformers.models.experts import networks as experts_module
from sparse_transformers.models.experts import routing as routing_module
from sparse_transformers.models.experts.layer import MoELayer
from sparse_transformers.models.experts.networks import Experts

needs_grouped_mm = pytest.mark.skipif(
    not hasattr(F, "grouped_mm"), reason="torch.nn.functional.grouped_mm came with torch 2.10"
)


class Operations(TorchDispatchMode):
    """Notes the names of all operations, those of the backward pass included."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function.__name__.split(".")[0])
        return function(*args, **(kwargs or {}))


def operations_of(experts, rows, counts):
    with Operations() as operations:
        experts(rows, torch.tensor(counts)).sum().backward()
    return operations.names


@needs_grouped_mm
@pytest.mark.parametrize(("n_rows", "grouped"), [(32, True), (34, False)])
def test_large_experts_on_a_cpu_take_the_loop(n_rows, grouped, monkeypatch):
    # 32 rows for 2 experts with 8 numbers of 4 bytes inside: 512 bytes for each.
    monkeypatch.setattr(experts_module, "LARGE_BYTES", 512)
    counts = [n_rows - 5, 5]
    rows = torch.randn(n_rows, 4, generator=torch.Generator().manual_seed(0))

    assert ("_grouped_mm" in operations_of(Experts(2, 4, 8), rows, counts)) is grouped
    named = Experts(2, 4, 8, implementation="grouped")
    assert "_grouped_mm" in operations_of(named, rows, counts)


@needs_grouped_mm
@pytest.mark.parametrize(
    "reorder",
    [
        lambda rows: rows,
        lambda rows: rows.T.contiguous().T,
        lambda rows: rows.repeat(1, 2)[:, 3:11],
    ],
    ids=["row by row", "column by column", "with gaps"],
)
def test_grouped_experts_take_rows_and_gradients_however_they_lie_in_memory(reorder):
    torch.manual_seed(0)
    experts = Experts(2, 8, 16, implementation="grouped")
    rows, counts = torch.randn(9, 8), torch.tensor([5, 4])
    found = []
    for each in (reorder(rows), reorder(rows).contiguous()):
        each.requires_grad_()
        answers = experts(each, counts)
        # The gradient of the sum is one number that is seen everywhere.
        found.append([answers, *torch.autograd.grad(answers.sum(), [each, experts.up])])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("gated", [False, True], ids=["plain", "gated"])
def test_no_expert_has_a_gradient_of_the_size_of_all_weights(gated):
    experts = Experts(3, 4, 8, gated=gated, implementation="loop")
    assert "select_backward" not in operations_of(experts, torch.randn(6, 4), [3, 0, 3])
    assert all(weight.grad[0].any() for weight in experts.parameters())
    assert not any(weight.grad[1].any() for weight in experts.parameters())


def test_outputs_added_up_in_parts_equal_those_added_up_at_once(monkeypatch):
    torch.manual_seed(0)
    layer = MoELayer(8, 4, d_ff=16).double()
    tokens = torch.randn(2, 9, 8).double()
    is_token = torch.arange(9) < torch.tensor([[9], [6]])

    def output_and_gradients(n_rows):
        monkeypatch.setattr(routing_module, "ROWS_AT_ONCE", n_rows)
        hidden = tokens.clone().requires_grad_()
        layer.zero_grad()
        output = layer(hidden, is_token).hidden
        output.square().sum().backward()
        return [output, hidden.grad, *(weight.grad.clone() for weight in layer.parameters())]

    at_once = output_and_gradients(1000)
    for n_rows in (1, 7, 30):  # there are 30 answers
        for found, expected in zip(output_and_gradients(n_rows), at_once, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
