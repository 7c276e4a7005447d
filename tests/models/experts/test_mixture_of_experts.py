"""The layer against dense layers, and what no router may change."""

import pytest
import torch
from router_examples import (
    NUM_EXPERTS,
    ROUTER_EXAMPLES,
    TOKEN_CHOICE,
    gates_by_pair,
    hidden_states,
    ids,
    layer,
    real,
    router,
)
from torch import nn
from torch.autograd import gradcheck
from torch.func import functional_call

from sparse_transformers.models.experts.layer import MoELayer, update_routers
from sparse_transformers.models.experts.routers import ROUTERS, ExpertChoiceRouter, SwitchRouter
from sparse_transformers.models.feed_forward import FeedForward

every_router = pytest.mark.parametrize(
    "options", ROUTER_EXAMPLES.values(), ids=ROUTER_EXAMPLES.keys()
)
EXACT = {"rtol": 0, "atol": 1e-12}


@pytest.mark.parametrize("options", TOKEN_CHOICE.values(), ids=TOKEN_CHOICE.keys())
def test_identical_experts_are_one_dense_layer_times_the_sum_of_the_gates(options):
    tested = layer(options)
    with torch.no_grad():
        for weight in tested.experts.parameters():
            weight[:] = weight[0].clone()
    dense = FeedForward(6, 7).double()
    up, down = (weight[0].T for weight in (tested.experts.up, tested.experts.down))
    dense.load_state_dict({"up.weight": up, "down.weight": down})
    output = tested(hidden_states(), input_ids=ids())
    gates = torch.zeros(18, dtype=torch.float64)
    gates = gates.index_add(0, output.routing.tokens, output.routing.gates).view(2, 9, 1)
    torch.testing.assert_close(output.hidden, gates * dense(hidden_states()), **EXACT)
    if tested.router.top_k > 1 and options.get("softmax") != "before":
        torch.testing.assert_close(output.hidden, dense(hidden_states()), **EXACT)


@pytest.mark.parametrize("label", sorted(set(ROUTER_EXAMPLES) - {"soft"}))
@pytest.mark.parametrize("gated", [False, True], ids=["plain", "gated"])
def test_output_is_the_sum_of_the_experts_outputs_times_their_gates(label, gated):
    options = ROUTER_EXAMPLES[label]
    tested, hidden = layer(options, gated=gated), hidden_states()
    output = tested(hidden, real([9, 4], 9), ids())
    expected = torch.zeros(18, 6, dtype=torch.float64)
    for token, expert, gate in zip(
        output.routing.tokens, output.routing.experts, output.routing.gates, strict=True
    ):
        counts = nn.functional.one_hot(expert, NUM_EXPERTS)
        expected[token] += gate * tested.experts(hidden.view(18, 6)[token, None], counts)[0]
    torch.testing.assert_close(output.hidden.view(18, 6), expected, **EXACT)


@every_router
def test_output_does_not_depend_on_the_order_of_the_tokens(options):
    tested, order = layer(options), torch.randperm(9, generator=torch.Generator().manual_seed(0))
    output = tested(hidden_states(), input_ids=ids())
    shuffled = tested(hidden_states()[:, order], input_ids=ids()[:, order])
    torch.testing.assert_close(shuffled.hidden, output.hidden[:, order], **EXACT)
    torch.testing.assert_close(shuffled.loss, output.loss, **EXACT)


@every_router
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_padding_changes_nothing_and_gets_zeros(options, training):
    if options in TOKEN_CHOICE.values():
        options = options | {"capacity_factor": 0.5}
    # A batch and its rows would draw different noise.
    training = training and options["name"] != "noisy_top_k"
    tested, lengths = layer(options).train(training), [9, 4, 0, 1]
    mask = real(lengths, 9)
    hidden = hidden_states(4).where(mask[..., None], 50.0).requires_grad_()
    output = tested(hidden, mask, ids(4).where(mask, -100))
    output.hidden.square().sum().backward()
    assert not hidden.grad[~mask].any()
    for row, length in enumerate(lengths):
        assert not output.hidden[row, length:].any()
        if length:
            alone = tested(hidden[row : row + 1, :length], input_ids=ids(4)[row : row + 1, :length])
            torch.testing.assert_close(output.hidden[row, :length], alone.hidden[0], **EXACT)


@every_router
@pytest.mark.parametrize("shape", [(0, 9), (2, 0), (0, 0)], ids=str)
def test_no_tokens_give_no_tokens(options, shape):
    tested = layer(options, shared_experts=1).train()
    hidden = torch.empty(*shape, 6, dtype=torch.float64, requires_grad=True)
    output = tested(hidden, input_ids=torch.empty(shape, dtype=torch.long))
    assert output.hidden.shape == hidden.shape
    assert output.loss.item() == 0
    (output.hidden.sum() + output.loss).backward()


@every_router
def test_padding_alone_gives_zeros_and_gradients_that_are_numbers(options):
    tested = layer(options).train()
    output = tested(hidden_states().requires_grad_(), real([0, 0], 9), ids())
    (output.hidden.sum() + output.loss).backward()
    assert not output.hidden.any()
    assert output.loss.item() == output.routing.n_tokens == 0
    update_routers(tested)
    for value in [*tested.buffers(), *(each.grad for each in tested.parameters())]:
        assert value is None or torch.isfinite(value).all()


@every_router
def test_there_may_be_more_experts_than_tokens(options):
    tested = layer(options, num_experts=40).train()
    output = tested(hidden_states(1, 2), input_ids=ids(1, 2))
    (output.hidden.square().sum() + output.loss).backward()
    assert torch.isfinite(output.hidden).all()
    assert output.hidden.any(-1).all()


@pytest.mark.parametrize("name", [name for name in ROUTERS if name != "soft"])
def test_one_expert_is_a_dense_layer(name):
    options = {"name": name} if name == "switch" else {"name": name, "top_k": 1}
    tested = layer(options, num_experts=1)
    output = tested(hidden_states(), input_ids=ids())
    dense = tested.experts(hidden_states().flatten(0, 1), torch.tensor([18]))
    if name == "aux_free":  # whose gate is a sigmoid, and no share of a whole
        dense = output.routing.gates[:, None] * dense
    torch.testing.assert_close(output.hidden.flatten(0, 1), dense, **EXACT)


@pytest.mark.parametrize("name", ["top_k", "noisy_top_k", "aux_free", "expert_choice"])
def test_two_of_one_expert_are_refused(name):
    with pytest.raises(ValueError, match=r"top_k must be at most num_experts \(1\), got 2"):
        layer({"name": name}, num_experts=1)


def test_shared_experts_process_every_token():
    with_shared, without = (
        layer({"name": "top_k"}, shared_experts=count, gated=True) for count in (2, 0)
    )
    without.load_state_dict(
        {name: each for name, each in with_shared.state_dict().items() if "shared" not in name}
    )
    hidden, shared = hidden_states(), with_shared.shared
    expected = without(hidden).hidden
    for half in (slice(0, 7), slice(7, 14)):
        inner = nn.functional.silu(hidden @ shared.gate[0, :, half]) * (
            hidden @ shared.up[0, :, half]
        )
        expected = expected + inner @ shared.down[0, half]
    torch.testing.assert_close(with_shared(hidden).hidden, expected, **EXACT)


@every_router
def test_active_parameters_are_those_used_for_one_token(options):
    for shared_experts in (0, 2):
        tested = layer(options, shared_experts=shared_experts, gated=True)
        if options["name"] == "expert_choice":  # 5 tokens: each expert takes two of them
            assert tested(hidden_states(1, 5)).routing.counts.tolist() == [2] * 5
            n_read = 2
        else:
            n_read = len(tested(hidden_states(1, 1), input_ids=ids(1, 1)).routing.tokens)
        of_experts = n_read * 3 * 6 * 7 + shared_experts * 3 * 6 * 7
        of_router = sum(each.numel() for each in tested.router.parameters())
        assert tested.num_active_parameters() == of_experts + of_router


def test_loss_is_the_weighted_sum_of_the_routers_losses():
    weights = {"balance": 0.3, "z": 0.02, "importance": 2, "sequence_balance": 0.5}
    output = layer({"name": "top_k"}, loss_weights=weights)(hidden_states())
    expected = sum(weight * output.routing.losses[name] for name, weight in weights.items())
    torch.testing.assert_close(output.loss, expected)
    assert layer({"name": "top_k"}, loss_weights={})(hidden_states()).loss.item() == 0


@every_router
def test_default_losses_are_those_of_the_router(options):
    tested = layer(options).train()
    output = tested(hidden_states(), input_ids=ids())
    weights = ROUTERS[options["name"]].loss_weights
    expected = sum(weight * output.routing.losses[name].item() for name, weight in weights.items())
    assert output.loss.item() == pytest.approx(expected)
    assert bool(weights) is (options["name"] not in ("hash", "expert_choice", "soft"))
    assert tested.eval()(hidden_states(), input_ids=ids()).loss.isfinite()


def test_a_loss_that_the_router_does_not_have_is_refused_in_training():
    tested = layer({"name": "hash"}, loss_weights={"z": 1.0}).train()
    with pytest.raises(ValueError, match="HashRouter has no loss 'z'; it has balance, sequence_"):
        tested(hidden_states(), input_ids=ids())


@every_router
def test_gradients_are_those_of_finite_differences(options):
    tested, mask = layer(options, d_ff=2, shared_experts=1), real([3, 1], 3)
    names, weights = zip(*tested.named_parameters(), strict=True)

    def answer(hidden, *weights):
        arguments = (hidden, mask, ids(2, 3))
        output = functional_call(tested, dict(zip(names, weights, strict=True)), arguments)
        return output.hidden, output.loss

    inputs = [each.detach().requires_grad_() for each in (hidden_states(2, 3), *weights)]
    assert gradcheck(answer, inputs)


@every_router
def test_routers_do_not_round_to_half_precision(options):
    tested, rounded = layer(options).float().router, hidden_states().bfloat16()
    exact = tested(rounded.float(), real([9, 4], 9), ids())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = tested(rounded, real([9, 4], 9), ids())
    assert found.gates.dtype == found.probabilities.dtype == torch.float32
    assert gates_by_pair(found) == gates_by_pair(exact)


def test_a_router_may_be_given_ready_made():
    ready = router({"name": "switch"})
    assert MoELayer(6, NUM_EXPERTS, ready).router is ready
    with pytest.raises(ValueError, match=r"must have num_experts \(4\) experts, got 5"):
        MoELayer(6, 4, ready)


@pytest.mark.parametrize("router", ["expert_choice", "soft", ExpertChoiceRouter(6, 5)], ids=str)
def test_a_causal_layer_refuses_routers_that_look_ahead(router):
    with pytest.raises(ValueError, match=r"causal model cannot use \w+Router: .* later ones; use"):
        MoELayer(6, 5, router)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"d_model": 0}, "d_model must be a whole number of at least 1, got 0"),
        ({"num_experts": 0}, "num_experts must be a whole number of at least 1, got 0"),
        ({"d_ff": 2.5}, "d_ff must be a whole number of at least 1, got 2.5"),
        ({"shared_experts": -1}, "shared_experts must be a whole number of at least 0, got -1"),
        ({"router": "best"}, "unknown router 'best'; known are top_k"),
        ({"router": None}, "router must be a name, a dictionary or a Router, got None"),
        ({"router": {"name": "top_k", "top_k": 6}}, r"at most num_experts \(5\), got 6"),
        ({"loss_weights": {"speed": 1}}, "unknown loss 'speed'; known are balance, sequence_bal"),
        ({"loss_weights": {"z": -1}}, r"loss_weights\['z'\] must be at least 0, got -1"),
        ({"loss_weights": {"z": float("nan")}}, r"loss_weights\['z'\] must be at least 0, got nan"),
        ({"implementation": "fast"}, "unknown implementation 'fast'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MoELayer(**{"d_model": 6, "num_experts": 5} | options)


@pytest.mark.unchecked_arrays
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(9, 6),), r"hidden must be \(batch, seq, 6\), got \(9, 6\)"),
        ((torch.zeros(2, 9, 5),), r"hidden must be \(batch, seq, 6\), got \(2, 9, 5\)"),
        ((torch.zeros(2, 9, 6), torch.ones(2, 8)), r"attention_mask must be .*\(2, 9\), got"),
        ((torch.zeros(2, 9, 6), None, torch.zeros(2, 1)), r"input_ids must be .*got \(2, 1\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MoELayer(6, 5, SwitchRouter(6, 5))(*arguments)
