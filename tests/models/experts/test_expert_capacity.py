"""Experts with a capacity: they process a limited number of tokens, the earliest ones."""

import math
from collections import Counter
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from router_examples import (
    TOKEN_CHOICE,
    VOCAB_SIZE,
    gates_by_pair,
    hidden_states,
    ids,
    layer,
    real,
    router,
)

from sparse_transformers.models.experts.router import arrivals, expert_capacity

token_choice = pytest.mark.parametrize("options", TOKEN_CHOICE.values(), ids=TOKEN_CHOICE.keys())


def route(options, hidden, mask, tokens, seed=0, num_experts=5):
    """What a router in training does; its noise, if any, is the same in every call."""
    tested = router(options, seed, num_experts=num_experts).train()
    torch.manual_seed(seed)
    return tested(hidden, mask, tokens)


@given(
    label=st.sampled_from(list(TOKEN_CHOICE)),
    factor=st.sampled_from(["0.1", "0.3", "0.5", "1", "1.1", "1.25", "2"]),
    lengths=st.lists(st.integers(0, 11), min_size=1, max_size=3),
    num_experts=st.integers(3, 6),
    seed=st.integers(0, 9),
)
def test_full_experts_drop_the_later_tokens(label, factor, lengths, num_experts, seed):
    options, mask = TOKEN_CHOICE[label], real(lengths, 11)
    inputs = hidden_states(len(lengths), 11, seed), mask, ids(len(lengths), 11, seed)
    free = route(options, *inputs, seed, num_experts)
    limited = options | {"capacity_factor": float(factor)}
    found = route(limited, *inputs, seed, num_experts)

    expected, gates = {}, gates_by_pair(free)
    top_k = options.get("top_k", {"switch": 1}.get(options["name"], 2))
    for row, length in enumerate(lengths):
        capacity = math.ceil(Fraction(factor) * top_k * length / num_experts)
        taken = Counter()
        for token, expert in sorted(gates):
            if token // 11 == row and taken[expert] < capacity:
                taken[expert] += 1
                expected[token, expert] = gates[token, expert]
    assert gates_by_pair(found) == expected
    assert found.n_chosen == len(gates)
    assert found.n_dropped == len(gates) - len(expected)


@pytest.mark.parametrize(
    ("factor", "top_k", "n_tokens", "num_experts", "capacity"),
    [
        (1.0, 1, 8, 4, 2),
        (1.25, 1, 8, 4, 3),
        (1.25, 2, 512, 8, 160),
        (1.1, 1, 100, 10, 11),  # 11.000000000000002 in binary fractions
        (0.1, 3, 10, 3, 1),
        (0.01, 1, 5, 8, 1),
        (9.0, 2, 8, 4, 8),  # never more than there are
        (math.inf, 2, 8, 4, 8),
        (1.0, 1, 0, 4, 0),
    ],
)
def test_capacity_is_the_share_rounded_up(factor, top_k, n_tokens, num_experts, capacity):
    mask = real([n_tokens], max(1, n_tokens))
    assert expert_capacity(mask, num_experts, top_k, factor).tolist() == [capacity]


@given(st.lists(st.integers(0, 4), max_size=20))
def test_arrivals_count_the_earlier_ones_in_the_same_queue(queues):
    expected = [queues[:place].count(queue) for place, queue in enumerate(queues)]
    assert arrivals(torch.tensor(queues, dtype=torch.long)).tolist() == expected


@token_choice
@pytest.mark.parametrize("factor", [5.0, math.inf])
def test_capacity_for_all_tokens_drops_none(options, factor):
    inputs = hidden_states(), real([9, 4], 9), ids()
    free, roomy = (
        gates_by_pair(route(options | {"capacity_factor": each}, *inputs))
        for each in (None, factor)
    )
    assert roomy == free


@token_choice
def test_nothing_is_dropped_in_evaluation(options):
    limited = router(options | {"capacity_factor": 0.2})
    inputs = hidden_states(), real([9, 4], 9), ids()
    assert gates_by_pair(limited(*inputs)) == gates_by_pair(router(options)(*inputs))
    assert limited.train()(*inputs).n_dropped > 0


def test_dropped_tokens_get_nothing_from_the_layer():
    tested = layer({"name": "switch", "capacity_factor": 0.2}).train()
    output = tested(hidden_states())
    dropped = ~output.routing.assigned().any(-1)
    assert dropped.sum() == output.routing.n_dropped > 0
    assert not output.hidden[dropped].any()
    assert output.hidden[~dropped].any(-1).all()
    assert (output.routing.first_choice()[dropped] == -1).all()


@pytest.mark.parametrize("label", sorted(set(TOKEN_CHOICE) - {"noisy top 2"}))
def test_sequences_do_not_compete(label):
    options = TOKEN_CHOICE[label]  # not the noisy one: its noise is drawn for the whole batch
    limited = options | {"capacity_factor": 0.5}
    together = route(limited, hidden_states(3), real([9, 9, 9], 9), ids(3)).assigned()
    for row in range(3):
        alone = route(limited, hidden_states(3)[row, None], real([9], 9), ids(3)[row, None])
        assert torch.equal(alone.assigned()[0], together[row])


@token_choice
def test_later_tokens_change_no_earlier_output_in_training(options):
    tested = layer(options | {"capacity_factor": 0.5}).train()

    def outputs(hidden, tokens):
        torch.manual_seed(3)
        return tested(hidden, input_ids=tokens)

    hidden, tokens = hidden_states(), ids()
    before = outputs(hidden, tokens)
    assert before.routing.n_dropped > 0
    for cut in range(1, 9):
        for last in (cut + 1, 9):  # one token, or all that follow
            other_hidden, other_tokens = hidden.clone(), tokens.clone()
            other_hidden[:, cut:last] = hidden_states(seed=cut)[:, cut:last]
            other_tokens[:, cut:last] = (tokens[:, cut:last] + cut) % VOCAB_SIZE
            after = outputs(other_hidden, other_tokens)
            # Not equal to the last bit: experts multiply other numbers of rows.
            torch.testing.assert_close(
                after.hidden[:, :cut], before.hidden[:, :cut], rtol=0, atol=1e-12
            )
