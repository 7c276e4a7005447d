"""The record of who reads what."""

import pytest
import torch
from router_examples import hidden_states

from sparse_transformers.models.experts.routing import Routing

# Token 2 of 5 is dropped, and token 4 is padding.
TOKENS, EXPERTS = torch.tensor([0, 3, 0, 1, 1]), torch.tensor([0, 0, 1, 1, 2])


def routing(gates, ranks=None):
    return Routing(
        tokens=TOKENS,
        experts=EXPERTS,
        gates=gates,
        probabilities=torch.zeros(5, 4),
        is_token=torch.tensor([[True, True, True, True, False]]),
        n_chosen=7,
        ranks=ranks,
    )


def test_counts_are_those_of_the_assignments():
    made = routing(torch.ones(5))
    assert made.num_experts == 4
    assert made.n_tokens == 4
    assert made.n_dropped == 2
    assert made.counts.tolist() == [2, 2, 1, 0]
    assert made.assigned().nonzero().tolist() == [
        [0, 0, 0],
        [0, 0, 1],
        [0, 1, 1],
        [0, 1, 2],
        [0, 3, 0],
    ]


@pytest.mark.parametrize(
    ("gates", "ranks", "first"),
    [
        ([0.2, 1.0, 0.8, 0.4, 0.6], None, [1, 2, -1, 0, -1]),
        ([0.2, 1.0, 0.8, 0.4, 0.6], [0, 0, 1, 0, 1], [1, 2, -1, 0, -1]),  # the gate decides,
        ([0.5, 0.5, 0.5, 0.5, 0.5], [1, 0, 0, 1, 0], [1, 2, -1, 0, -1]),  # between equals the rank,
        ([0.5, 0.5, 0.5, 0.5, 0.5], None, [0, 1, -1, 0, -1]),  # and without it the number
        ([0.0, 0.0, 0.0, 0.0, 0.0], None, [0, 1, -1, 0, -1]),
    ],
)
def test_first_choice_has_the_largest_gate(gates, ranks, first):
    made = routing(torch.tensor(gates), None if ranks is None else torch.tensor(ranks))
    assert made.first_choice().tolist() == [first]


@pytest.mark.parametrize("rows_at_once", [1, 2, 5, 100])
def test_outputs_add_up_for_any_number_of_rows_added_at_once(rows_at_once, monkeypatch):
    monkeypatch.setattr("sparse_transformers.models.experts.routing.ROWS_AT_ONCE", rows_at_once)
    gates, answers = hidden_states(1, 5)[0, :, 0], hidden_states(1, 5, seed=1)[0]
    expected = torch.zeros(5, 6, dtype=torch.float64)
    for token, gate, answer in zip(TOKENS, gates, answers, strict=True):
        expected[token] += gate * answer
    torch.testing.assert_close(routing(gates).token_outputs(answers), expected)

    def outputs(gates, answers):
        return routing(gates).token_outputs(answers)

    inputs = gates.clone().requires_grad_(), answers.clone().requires_grad_()
    assert torch.autograd.gradcheck(outputs, inputs)


def test_experts_read_their_tokens_one_expert_after_the_other():
    hidden = hidden_states(1, 5)[0]
    rows, counts = routing(torch.ones(5)).expert_inputs(hidden)
    assert torch.equal(rows, hidden[TOKENS])
    assert counts.tolist() == [2, 2, 1, 0]
