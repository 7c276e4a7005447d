"""Names for own classes, patterns as objects in configurations, and options of every type."""

import json
import re
from dataclasses import dataclass, fields

import numpy as np
import pytest
import torch
from example_patterns import SINGLE_PATTERNS, patterns
from hypothesis import given, settings
from model_examples import ids

import sparse_transformers as sp
from sparse_transformers.models.checks import MOST
from sparse_transformers.training.config import TrainingConfig


@dataclass(frozen=True)
class Powers(sp.AttentionPattern):
    """What a user writes."""

    base: int = 2

    def allows(self, query, key):
        distance = query - key
        return (distance == 0) | (distance == 1) | (distance == self.base)


@settings(max_examples=80)
@given(pattern=patterns(4))
def test_every_pattern_survives_a_configuration_in_json(pattern):
    config = sp.SparseTransformerConfig(n_layers=2, attention=pattern)
    written = json.loads(json.dumps(config.to_dict()))
    read = sp.SparseTransformerConfig.from_dict(written)
    assert read == config
    assert read.layer_patterns() == (pattern, pattern)


def test_layers_may_mix_names_choices_and_objects():
    attention = [
        "dense",
        {"name": "strided", "stride": 3},
        sp.LocalWindow(4) | sp.AttentionSinks(1),
    ]
    config = sp.SparseTransformerConfig(n_layers=3, attention=attention)
    expected = (sp.Dense(), sp.Strided(3), sp.LocalWindow(4) | sp.AttentionSinks(1))
    assert config.layer_patterns() == expected
    assert sp.SparseTransformerConfig.from_dict(config.to_dict()) == config


def test_a_model_with_an_own_pattern_works_before_it_can_be_saved(tmp_path):
    config = sp.SparseTransformerConfig(
        d_model=16, n_heads=2, n_layers=1, attention=Powers(3) & sp.LocalWindow(9)
    )
    model = sp.SparseTransformer(config)
    allowed = (Powers(3) & sp.LocalWindow(9) & sp.Causal()).mask(21)
    assert torch.equal(model.get_selected_tokens(ids(1))[0, 0, 0], allowed)
    with pytest.raises(ValueError, match=r"@register_pattern\('...'\) above the class Powers"):
        model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()

    sp.register_pattern("powers")(Powers)
    model = sp.SparseTransformer(sp.SparseTransformerConfig(
        d_model=16, n_heads=2, n_layers=1, attention=Powers(3) & sp.LocalWindow(9)
    ))  # fmt: skip
    model.save_pretrained(tmp_path / "model")
    loaded = sp.SparseTransformer.from_pretrained(tmp_path / "model")
    assert loaded.config == model.config
    assert torch.equal(loaded(ids(1)), model.eval()(ids(1)))
    sp.PATTERNS.pop("powers")
    with pytest.raises(ValueError, match=re.escape("@register_pattern('powers')")):
        sp.SparseTransformer.from_pretrained(tmp_path / "model")


def test_what_json_cannot_hold_is_not_saved():
    config = sp.SparseTransformerConfig(attention=sp.Documents([0, 1]))
    with pytest.raises(ValueError, match="register_pattern"):
        config.to_dict()
    sp.register_pattern("documents")(sp.Documents)
    with pytest.raises(ValueError, match="got Tensor as ids of Documents"):
        sp.SparseTransformerConfig(attention=sp.Documents([0, 1])).to_dict()


def test_names_are_plain_and_belong_to_one_class():
    for name in ("two words", "", "a-b", 3):
        with pytest.raises(ValueError, match="plain word"):
            sp.register_pattern(name)
    with pytest.raises(ValueError, match=r"'local' is already .*LocalWindow"):
        sp.register_pattern("local")(Powers)
    for made in (int, Powers(), "x"):
        with pytest.raises(ValueError, match="subclass of AttentionPattern"):
            sp.register_pattern("powers")(made)
    again = dataclass(frozen=True)(type("Powers", (Powers,), {"__module__": Powers.__module__}))
    assert sp.register_pattern("powers")(Powers) is Powers
    sp.register_pattern("powers")(again)  # the same cell of a notebook, run again
    assert sp.PATTERNS["powers"] is again


def test_own_routers_and_selectors_have_names_in_configurations():
    @sp.register_router("to_the_first")
    class First(sp.TokenChoiceRouter):
        def __init__(self, num_experts, share=1.0):
            super().__init__(num_experts, top_k=1)
            self.share = share

        def choose(self, hidden, input_ids):
            experts = torch.zeros(len(hidden), 1, dtype=torch.long)
            probabilities = torch.eye(self.num_experts)[experts[:, 0]]
            return sp.Choice(experts, torch.full((len(hidden), 1), self.share), probabilities)

    @sp.register_selector("recent")
    class Recent(sp.Selector):
        def __init__(self, count):
            super().__init__()
            self.count = count

        def select(self, hidden, query, key, pattern, key_lengths=None):
            queries = torch.arange(query.shape[2])[:, None]
            return (queries - torch.arange(self.count)).clamp(min=-1).expand(*query.shape[:3], -1)

    router = {"name": "to_the_first", "share": 0.5}
    config = sp.SparseTransformerConfig(
        d_model=16, n_heads=2, n_layers=1, attention="dense",
        experts={"num_experts": 3, "router": router}, selector={"name": "recent", "count": 2},
    )  # fmt: skip
    assert sp.SparseTransformerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    model = sp.SparseTransformer(config)
    seen = model.get_selected_tokens(ids(1))[0, 0, 0]
    assert torch.equal(seen, (sp.LocalWindow(2) & sp.Causal()).mask(21))
    with pytest.raises(ValueError, match=r"selector must be a dictionary .*@register_selector"):
        sp.SparseTransformerConfig(selector=Recent(4))


def test_every_pattern_has_an_example_for_a_length():
    for name, pattern in sp.PATTERNS.items():
        for seq_len in (1, 8, 64, 1000):
            example = pattern.for_length(seq_len)
            assert isinstance(example, pattern)
            assert sp.make_pattern(name, **vars_of(example)) == example
    assert Powers.for_length(64) == Powers(2)

    class Needy(Powers):
        def __init__(self, base):
            super().__init__(base)

    with pytest.raises(ValueError, match="Needy needs options: a class method `for_length"):
        Needy.for_length(8)


def vars_of(pattern):
    return {each.name: getattr(pattern, each.name) for each in fields(pattern)}


def test_numpy_numbers_are_numbers():
    three, half = np.int8(3), np.float32(0.5)
    for made, expected in [
        (sp.LocalWindow(three), sp.LocalWindow(3)),
        (sp.DilatedWindow(np.int8(100), np.int8(100)), sp.DilatedWindow(100, 100)),
        (sp.Strided(np.int64(3)), sp.Strided(3)),
        (sp.Fixed(three, summary_size=np.uint8(2)), sp.Fixed(3, 2)),
        (sp.BlockSparse(three, half, seed=np.int64(4)), sp.BlockSparse(3, 0.5, seed=4)),
        (sp.RandomSparse(half), sp.RandomSparse(0.5)),
        (sp.GlobalTokens((three, 1)), sp.GlobalTokens((1, 3))),
        (sp.AttentionSinks(three), sp.AttentionSinks(3)),
        (sp.Longformer(three, (np.int32(2),)), sp.Longformer(3, (2,))),
        (sp.BigBird(three, seq_len=np.int64(50)), sp.BigBird(3, seq_len=50)),
    ]:
        assert made == expected
        assert repr(made) == repr(expected)
        json.dumps(vars_of(made))
        assert torch.equal(made.mask(12), expected.mask(12))
    config = sp.SparseTransformerConfig(n_layers=np.int64(2), dropout=np.float32(0.5))
    assert json.loads(json.dumps(config.to_dict()))["n_layers"] == 2


LARGE = [MOST, MOST - 1, 2**30]


def large_patterns():
    for n in LARGE:
        yield from (
            sp.LocalWindow(n), sp.DilatedWindow(n, n), sp.DilatedWindow(3, n), sp.Strided(n),
            sp.Strided(n, "column"), sp.Fixed(n), sp.Fixed(n, n), sp.Fixed(n, 3, "column"),
            sp.BlockSparse(n, 0.5), sp.GlobalTokens((3, n)), sp.AttentionSinks(n),
            sp.Longformer(n, (n,), n), sp.Longformer(2, (1,), n), sp.BigBird(n),
            sp.BigBird(4, window_blocks=n | 1), sp.BigBird(4, global_blocks=n),
            sp.BigBird(4, seq_len=n), sp.RandomSparse(0.5, seed=n * n),
        )  # fmt: skip


@pytest.mark.parametrize("pattern", list(large_patterns()), ids=repr)
def test_the_largest_options_follow_the_rule(pattern):
    mask = torch.tensor([[bool(pattern.allows(i, j)) for j in range(40)] for i in range(40)])
    assert torch.equal(pattern.mask(40), mask)
    assert pattern.allowed_pairs(40) == int(mask.sum())
    assert pattern.layout(40).allowed_pairs == int(mask.sum())


@pytest.mark.parametrize(
    "make",
    [
        sp.LocalWindow, sp.Strided, sp.Fixed, sp.AttentionSinks, sp.BigBird,
        lambda n: sp.GlobalTokens((n,)), lambda n: sp.DilatedWindow(1, n),
        lambda n: sp.BlockSparse(n, 0.5), lambda n: sp.Longformer(1, (n,)),
        lambda n: sp.BigBird(4, seq_len=n),
    ],
)  # fmt: skip
def test_larger_options_are_refused(make):
    for n in (MOST + 1, 2**62, 2**70):
        with pytest.raises(ValueError, match=r"must be at most 2,147,483,647"):
            make(n)


class Rule(sp.AttentionPattern):
    def __init__(self, rule):
        self.rule = rule

    def allows(self, query, key):
        return self.rule(query, key)


@pytest.mark.parametrize(
    "rule",
    [
        lambda query, key: key <= query and key > query - 3,
        lambda query, key: key <= query or key == 0,
        lambda query, key: not key > query,
        lambda query, key: query - 3 < key <= query,
        lambda query, key: key > 2 if key < 5 else key < 2,
        lambda query, key: max(query, key) < 5,
    ],
)
def test_python_words_in_a_rule_are_explained(rule):
    for use in (lambda p: p.mask(8), lambda p: p.layout(8), lambda p: (p & sp.Causal()).mask(8)):
        with pytest.raises(ValueError, match=r"must use &, \|, ~ and comparisons of two"):
            use(Rule(rule))


def test_a_rule_says_true_or_false():
    for rule in (lambda query, key: query - key, lambda query, key: (query == key).float()):
        with pytest.raises(ValueError, match="must return True or False for each pair, got torch"):
            Rule(rule).mask(8)
    assert Rule(lambda query, key: True).mask(3).all()
    with pytest.raises(RuntimeError, match="own mistake"):
        Rule(lambda query, key: (_ for _ in ()).throw(RuntimeError("own mistake"))).mask(3)


def test_one_position_is_no_sequence_of_them():
    with pytest.raises(ValueError, match=r"positions must be a sequence .* such as \(0,\), got 2"):
        sp.GlobalTokens(2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"causal": "false"}, "causal must be True or False, got 'false'"),
        ({"causal": 1}, "causal must be True or False, got 1"),
        ({"token_shift": None}, "token_shift must be True or False, got None"),
        ({"n_layers": 2.0}, "n_layers must be a whole number, got 2.0"),
        ({"n_layers": "2"}, "n_layers must be a whole number, got '2'"),
        ({"dropout": "0.1"}, "dropout must be a number, got '0.1'"),
        ({"dropout": True}, "dropout must be a number, got True"),
        ({"positions": 3}, "positions must be a text, got 3"),
        ({"n_kv_heads": "2"}, "n_kv_heads must be a whole number, got '2'"),
    ],
)
def test_a_value_of_another_type_is_refused(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        sp.SparseTransformerConfig(**changes)


def test_other_configurations_check_their_types_too():
    for make in (
        lambda: TrainingConfig(progress="false"),
        lambda: TrainingConfig(steps="3"),
        lambda: sp.ClaimClassifierConfig(seed="3"),
        lambda: sp.MoELayer(8, 4, gated="false"),
    ):
        with pytest.raises(ValueError, match=r"must be (True or False|a whole number)"):
            make()


def test_local_attention_takes_any_pattern():
    query = torch.randn(1, 2, 9, 4)
    pattern = sp.LocalWindow(3) | sp.AttentionSinks(1)
    found = sp.LocalSparseAttention(pattern=pattern)(query, query, query)
    expected = sp.sparse_attention(query, query, query, pattern, causal=True)
    assert torch.equal(found, expected)


def test_examples_hold_every_registered_pattern():
    assert {type(each) for each in SINGLE_PATTERNS} >= set(sp.PATTERNS.values())
