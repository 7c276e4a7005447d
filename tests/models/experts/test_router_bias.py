"""The bias that balances without a loss: what it does, and what it must have no part in."""

import pytest
import torch
from router_examples import NUM_EXPERTS, gates_by_pair, hidden_states, real, router

from sparse_transformers.models.experts.layer import MoELayer, update_routers
from sparse_transformers.models.experts.routers import AuxFreeRouter

MASK = real([9, 4], 9)


def test_bias_selects_and_has_no_part_in_the_gates():
    tested = router({"name": "aux_free", "top_k": 1}).requires_grad_(False)
    for expert in range(NUM_EXPERTS):
        tested.bias.zero_()
        tested.bias[expert] = 10
        routing = tested(hidden_states(), MASK)
        assert set(routing.experts.tolist()) == {expert}
        scores = tested.gate(hidden_states()).sigmoid()[..., expert][MASK]
        torch.testing.assert_close(routing.gates, scores)
    pair = router({"name": "aux_free", "top_k": NUM_EXPERTS})
    biased = gates_by_pair(pair(hidden_states(), MASK))
    pair.bias.zero_()
    assert gates_by_pair(pair(hidden_states(), MASK)) == pytest.approx(biased, rel=1e-12)


def test_bias_gets_no_gradient_and_is_saved():
    tested = router({"name": "aux_free"}).train()
    routing = tested(hidden_states(), MASK)
    (routing.gates.square().sum() + sum(routing.losses.values())).backward()
    assert tested.gate.weight.grad.abs().sum() > 0
    assert not tested.bias.requires_grad
    assert tested.bias.grad is None
    assert set(tested.state_dict()) == {"bias", "gate.weight"}
    assert [name for name, _ in tested.named_parameters()] == ["gate.weight"]


def test_bias_moves_one_step_towards_experts_below_the_mean_since_the_last():
    tested = router({"name": "aux_free", "bias_step": 0.25}).train()
    tested.bias.zero_()
    counts = torch.zeros(NUM_EXPERTS, dtype=torch.long)
    for seed in range(3):  # as in accumulation: several batches make one step
        of_batch = tested(hidden_states(seed=seed), MASK).counts
        counts += of_batch
    tested.after_optimizer_step()
    expected = 0.25 * (counts.double().mean() - counts).sign()
    assert not torch.equal(expected, 0.25 * (of_batch.double().mean() - of_batch).sign())
    torch.testing.assert_close(tested.bias, expected)
    tested.after_optimizer_step()  # no tokens since: nothing is above or below
    torch.testing.assert_close(tested.bias, expected)


def test_equal_counts_leave_the_bias_alone():
    tested = AuxFreeRouter(1, 3, 1)
    tested.counts += 7
    tested.after_optimizer_step()
    assert not tested.bias.any()


def test_evaluation_does_not_count():
    tested = router({"name": "aux_free"})
    before = tested.bias.clone()
    tested(hidden_states(), MASK)
    tested.after_optimizer_step()
    assert torch.equal(tested.bias, before)


def test_bias_balances_a_skewed_router():
    torch.manual_seed(0)
    layer = MoELayer(6, 4, {"name": "aux_free", "top_k": 1, "bias_step": 0.01}).train()
    hidden = torch.cat([hidden_states(8, 64, d_model=5), torch.ones(8, 64, 1).double()], -1).float()
    with torch.no_grad():
        layer.router.gate.weight[:, 5] = torch.tensor([4.0, 1.0, 0.0, -1.0])  # whatever the token
    largest = []
    for _ in range(150):
        with torch.no_grad():
            largest.append(layer(hidden).routing.counts.max().item() / 512)
        update_routers(layer)
    assert largest[0] > 0.9
    assert max(largest[-20:]) < 0.35  # of 0.25 at best


def test_gates_stay_numbers_where_every_sigmoid_vanishes():
    tested = AuxFreeRouter(6, 4, 2)
    with torch.no_grad():
        tested.gate.weight.fill_(-100)
        tested.gate.weight[1] = -100.1
    routing = tested(torch.ones(1, 3, 6), torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(routing.probabilities.sum(-1), torch.ones(3))
    assert (routing.gates >= 0).all()
    assert routing.gates.sum().item() == pytest.approx(3)


def test_counts_stay_exact_in_half_precision():
    tested = AuxFreeRouter(6, 2, 2).bfloat16().train()
    for _ in range(3):
        tested(torch.zeros(1, 301, 6).bfloat16(), torch.ones(1, 301, dtype=torch.bool))
    assert tested.counts.tolist() == [903, 903]
