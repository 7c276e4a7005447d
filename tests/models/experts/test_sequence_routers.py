"""Routers that look at a whole sequence: experts that choose, and experts that read means."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from router_examples import gates_by_pair, hidden_states, real, router
from scipy.special import softmax


@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=3),
    num_experts=st.integers(1, 6),
    seed=st.integers(0, 9),
    data=st.data(),
)
def test_experts_select_the_tokens_of_a_sequence_with_the_highest_probabilities(
    lengths, num_experts, seed, data
):
    top_k = data.draw(st.integers(1, num_experts))
    tested = router({"name": "expert_choice", "top_k": top_k}, seed, num_experts=num_experts)
    hidden, mask = hidden_states(len(lengths), 7, seed), real(lengths, 7)
    routing = tested(hidden, mask)
    expected = {}
    for row, length in enumerate(lengths):
        scores = softmax(hidden[row, :length].numpy() @ tested.gate.weight.detach().numpy().T, -1)
        for expert in range(num_experts):
            capacity = math.ceil(top_k * length / num_experts)
            for position in np.argsort(-scores[:, expert])[:capacity]:
                expected[row * 7 + position, expert] = scores[position, expert]
    assert gates_by_pair(routing) == pytest.approx(expected, rel=1e-9)
    assert routing.n_dropped == 0
    assert len(set(routing.counts.tolist())) == 1
    pairs = list(zip(routing.experts.tolist(), routing.tokens.tolist(), strict=True))
    assert pairs == sorted(pairs)


@pytest.mark.parametrize("mask", [real([4], 9), ~real([4], 9)], ids=["right", "left"])
def test_padding_is_not_selected_even_where_all_probabilities_are_low(mask):
    tested = router({"name": "expert_choice"}, num_experts=4)
    with torch.no_grad():
        tested.gate.weight *= 1e6
    routing = tested(hidden_states(1), mask)
    assert (routing.gates == 0).any()
    assert not routing.assigned()[~mask].any()
    assert routing.counts.tolist() == [math.ceil(mask.sum() / 2)] * 4


def test_soft_experts_process_means_over_the_sequence_and_their_outputs_are_averaged():
    tested = router({"name": "soft", "slots_per_expert": 2}, num_experts=3)
    with torch.no_grad():
        tested.scale.fill_(1.7)
    hidden, lengths = hidden_states(), [9, 4]
    routing = tested(hidden, real(lengths, 9))
    inputs, counts = routing.expert_inputs(hidden.flatten(0, 1))
    assert counts.tolist() == [4, 4, 4]
    answers = hidden_states(1, 12, seed=5)[0]
    outputs = routing.token_outputs(answers).view(2, 9, 6)
    for row, length in enumerate(lengths):
        tokens = hidden[row, :length]
        logits = torch.empty(length, 3, 2, dtype=torch.float64)
        for token, expert, slot in torch.cartesian_prod(
            torch.arange(length), torch.arange(3), torch.arange(2)
        ).tolist():
            direction = tokens[token] / tokens[token].norm()
            place = tested.slots[expert, slot] / tested.slots[expert, slot].norm()
            logits[token, expert, slot] = 1.7 * direction @ place
        dispatch = logits.exp() / logits.exp().sum(0)
        combine = logits.exp() / logits.exp().sum((1, 2), keepdim=True)
        expected = torch.zeros(length, 6, dtype=torch.float64)
        for expert in range(3):
            for slot in range(2):
                at = expert * 4 + row * 2 + slot
                mixture = (dispatch[:, expert, slot, None] * tokens).sum(0)
                torch.testing.assert_close(inputs[at], mixture, rtol=0, atol=1e-12)
                expected += combine[:, expert, slot, None] * answers[at]
        torch.testing.assert_close(outputs[row, :length], expected, rtol=0, atol=1e-12)
        assert not outputs[row, length:].any()
    assert torch.equal(routing.assigned(), real(lengths, 9)[..., None].expand(2, 9, 3))


def test_padding_fills_no_slot_also_where_there_is_nothing_else():
    mask = real([9, 4, 0], 9)
    mixture = router({"name": "soft"}, num_experts=3)(hidden_states(3), mask).mixture
    assert not mixture.dispatch[~mask].any()
    sums = mixture.dispatch.sum(1).flatten(1).tolist()
    assert sums == [pytest.approx([total] * 3) for total in (1, 1, 0)]
