"""Every router against a loop over its tokens."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from router_examples import (
    NUM_EXPERTS,
    ROUTER_EXAMPLES,
    TOKEN_CHOICE,
    VOCAB_SIZE,
    gates_by_pair,
    hidden_states,
    ids,
    layer,
    real,
    router,
)

from sparse_transformers.models.experts.routers import (
    ROUTERS,
    AuxFreeRouter,
    HashRouter,
    NoisyTopKRouter,
    SwitchRouter,
    TopKRouter,
    make_router,
)

token_choice = pytest.mark.parametrize("options", TOKEN_CHOICE.values(), ids=TOKEN_CHOICE.keys())
MASK = real([9, 4], 9)
SIZES = {"d_model": 6, "num_experts": 5, "vocab_size": VOCAB_SIZE}


def softmax(logits):
    total = sum(math.exp(logit) for logit in logits)
    return [math.exp(logit) / total for logit in logits]


def best(scores, count):
    return sorted(range(len(scores)), key=lambda expert: -scores[expert])[:count]


def loop_choice(router, logits, token_id):
    """The gate of each chosen expert, the best first, and what the router thinks of all."""
    match router:
        case TopKRouter(softmax="before") | SwitchRouter():
            probabilities = softmax(logits)
            chosen = best(probabilities, router.top_k)
            return {expert: probabilities[expert] for expert in chosen}, probabilities
        case TopKRouter() | NoisyTopKRouter():
            chosen = best(logits, router.top_k)
            gates = softmax([logits[expert] for expert in chosen])
            return dict(zip(chosen, gates, strict=True)), softmax(logits)
        case AuxFreeRouter():
            scores = [1 / (1 + math.exp(-logit)) for logit in logits]
            biased = [score + bias.item() for score, bias in zip(scores, router.bias, strict=True)]
            chosen = best(biased, router.top_k)
            total = sum(scores[expert] for expert in chosen) if len(chosen) > 1 else 1.0
            thinks = [score / sum(scores) for score in scores]
            return {expert: scores[expert] / total for expert in chosen}, thinks
        case HashRouter():
            chosen = router.table[token_id].tolist()
            gates = dict.fromkeys(chosen, 1 / router.top_k)
            return gates, [gates.get(expert, 0.0) for expert in range(router.num_experts)]


def loop_logits(router, token):
    if isinstance(router, HashRouter):
        return None
    return [
        sum(weight * value for weight, value in zip(row, token.tolist(), strict=True))
        for row in router.gate.weight.tolist()
    ]


def test_every_router_has_an_example():
    assert {options["name"] for options in ROUTER_EXAMPLES.values()} == set(ROUTERS)


@token_choice
def test_choice_equals_a_loop_over_tokens(options):
    tested, hidden, tokens = router(options), hidden_states(), ids()
    routing = tested(hidden, MASK, tokens)
    gates, first = {}, []
    for place in range(18):
        row, position = divmod(place, 9)
        if not MASK[row, position]:
            assert not routing.probabilities[place].any()
            first.append(-1)
            continue
        chosen, thinks = loop_choice(
            tested, loop_logits(tested, hidden[row, position]), tokens[row, position]
        )
        gates |= {(place, expert): gate for expert, gate in chosen.items()}
        first.append(max(chosen, key=chosen.get))  # of equal gates, the one chosen first
        assert routing.probabilities[place].tolist() == pytest.approx(thinks, rel=1e-12)
    assert gates_by_pair(routing) == pytest.approx(gates, rel=1e-12)
    pairs = list(zip(routing.experts.tolist(), routing.tokens.tolist(), strict=True))
    assert pairs == sorted(pairs)
    assert routing.first_choice().flatten().tolist() == first
    assert routing.assigned().flatten(0, 1).nonzero().tolist() == sorted(map(list, gates))


@given(
    name=st.sampled_from([options["name"] for options in TOKEN_CHOICE.values()]),
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=3),
    num_experts=st.integers(1, 6),
    training=st.booleans(),
    seed=st.integers(0, 9),
    data=st.data(),
)
def test_every_real_token_gets_top_k_different_experts(
    name, lengths, num_experts, training, seed, data
):
    options = {"name": name}
    if name != "switch":
        options["top_k"] = data.draw(st.integers(1, num_experts))
    tested = router(options, seed, num_experts=num_experts).train(training)
    mask = real(lengths, 7)
    routing = tested(hidden_states(len(lengths), 7, seed), mask, ids(len(lengths), 7, seed))
    assert torch.equal(routing.assigned().sum(-1), mask * tested.top_k)
    assert len(gates_by_pair(routing)) == routing.n_chosen == sum(lengths) * tested.top_k
    assert routing.n_dropped == 0
    assert routing.n_tokens == sum(lengths)
    assert torch.equal(routing.counts, routing.assigned().sum((0, 1)))
    sums = torch.zeros(mask.numel(), dtype=torch.float64)
    sums = sums.index_add(0, routing.tokens, routing.gates)
    assert (sums <= 1 + 1e-12).all()
    if tested.top_k > 1 or name in ("hash", "noisy_top_k"):
        torch.testing.assert_close(sums, mask.flatten().double())
    torch.testing.assert_close(routing.probabilities.sum(-1), mask.flatten().double())


@token_choice
def test_training_draws_nothing_but_noise_and_that_from_the_global_generator(options):
    tested, hidden = router(options), hidden_states()
    clean = gates_by_pair(tested(hidden, MASK, ids()))
    tested.train()
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(gates_by_pair(tested(hidden, MASK, ids())))
    assert drawn[0] == drawn[1]
    noisy = options["name"] == "noisy_top_k"
    assert (drawn[1] != drawn[2]) is noisy
    assert (drawn[0] != clean) is noisy


@pytest.mark.parametrize("name", ["top_k", "aux_free"])
def test_router_of_a_single_expert_learns_from_the_task(name):
    made = layer({"name": name, "top_k": 1})
    made(hidden_states()).hidden.square().sum().backward()
    assert made.router.gate.weight.grad.abs().max() > 1e-6


def test_noise_is_as_large_as_the_router_has_learned():
    tested, hidden = router({"name": "noisy_top_k"}).train(), hidden_states()
    torch.manual_seed(3)
    found = gates_by_pair(tested(hidden, MASK))
    torch.manual_seed(3)
    noise = iter(torch.randn(13, NUM_EXPERTS, dtype=torch.float64))
    expected = {}
    for place in MASK.flatten().nonzero().flatten().tolist():
        token = hidden.view(18, -1)[place]
        std = (1 + (tested.noise.weight @ token).exp()).log() + 1e-2
        logits = tested.gate.weight @ token + next(noise) * std
        chosen, _ = loop_choice(tested, logits.tolist(), None)
        expected |= {(place, expert): gate for expert, gate in chosen.items()}
    assert found == pytest.approx(expected, rel=1e-9)


def test_noise_is_no_part_of_the_size_of_the_logits():
    tested, hidden = router({"name": "noisy_top_k"}), hidden_states()
    clean = tested(hidden, MASK).losses["z"]
    assert torch.equal(tested.train()(hidden, MASK).losses["z"], clean)


def test_jitter_moves_what_the_gate_reads_by_at_most_its_share():
    tested = router({"name": "switch", "jitter": 0.2}).train()
    hidden = torch.ones(1, 4000, 6, dtype=torch.float64)
    mask = torch.ones(1, 4000, dtype=torch.bool)
    with torch.no_grad():
        tested.gate.weight.zero_()
        tested.gate.weight[0, 0] = 1  # the logit of expert 0 is the jittered 1
    drawn = tested(hidden, mask).probabilities[:, 0].logit() + math.log(NUM_EXPERTS - 1)
    assert drawn.min().item() == pytest.approx(0.8, abs=0.001)
    assert drawn.max().item() == pytest.approx(1.2, abs=0.001)
    assert drawn.std().item() == pytest.approx(0.4 / math.sqrt(12), rel=0.05)
    tested.eval()
    assert tested(hidden, mask).probabilities[:, 0].std() < 1e-15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("best", "unknown router 'best'; known are top_k, switch"),
        ({"top_k": 2}, "unknown router None"),
        (3, "router must be a name, a dictionary or a Router, got 3"),
        ({"name": "switch", "top_k": 2}, "router 'switch' does not take top_k; it takes jitter"),
        ({"name": "top_k", "d_model": 9}, "router 'top_k' does not take d_model"),
        ({"name": "top_k", "top_k": 6}, r"top_k must be at most num_experts \(5\), got 6"),
        ({"name": "expert_choice", "top_k": 6}, r"must be at most num_experts \(5\), got 6"),
        ({"name": "top_k", "top_k": 0}, "top_k must be a whole number of at least 1, got 0"),
        ({"name": "top_k", "softmax": "never"}, "unknown softmax 'never'; known are before, after"),
        ({"name": "top_k", "capacity_factor": 0}, "capacity_factor must be above 0 or None, got 0"),
        ({"name": "switch", "jitter": 1.0}, "jitter must be at least 0 and below 1, got 1.0"),
        ({"name": "aux_free", "bias_step": -1}, "bias_step must be at least 0, got -1"),
        ({"name": "aux_free", "bias_step": math.nan}, "bias_step must be at least 0, got nan"),
        ({"name": "soft", "slots_per_expert": 0}, "slots_per_expert must be a whole number"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_router(options, **SIZES)
