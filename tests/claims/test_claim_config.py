"""The members of a claim classifier: checked when they are configured, and the same after JSON."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.claims.config import ClaimClassifierConfig, TransformerMember
from sparse_transformers.claims.members import untrained_members
from sparse_transformers.claims.tokenizer import WordTokenizer
from sparse_transformers.models.experts.layer import MoELayer
from sparse_transformers.models.experts.routers import SwitchRouter
from sparse_transformers.models.sparse_transformer import SparseTransformer

MEMBER = TransformerMember(d_model=16, n_layers=2, d_ff=24)


def encoder_of(member):
    return SparseTransformer(member.model_config(vocab_size=11, num_classes=3))


def n_router_weights(model):
    return sum(
        weight.numel()
        for layer in model.modules()
        if isinstance(layer, MoELayer)
        for weight in layer.router.parameters()
    )


@pytest.mark.parametrize(
    "experts",
    [
        None,
        {"num_experts": 4, "router": "expert_choice"},
        {
            "num_experts": 4,
            "router": {"name": "hash", "top_k": 2},
            "loss_weights": {"balance": 1.0},
        },
    ],
)
def test_experts_survive_json(experts):
    config = ClaimClassifierConfig(transformer=replace(MEMBER, experts=experts))
    read = ClaimClassifierConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert read == config
    assert read.transformer.d_ff == 24


def test_settings_from_before_there_were_experts_can_be_read():
    values = ClaimClassifierConfig(transformer=MEMBER).to_dict()
    del values["transformer"]["experts"], values["transformer"]["d_ff"]
    assert ClaimClassifierConfig.from_dict(values).transformer == replace(MEMBER, d_ff=None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"d_ff": 0}, "d_ff must be a whole number of at least 1, got 0"),
        ({"n_heads": 3}, "n_heads"),
        ({"attention": "sideways"}, "unknown pattern 'sideways'"),
        ({"experts": {"router": "sorting hat"}}, "unknown router 'sorting hat'; known are top_k"),
        ({"experts": {"num_experts": 1}}, r"top_k must be at most num_experts \(1\), got 2"),
        ({"experts": {"owls": 3}}, "experts do not take {'owls': 3}"),
        ({"experts": [{"num_experts": 4}]}, "experts must be a dictionary that JSON can hold"),
        ({"experts": {"router": SwitchRouter(16, 8)}}, "experts must be a dictionary that JSON"),
    ],
)
def test_member_that_cannot_be_made_is_refused_at_once(values, message):
    with pytest.raises(ValueError, match=message):
        replace(MEMBER, **values)


def test_members_have_the_widths_and_experts_of_their_settings():
    config = ClaimClassifierConfig(transformer=MEMBER.with_experts(4), ngrams=None, folds=2)
    tokenizer = WordTokenizer.from_rows(["owls eat mice"], ("text",), min_count=1)
    for model in untrained_members(config, tokenizer, 3)["transformer"]:
        assert not model.config.causal
        assert model.config.vocab_size == tokenizer.vocab_size
        layers = [block.feed_forward for block in model.blocks]
        assert [tuple(layer.experts.up.shape) for layer in layers] == [(4, 16, 12)] * 2
        assert [layer.router.top_k for layer in layers] == [2, 2]
    dense = encoder_of(MEMBER)
    assert {tuple(block.feed_forward.up.weight.shape) for block in dense.blocks} == {(24, 16)}


@given(
    num_experts=st.integers(2, 9),
    top_k=st.integers(1, 2),
    d_ff=st.sampled_from([None, 2, 24]),
)
def test_token_meets_as_many_weights_with_experts_as_without(num_experts, top_k, d_ff):
    member = replace(MEMBER, d_ff=d_ff)
    sparse = encoder_of(member.with_experts(num_experts, top_k=top_k))
    dense = encoder_of(member)
    wide = encoder_of(replace(member, d_ff=num_experts * member.inner_width // top_k))
    router = n_router_weights(sparse)
    assert router == 2 * num_experts * 16
    assert sparse.num_active_parameters() - router == dense.num_parameters()
    assert sparse.num_parameters() - router == wide.num_parameters()


@pytest.mark.parametrize("top_k", [0, -1, 5])
def test_width_must_be_shared_out_evenly(top_k):
    with pytest.raises(ValueError, match=rf"top_k must divide d_ff \(24\), got {top_k}"):
        MEMBER.with_experts(8, top_k=top_k)
