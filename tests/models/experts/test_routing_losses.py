"""The losses of a router against closed forms, numpy and simulation."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from router_examples import hidden_states, ids, layer, real, router
from scipy.stats import norm

from sparse_transformers.models.experts.layer import expert_loss, record_experts
from sparse_transformers.models.experts.losses import (
    balance_loss,
    expected_load,
    router_z_loss,
    sequence_balance_loss,
    squared_variation,
)

EXACT = {"rel": 1e-12, "abs": 1e-12}


def random_choice(n_tokens, num_experts, top_k, seed=0):
    """Probabilities, and experts that have nothing to do with them."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n_tokens, num_experts, generator=generator, dtype=torch.float64)
    shuffled = torch.rand(n_tokens, num_experts, generator=generator).argsort(-1)
    return logits.softmax(-1), shuffled[:, :top_k]


@pytest.mark.parametrize("top_k", [1, 2, 3, 6])
def test_balance_of_uniform_routing_is_1(top_k):
    probabilities = torch.full((12, 6), 1 / 6, dtype=torch.float64)
    experts = (torch.arange(12)[:, None] + torch.arange(top_k)) % 6
    assert balance_loss(probabilities, experts).item() == pytest.approx(1, **EXACT)


@pytest.mark.parametrize("num_experts", [1, 2, 7])
def test_balance_of_collapse_is_the_number_of_experts(num_experts):
    certain = torch.zeros(10, num_experts, dtype=torch.float64)
    certain[:, -1] = 1
    experts = torch.full((10, 1), num_experts - 1)
    assert balance_loss(certain, experts).item() == pytest.approx(num_experts, **EXACT)


def test_balance_equals_the_sum_over_experts():
    probabilities, experts = random_choice(20, 7, 3)
    expected = 0.0
    for expert in range(7):
        frequency = sum((row == expert).sum().item() for row in experts) / (3 * 20)
        expected += 7 * frequency * probabilities[:, expert].mean().item()
    assert balance_loss(probabilities, experts).item() == pytest.approx(expected, **EXACT)


@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    num_experts=st.integers(1, 5),
    data=st.data(),
)
def test_sequence_balance_is_the_mean_of_the_balance_of_each_sequence(lengths, num_experts, data):
    top_k = data.draw(st.integers(1, num_experts))
    probabilities, experts = random_choice(sum(lengths), num_experts, top_k)
    sequence = torch.repeat_interleave(torch.tensor(lengths))
    parts = zip(probabilities.split(lengths), experts.split(lengths), strict=True)
    by_itself = [balance_loss(*part).item() for part in parts if len(part[0])]
    expected = np.mean(by_itself) if by_itself else 0.0
    loss = sequence_balance_loss(probabilities, experts, sequence).item()
    assert loss == pytest.approx(expected, **EXACT)


def test_z_loss_is_the_mean_squared_log_sum_exp():
    logits = hidden_states()[0]
    expected = np.mean([np.log(np.exp(row).sum()) ** 2 for row in logits.numpy()])
    assert router_z_loss(logits).item() == pytest.approx(expected, **EXACT)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=9))
def test_squared_variation_is_that_of_numpy(amounts):
    expected = (np.std(amounts) / np.mean(amounts)) ** 2
    value = squared_variation(torch.tensor(amounts, dtype=torch.float64)).item()
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_amounts_that_do_not_vary_have_no_variation():
    for amounts in (torch.zeros(4), torch.full((4,), 3.0), torch.tensor([2.0])):
        amounts.requires_grad_()
        loss = squared_variation(amounts)
        loss.backward()
        assert loss.item() == 0
        assert torch.isfinite(amounts.grad).all()


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_expected_load_is_how_often_an_expert_wins_when_only_its_own_noise_is_drawn_anew(top_k):
    generator = torch.Generator().manual_seed(0)
    clean, drawn = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    std = 0.3 + torch.rand(3, 5, generator=generator, dtype=torch.float64)
    noisy = clean + drawn * std
    n_draws = 40_000
    load = torch.zeros(5, dtype=torch.float64)
    for token in range(3):
        for expert in range(5):
            logits = noisy[token].repeat(n_draws, 1)
            noise = torch.randn(n_draws, generator=generator, dtype=torch.float64)
            logits[:, expert] = clean[token, expert] + noise * std[token, expert]
            load[expert] += (logits.topk(top_k).indices == expert).any(1).double().mean()
    # Three times the standard deviation of a sum of three shares over 40,000 draws is below 0.014.
    torch.testing.assert_close(expected_load(clean, noisy, std, top_k), load, rtol=0, atol=0.014)


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_expected_load_is_the_probability_to_pass_the_kth_best_of_the_others(top_k):
    clean, drawn, std = hidden_states(3, 6, d_model=4).abs()
    noisy = clean + drawn * std
    load = np.zeros(4)
    for token, expert in np.ndindex(6, 4):
        others = sorted(noisy[token].tolist()[:expert] + noisy[token].tolist()[expert + 1 :])
        load[expert] += norm(clean[token, expert], std[token, expert]).sf(others[-top_k])
    found = expected_load(clean, noisy, std, top_k)
    np.testing.assert_allclose(found.numpy(), load, rtol=0, atol=1e-12)


def test_experts_that_are_all_chosen_have_every_token():
    load = expected_load(*torch.zeros(3, 4, 2, dtype=torch.float64), top_k=2)
    assert load.tolist() == [4, 4]


@pytest.mark.parametrize("name", ["balance", "sequence_balance", "z", "importance", "load"])
def test_losses_have_the_gradient_of_finite_differences(name):
    tested = router({"name": "noisy_top_k"}).train()

    def loss(hidden):
        torch.manual_seed(1)
        return tested(hidden, real([4, 2], 4)).losses[name]

    assert torch.autograd.gradcheck(loss, hidden_states(2, 4).requires_grad_())


@pytest.mark.parametrize("name", ["balance", "sequence_balance", "z", "importance", "load"])
def test_padding_is_no_part_of_a_loss(name):
    tested = router({"name": "noisy_top_k"}).train()
    hidden, mask = hidden_states(3, 8), real([8, 3, 0], 8)
    losses = []
    for padding in (0.0, 100.0):
        torch.manual_seed(1)
        losses.append(tested(hidden.where(mask[..., None], padding), mask).losses[name].item())
    torch.manual_seed(1)
    alone = torch.cat([hidden[0], hidden[1, :3]])
    together = tested(alone[None], torch.ones(1, 11, dtype=torch.bool)).losses[name].item()
    assert losses[0] == losses[1]
    if name != "sequence_balance":
        assert losses[0] == pytest.approx(together, **EXACT)


def test_importance_is_the_variation_of_the_summed_gates():
    routing = router({"name": "top_k"})(hidden_states(), real([9, 4], 9))
    gates = np.zeros(5)
    np.add.at(gates, routing.experts.numpy(), routing.gates.detach().numpy())
    expected = (gates.std() / gates.mean()) ** 2
    assert routing.losses["importance"].item() == pytest.approx(expected, **EXACT)


def test_a_full_expert_hides_nothing_from_the_losses():
    hidden, mask = hidden_states(), real([9, 9], 9)
    free, full = ({"name": "top_k", "capacity_factor": factor} for factor in (None, 0.2))
    losses = [router(options).train()(hidden, mask).losses for options in (free, full)]
    assert losses[0] == losses[1]


def test_layers_are_balanced_one_by_one():
    # One layer sends all to expert 0, the other all to expert 1: pooled, that would be balanced.
    weights = {"loss_weights": {"balance": 1.0}, "num_experts": 2}
    layers = torch.nn.ModuleDict({f"{i}": layer({"name": "switch"}, **weights) for i in range(2)})
    hidden = hidden_states().abs()
    with torch.no_grad():
        for expert in range(2):
            gate = layers[f"{expert}"].router.gate.weight
            gate.zero_()
            gate[expert] = 100
    with record_experts(layers) as outputs:
        for each in layers.values():
            each(hidden, input_ids=ids())
    assert expert_loss(outputs).item() == pytest.approx(2)
