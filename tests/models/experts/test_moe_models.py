"""Models with experts keep every promise of a plain model."""

import json

import pytest
import torch
from model_examples import VOCAB_SIZE, config, ids, model
from router_examples import CAUSAL, ROUTER_EXAMPLES, SEES_FUTURE, hidden_states

from sparse_transformers.interpretability.causality import find_future_leak
from sparse_transformers.models.experts.layer import MoELayer, expert_loss, record_experts
from sparse_transformers.models.experts.routers import TopKRouter
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig

causal_router = pytest.mark.parametrize("router", CAUSAL.values(), ids=CAUSAL.keys())
every_router = pytest.mark.parametrize(
    "router", ROUTER_EXAMPLES.values(), ids=ROUTER_EXAMPLES.keys()
)
LAYERS = {
    "all": {"num_experts": 4},
    "the last": [None, {"num_experts": 4, "router": "switch", "gated": True}],
    "different": [
        {"num_experts": 3, "router": {"name": "hash", "top_k": 2}, "d_ff": 10},
        {"num_experts": 4, "shared_experts": 1, "loss_weights": {"balance": 1.0}},
    ],
}
which_layers = pytest.mark.parametrize("experts", LAYERS.values(), ids=LAYERS.keys())
MASK = torch.arange(21) < torch.tensor([13, 21])[:, None]


def moe_model(router, causal=True, **options):
    """A model with experts of weights that matter, and a bias, if there is one, that is not 0."""
    experts = {"num_experts": 5, "router": router} | options
    made = model(causal=causal, experts=experts)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "experts" in name:
                weight *= 15
        for name, bias in made.named_buffers():
            if name.endswith("bias"):
                bias.copy_(torch.linspace(-0.3, 0.3, 5))
    return made


@which_layers
def test_configuration_says_which_layers_have_experts(experts):
    made = SparseTransformer(config(experts=experts))
    per_layer = experts if isinstance(experts, list) else [experts, experts]
    for block, options in zip(made.blocks, per_layer, strict=True):
        layer = block.feed_forward
        assert isinstance(layer, MoELayer) is (options is not None)
        if options is not None:
            assert layer.router.num_experts == options["num_experts"]
            assert layer.experts.up.shape[2] == options.get("d_ff", 24)  # else the model's


@which_layers
def test_configuration_survives_json(experts):
    original = config(experts=experts)
    read = SparseTransformerConfig.from_dict(json.loads(json.dumps(original.to_dict())))
    assert read == original
    assert SparseTransformerConfig.from_dict(original.to_dict()) == original


@which_layers
def test_model_survives_being_saved(experts, tmp_path):
    tested = model(experts=experts).float()
    tested.save_pretrained(tmp_path)
    loaded = SparseTransformer.from_pretrained(tmp_path)
    assert loaded.config == tested.config
    assert torch.equal(loaded(ids()), tested(ids()))


def test_bias_is_saved_with_the_model(tmp_path):
    tested = moe_model({"name": "aux_free"}).float()
    tested.save_pretrained(tmp_path)
    loaded = SparseTransformer.from_pretrained(tmp_path)
    assert loaded.blocks[1].feed_forward.router.bias.any()
    assert torch.equal(loaded(ids()), tested(ids()))


def test_making_a_configuration_draws_nothing():
    before = torch.get_rng_state()
    for router in ROUTER_EXAMPLES.values():
        config(causal=False, experts={"router": router})
    assert torch.equal(torch.get_rng_state(), before)


@every_router
def test_seed_decides_the_weights(router):
    first, same, other = (
        SparseTransformer(config(causal=False, experts={"router": router}), seed=seed).state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    moved = [name for name in first if not torch.equal(first[name], other[name])]
    of_experts = [name for name in moved if "feed_forward.experts" in name]
    assert len(of_experts) == 4  # two matrices in each of two layers


def test_experts_start_as_small_as_other_feed_forward_parts():
    experts = {"num_experts": 64, "gated": True, "shared_experts": 8}
    made = SparseTransformer(config(experts=experts, d_ff=32))
    for block in made.blocks:
        for part in (block.feed_forward.experts, block.feed_forward.shared):
            assert part.up.std().item() == pytest.approx(0.02, rel=0.05)
            assert part.gate.std().item() == pytest.approx(0.02, rel=0.05)
            assert part.down.std().item() == pytest.approx(0.02 / 2, rel=0.05)


@every_router
def test_experts_read_what_a_feed_forward_part_would_read(router):
    block = moe_model(router, causal=False).blocks[0]
    hidden, tokens = hidden_states(2, 21, d_model=16), ids()
    attended = hidden + block.attention(block.attention_norm(hidden), key_lengths=MASK.sum(1))
    answer = block.feed_forward(block.feed_forward_norm(attended), MASK, tokens)
    found = block(hidden, key_lengths=MASK.sum(1), attention_mask=MASK, input_ids=tokens)
    torch.testing.assert_close(found, attended + answer.hidden, rtol=0, atol=1e-12)


@causal_router
def test_no_router_of_a_causal_model_looks_ahead(router):
    report = find_future_leak(moe_model(router | {"capacity_factor": 0.5}), ids(1))
    assert not report.leaks
    assert report.n_probes == report.n_cuts


@pytest.mark.parametrize("router", SEES_FUTURE.values(), ids=SEES_FUTURE.keys())
def test_the_probe_finds_the_routers_that_look_ahead(router):
    experts = {"num_experts": 5, "router": router}
    with pytest.raises(ValueError, match=r"causal model cannot use .*depend on later ones"):
        config(experts=experts)
    # Attention to a token itself alone: what looks ahead is the router.
    alone = {"attention": {"name": "local", "window_size": 1}, "causal": False}
    assert find_future_leak(model(**alone, experts=experts), ids(1)).leaks
    assert not find_future_leak(model(**alone, experts={"num_experts": 5}), ids(1)).leaks


@pytest.mark.parametrize(
    ("router", "causal"),
    [(router, False) for router in ROUTER_EXAMPLES.values()]
    + [(router, True) for router in CAUSAL.values()],
    ids=str,
)
def test_padding_changes_nothing_for_real_tokens(router, causal):
    tested = moe_model(router, causal)
    with record_experts(tested) as outputs:
        padded = tested(ids().where(MASK, 30), MASK)
    assert [output.routing.n_tokens for output in outputs.values()] == [34, 34]
    for row, length in enumerate([13, 21]):
        alone = tested(ids()[row : row + 1, :length])
        torch.testing.assert_close(padded[row : row + 1, :length], alone, rtol=0, atol=1e-10)


@causal_router
def test_generated_text_is_that_of_the_model_without_a_cache(router):
    tested, text = moe_model(router), ids(2, 4)
    generated = tested.generate(text, 6, greedy=True)
    for _ in range(6):
        text = torch.cat([text, tested(text)[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(generated, text)
    cache = tested.new_cache()
    with torch.no_grad():
        cached = torch.cat([tested(part, cache=cache) for part in text.split(3, dim=1)], dim=1)
        torch.testing.assert_close(cached, tested(text), rtol=0, atol=1e-11)


@causal_router
def test_gradient_checkpointing_changes_no_gradient_and_no_bias(router):
    gradients = []
    for checkpointing in (False, True):
        tested = moe_model(router).train()
        tested.set_gradient_checkpointing(checkpointing)
        torch.manual_seed(0)
        with record_experts(tested) as outputs:
            loss = tested(ids(), MASK).square().mean()
        (loss + 10 * expert_loss(outputs)).backward()
        for block in tested.blocks:
            block.feed_forward.router.after_optimizer_step()
        state = [parameter.grad for parameter in tested.parameters()]
        gradients.append([*state, *tested.buffers()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(checkpointed, plain, rtol=0, atol=1e-12)


@causal_router
def test_active_parameters_are_those_used_for_one_token(router):
    tested = moe_model(router, gated=True, shared_experts=1)
    with record_experts(tested) as outputs:
        tested(ids(1, 1)).square().sum().backward()
    n_idle = 0
    for block in tested.blocks:
        for weight in block.feed_forward.experts.parameters():
            n_idle += int((weight.grad == 0).sum())
    n_read = sum(len(output.routing.tokens) for output in outputs.values())
    assert n_idle == (2 * 5 - n_read) * 3 * 16 * 24
    assert tested.num_active_parameters() == tested.num_parameters() - n_idle


def test_every_weight_is_active_in_a_model_without_experts():
    assert model().num_active_parameters() == model().num_parameters()


@every_router
def test_attention_weights_are_those_that_the_model_uses(router):
    tested = moe_model(router, causal=False)
    seen = {}
    attention = tested.blocks[1].attention
    attention.v_proj.register_forward_hook(lambda _, args, out: seen.update(values=out))
    attention.out_proj.register_forward_pre_hook(lambda _, args: seen.update(mixed=args[0]))
    tested(ids(), MASK)
    values, mixed = seen["values"], seen["mixed"]  # now: the next call runs the hooks again
    weights = tested.get_attention_weights(ids(), MASK)
    values = values.view(2, 21, 2, 4).transpose(1, 2).repeat_interleave(2, dim=1)
    expected = (weights[1] @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(mixed[MASK], expected[MASK], rtol=0, atol=1e-12)


def test_a_classifier_may_have_experts():
    tested = model(causal=False, num_classes=3, experts={"router": "expert_choice"})
    whole = tested(ids().where(MASK, 7), MASK).logits[:1]
    torch.testing.assert_close(whole, tested(ids()[:1, :13]).logits, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("experts", "message"),
    [
        ([{"num_experts": 4}], r"one for each of the n_layers \(2\) layers, got 1 entries"),
        ("switch", "experts must hold dictionaries of options or None, got 'switch'"),
        ({"experts": 4}, "experts do not take .*unexpected keyword argument 'experts'"),
        ({"num_experts": 0}, "num_experts must be a whole number of at least 1, got 0"),
        ({"router": "best"}, "unknown router 'best'; known are top_k"),
        ({"num_experts": 1}, r"top_k must be at most num_experts \(1\), got 2"),
        ({"loss_weights": {"speed": 1}}, "unknown loss 'speed'"),
        ({"causal": False}, "experts take causal from the model"),
        ({"vocab_size": 9, "d_model": 4}, "experts take vocab_size, d_model from the model"),
        ({"router": TopKRouter(16, 4)}, "router of experts must be a name or a dictionary"),
    ],
)
def test_experts_are_checked_when_the_configuration_is_made(experts, message):
    with pytest.raises(ValueError, match=message):
        config(experts=experts)


def test_unknown_ids_do_not_reach_the_experts():
    with pytest.raises(ValueError, match=rf"below vocab_size \({VOCAB_SIZE}\)"):
        moe_model({"name": "hash"})(torch.full((1, 3), VOCAB_SIZE))
