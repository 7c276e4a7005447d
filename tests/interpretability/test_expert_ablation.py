"""Without an expert its answers are missing and nothing else; afterwards nothing has happened."""

import numpy as np
import pytest
import torch
from torch import nn

from sparse_transformers.interpretability.expert_ablation import (
    ExpertLosses,
    expert_losses,
    without_expert,
)
from sparse_transformers.models.experts.layer import MoELayer
from sparse_transformers.utils.records import from_json, to_json

D_MODEL, VOCAB_SIZE, NUM_EXPERTS = 8, 12, 4
KIND_OF_WORD = ("noun", "verb", "name")
IDS = torch.arange(60).view(5, 12) * 7 % VOCAB_SIZE
KINDS = [KIND_OF_WORD[word % 3] for word in IDS.flatten().tolist()]


class TwoLayers(nn.Module):
    """Word w is read by expert w % 3 in both layers, so by one expert for each kind of word.

    The fourth expert reads nothing.
    """

    def __init__(self, dtype=torch.float32):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(VOCAB_SIZE, D_MODEL)
        self.dropout = nn.Dropout(0.5)
        self.first, self.second = (
            MoELayer(D_MODEL, NUM_EXPERTS, "hash", d_ff=8, vocab_size=VOCAB_SIZE) for _ in range(2)
        )
        for layer in (self.first, self.second):
            layer.router.table.copy_((torch.arange(VOCAB_SIZE) % 3)[:, None])
        self.to(dtype)

    def forward(self, input_ids):
        hidden = self.dropout(self.embedding(input_ids))
        for layer in (self.first, self.second):
            hidden = hidden + layer(hidden, input_ids=input_ids).hidden
        return hidden


def distance_from(target):
    """The loss of each token: how far its output is from what it was."""

    def losses(model):
        return (model(IDS) - target).square().sum(-1).flatten()

    return losses


@pytest.fixture(params=[torch.float32, torch.float64], ids=["grouped", "loop"])
def model(request):
    return TwoLayers(request.param)


@pytest.fixture
def target(model):
    model.eval()
    with torch.no_grad():
        return model(IDS)


def answers_by_hand(layer, hidden, output, missing):
    """The sum of gate times answer over the experts of each token but the missing one."""
    tokens, experts = hidden.flatten(0, 1), layer.experts
    expected = torch.zeros_like(tokens)
    routing = output.routing
    for token, expert, gate in zip(routing.tokens, routing.experts, routing.gates, strict=True):
        if expert != missing:
            inner = nn.functional.gelu(tokens[token] @ experts.up[expert])
            expected[token] += gate * (inner @ experts.down[expert])
    return expected.view_as(hidden)


@pytest.mark.parametrize("expert", range(NUM_EXPERTS))
def test_without_an_expert_its_answers_are_missing_and_gates_stay(expert):
    torch.manual_seed(0)
    layer = MoELayer(D_MODEL, NUM_EXPERTS, "top_k", d_ff=8).double()
    hidden = torch.randn(2, 9, D_MODEL, dtype=torch.float64)
    intact = layer(hidden)
    with without_expert(layer, expert):
        output = layer(hidden)
    assert torch.equal(output.routing.gates, intact.routing.gates)
    assert torch.equal(output.routing.experts, intact.routing.experts)
    expected = answers_by_hand(layer, hidden, output, expert)
    torch.testing.assert_close(output.hidden, expected)
    assert not torch.allclose(output.hidden, intact.hidden)


@pytest.mark.parametrize("router", ["switch", "aux_free", "expert_choice", "soft"])
def test_without_all_experts_shared_ones_are_left(router):
    torch.manual_seed(0)
    layer = MoELayer(D_MODEL, 2, router, shared_experts=1, gated=True, causal=False).eval()
    hidden = torch.randn(2, 9, D_MODEL)
    with without_expert(layer, 0), without_expert(layer, 1):
        output = layer(hidden).hidden
    shared = layer.shared(hidden.flatten(0, 1), torch.tensor([18])).view_as(hidden)
    assert torch.equal(output, shared)


def test_weights_are_what_they_were_to_the_bit_also_after_an_error(model):
    before = {name: each.clone() for name, each in model.state_dict().items()}
    with pytest.raises(KeyError), without_expert(model.first, 1):
        assert not model.first.experts.down[1].any()
        raise KeyError
    with without_expert(model.first, 1), without_expert(model.first, 1):
        pass
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert model.first.experts.down.requires_grad


def test_gradients_flow_in_the_block_and_those_from_before_stay(model):
    model(IDS).sum().backward()
    before = [each.grad.clone() for each in model.parameters()]
    with without_expert(model.first, 1):
        assert torch.is_grad_enabled()
    assert all(
        torch.equal(each.grad, old) for each, old in zip(model.parameters(), before, strict=True)
    )
    model.zero_grad()
    with without_expert(model.first, 1):
        model(IDS).sum().backward()
    assert not model.first.experts.up.grad[1].any()
    assert model.first.experts.up.grad[0].any()


def test_backward_with_other_weights_than_forward_is_refused_not_wrong(model):
    refused = {"expected_exception": RuntimeError, "match": "modified (by an )?inplace"}
    before = model(IDS).sum()
    with without_expert(model.first, 1):
        with pytest.raises(**refused):
            before.backward()
        within = model(IDS).sum()
    with pytest.raises(**refused):
        within.backward()


@pytest.mark.parametrize("expert", [-1, NUM_EXPERTS, 1.0, True])
def test_unknown_expert_is_refused(model, expert):
    message = "expert must be (below 4|a whole number of at least 0), got"
    with pytest.raises(ValueError, match=message), without_expert(model.first, expert):
        pass


def test_an_expert_matters_for_the_kind_that_it_reads_and_no_other(model, target):
    found = expert_losses(model, distance_from(target), KINDS)
    assert found.n_tokens == {"name": 20, "noun": 20, "verb": 20}
    assert found.intact == {"name": 0.0, "noun": 0.0, "verb": 0.0}
    places = [(each.layer, each.expert) for each in found.ablations]
    assert places == [(name, expert) for name in ("first", "second") for expert in range(4)]
    for each in found.ablations:
        for word, kind in enumerate(KIND_OF_WORD):
            if word == each.expert:
                assert each.deltas[kind] > 1e-3
                assert each.standard_errors[kind] > 0
            else:
                assert each.deltas[kind] == each.standard_errors[kind] == 0.0


def test_an_expert_that_reads_nothing_changes_no_bit(model, target):
    losses = distance_from(target + 0.37)
    with torch.no_grad():
        intact = losses(model)
        with without_expert(model.second, 3):
            assert torch.equal(losses(model), intact)
    found = expert_losses(model, losses, KINDS)
    for each in found.ablations:
        if each.expert == 3:
            assert each.losses == found.intact
            assert set(each.deltas.values()) == set(each.standard_errors.values()) == {0.0}


def test_losses_are_means_by_class_of_what_the_callable_returns(model, target):
    losses = distance_from(target - 0.2)
    statements = np.repeat(np.arange(20), 3)
    found = expert_losses(model, losses, KINDS, units=statements)
    with torch.no_grad():
        intact = losses(model)
        with without_expert(model.first, 2):
            without = losses(model)
    own = torch.tensor([kind == "name" for kind in KINDS])
    ablation = found.ablations[2]
    assert found.intact["name"] == pytest.approx(intact[own].mean().item(), rel=1e-6)
    assert ablation.losses["name"] == pytest.approx(without[own].mean().item(), rel=1e-6)
    change = (without - intact)[own].double()
    assert ablation.deltas["name"] == pytest.approx(change.mean().item(), rel=1e-5)
    # 20 words in 20 statements: one each, so the error is that of the mean of 20 numbers.
    assert len(set(statements[own.numpy()])) == 20
    expected = change.std().item() / 20**0.5
    assert ablation.standard_errors["name"] == pytest.approx(expected, rel=1e-5)
    assert from_json(ExpertLosses, to_json(found)) == found


def test_units_that_differ_as_a_whole_make_errors_larger(model, target):
    rows = np.repeat(np.arange(5), 12)

    def losses(model):
        return distance_from(target)(model) * (1 + 3 * torch.arange(5).repeat_interleave(12))

    by_token = expert_losses(model, losses, KINDS).ablations[0].standard_errors["noun"]
    by_row = expert_losses(model, losses, KINDS, units=rows).ablations[0].standard_errors["noun"]
    assert by_row > 1.2 * by_token


def test_nothing_is_left_behind(model, target):
    model.train()
    model.second.eval()
    model(IDS).sum().backward()
    weights = {name: each.clone() for name, each in model.state_dict().items()}
    gradients = [each.grad.clone() for each in model.parameters()]
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    draws, seen = [], []

    def losses(model):
        draws.append(torch.rand(3))
        seen.append((any(each.training for each in model.modules()), torch.is_grad_enabled()))
        return distance_from(target)(model)

    def failing(model):
        if len(draws) == 4:
            raise RuntimeError("out of memory")
        return losses(model)

    with pytest.raises(RuntimeError, match="out of memory"):
        expert_losses(model, failing, KINDS)
    for _ in range(2):
        assert modes == [module.training for module in model.modules()]
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.equal(weights[name], each) for name, each in model.state_dict().items())
        for each, old in zip(model.parameters(), gradients, strict=True):
            assert torch.equal(each.grad, old)
            assert each.requires_grad
        draws.clear()
        expert_losses(model, losses, KINDS)
    assert len(draws) == 2 + 2 * NUM_EXPERTS
    assert all(torch.equal(draw, draws[0]) for draw in draws)
    assert set(seen) == {(False, False)}
    assert torch.is_grad_enabled()


def test_model_without_experts_is_refused():
    with pytest.raises(ValueError, match="model must hold a MoELayer, got a Linear without"):
        expert_losses(nn.Linear(2, 2), distance_from(0.0), KINDS)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda: torch.zeros(59), r"a loss per class, \(60,\), got \(59,\)"),
        (lambda: torch.zeros(5, 12), r"a loss per class, \(60,\), got \(5, 12\)"),
        (lambda: 0.5, r"a loss per class, \(60,\), got float"),
        (lambda: torch.full((60,), torch.nan), "must be finite, got nan for token 0"),
        (lambda: torch.tensor([0.0] * 59 + [torch.inf]), "must be finite, got inf for token 59"),
    ],
)
def test_callable_that_gives_no_loss_per_token_is_refused(returned, message):
    with pytest.raises(ValueError, match=message):
        expert_losses(TwoLayers(), lambda model: returned(), KINDS)


def test_callable_that_reads_other_tokens_each_time_is_refused():
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="the same losses when the model is the same"):
        expert_losses(TwoLayers(), lambda model: torch.tensor(generator.random(60)), KINDS)


def test_class_of_one_unit_is_refused():
    with pytest.raises(ValueError, match="got one for 'rare'"):
        expert_losses(TwoLayers(), distance_from(0.0), ["rare", *KINDS[1:]])
