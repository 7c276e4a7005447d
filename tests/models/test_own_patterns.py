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
from sparse_transformers.claims.config import NGramMember, TransformerMember
from sparse_transformers.models.checks import MOST
from sparse_transformers.models.generation import TokenSampler
from sparse_transformers.models.self_attention import SelfAttention
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
    with pytest.raises(ValueError, match=r"holds a tensor cannot be saved.* got ids of Documents"):
        config.to_dict()
    several = sp.PerSequence([sp.Dense(), sp.Causal()])
    with pytest.raises(ValueError, match="for each sequence belongs to one batch"):
        sp.SparseTransformerConfig(attention=several).to_dict()
    sp.register_pattern("powers")(Powers)
    with pytest.raises(ValueError, match="got dict as base of Powers"):
        sp.SparseTransformerConfig(attention=Powers({})).to_dict()


def test_a_pattern_that_does_not_follow_from_its_options_is_not_saved():
    @sp.register_pattern("hidden")
    class Hidden(Powers):
        def __init__(self, exponent):
            object.__setattr__(self, "_exponent", exponent)

    @sp.register_pattern("doubled")
    class Doubled(Powers):
        def __init__(self, base):
            object.__setattr__(self, "base", 2 * base)

    @sp.register_pattern("faithful")
    class Faithful(Powers):
        def __init__(self, base):
            object.__setattr__(self, "base", base)

    with pytest.raises(ValueError, match="options as attributes, Hidden has no exponent"):
        sp.SparseTransformerConfig(attention=Hidden(3)).to_dict()
    with pytest.raises(ValueError, match="must follow from its options"):
        sp.SparseTransformerConfig(attention=Doubled(3)).to_dict()
    config = sp.SparseTransformerConfig(attention=Faithful(np.int64(3)))
    assert json.loads(json.dumps(config.to_dict()))["attention"] == {"name": "faithful", "base": 3}


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
    assert sp.GlobalTokens(np.array([3, 1])) == sp.GlobalTokens((1, 3))


def test_numpy_numbers_in_a_configuration_are_the_same_after_json():
    one, four = np.int64(1), np.int64(4)
    config = sp.SparseTransformerConfig(
        n_layers=one,
        dropout=np.float32(0.5),
        causal=np.bool_(True),
        attention={"any_of": [{"name": "strided", "stride": four}, "local"]},
        attention_options={"window_size": four},
        experts={
            "num_experts": four,
            "router": {"name": "switch", "capacity_factor": np.float32(2)},
        },
        selector={"name": "top_k", "top_k": four},
    )  # fmt: skip
    assert sp.SparseTransformerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.causal is True


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


@pytest.mark.parametrize(
    "rule",
    [
        lambda query, key: key == int(query),
        lambda query, key: key in range(query),
        lambda query, key: [True, False][query] & (key > 2),
    ],
)
def test_python_that_needs_one_number_is_explained(rule):
    for use in (lambda p: p.mask(8), lambda p: p.layout(8)):
        with pytest.raises(ValueError, match="tensor operations in place of those on one number"):
            use(Rule(rule))


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (lambda query, key: query - key, r"torch.int64 \("),
        (lambda query, key: (query == key).float(), r"torch.float32 \("),
        (lambda query, key: torch.ones(3, 3, dtype=torch.bool), r"torch.bool \(3, 3\)"),
        (lambda query, key: torch.ones(2, 1, 8, 8, dtype=torch.bool), r"torch.bool \(2, 1, 8, 8\)"),
        (lambda query, key: None, "None"),
        (lambda query, key: [True], r"\[True\]"),
    ],
)
def test_a_rule_says_true_or_false_for_each_pair(rule, found):
    for use in (lambda p: p.mask(8), lambda p: p.layout(8), lambda p: p.allowed_pairs(8)):
        with pytest.raises(ValueError, match=f"<Rule> must say True or False .*, got {found}"):
            use(Rule(rule))


def test_a_rule_may_answer_for_all_pairs_at_once_and_makes_its_own_mistakes():
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
        ({"attention_options": [1]}, "attention_options must be a dictionary, got (1,)"),
        ({"attention": {"name": 3}}, "attention must be a pattern's name"),
        (
            {"experts": {"router": {"name": "top_k", "capacity_factor": "2"}}},
            "capacity_factor must be a number, got '2'",
        ),
        ({"experts": {"loss_weights": {"z": "1"}}}, "loss_weights['z'] must be a number, got '1'"),
        ({"experts": {"router": ["top_k"]}}, "router of experts must be a name or a dictionary"),
    ],
)
def test_a_value_of_another_type_is_refused(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        sp.SparseTransformerConfig(**changes)


def test_other_configurations_check_their_types_too():
    for make in (
        lambda: TrainingConfig(progress="false"),
        lambda: TrainingConfig(steps="3"),
        lambda: TrainingConfig(betas="ab"),
        lambda: sp.ClaimClassifierConfig(seed="3"),
        lambda: sp.ClaimClassifierConfig(fields="text"),
        lambda: NGramMember(epochs="3"),
        lambda: sp.MoELayer(8, 4, gated="false"),
        lambda: SelfAttention(8, 2, sp.Dense(), causal="false"),
        lambda: sp.TruthfulnessHead(8, linear="false"),
        lambda: sp.LocalSparseAttention(3, causal="false"),
        lambda: sp.SparseAttentionDemo(causal="false"),
        lambda: TokenSampler(greedy="false"),
        lambda: sp.sparse_attention(*torch.ones(3, 1, 1, 2, 2), sp.Dense(), causal="false"),
        lambda: sp.reference_attention(*torch.ones(3, 1, 1, 2, 2), sp.Dense(), causal="false"),
    ):
        with pytest.raises(
            ValueError, match=r"must be (True or False|a whole number|a tuple), got '"
        ):
            make()


def test_seeds_and_lengths_may_be_numbers_of_numpy_and_nothing_else():
    config = sp.SparseTransformerConfig(d_model=16, n_heads=2, n_layers=1)
    model = sp.SparseTransformer(config, seed=np.int64(3))
    assert torch.equal(model(ids(1)), sp.SparseTransformer(config, seed=3)(ids(1)))
    assert torch.equal(*(model.generate(ids(1), 3, seed=seed) for seed in (np.int64(2), 2)))
    layout = sp.Strided(3).layout(np.int64(70), block_size=np.int64(16))
    assert torch.equal(layout.columns, sp.Strided(3).layout(70, block_size=16).columns)
    hash_router = {"name": "hash", "seed": "1"}
    sp.Dense().layout(64, block_size=32)  # which the cache would find for 32.0
    for use in (
        lambda: sp.SparseTransformer(config, seed="3"),
        lambda: model.generate(ids(1), 3, seed=2**64),
        lambda: sp.find_future_leak(model, ids(1), seed=0.5),
        lambda: sp.make_router(hash_router, d_model=8, num_experts=2, vocab_size=9),
        lambda: sp.Dense().mask(8.0),
        lambda: sp.Dense().layout(64, block_size=32.0),
        lambda: sp.Dense().reach(8, "2"),
    ):
        with pytest.raises(ValueError, match="must be a whole number"):
            use()


@pytest.mark.unchecked_arrays
def test_a_text_is_no_tensor_of_token_ids():
    model = sp.SparseTransformer(sp.SparseTransformerConfig(d_model=16, n_heads=2, n_layers=1))
    for use in (
        model,
        model.get_attention_weights,
        model.get_selected_tokens,
        lambda text: sp.find_future_leak(model, text),
    ):
        with pytest.raises(ValueError, match=r"such as torch\.tensor\(\[list.* got 'hello'"):
            use("hello")
    with pytest.raises(ValueError, match="input_ids must be a tensor"):
        model.generate("hello", 3)


def test_classes_for_notebooks_take_any_pattern():
    query = torch.randn(1, 2, 9, 4)
    pattern = sp.LocalWindow(3) | sp.AttentionSinks(1)
    found = sp.LocalSparseAttention(pattern=pattern)(query, query, query)
    expected = sp.sparse_attention(query, query, query, pattern, causal=True)
    assert torch.equal(found, expected)
    with pytest.raises(ValueError, match="write pattern="):
        sp.LocalSparseAttention(pattern)
    with pytest.raises(
        ValueError, match="pattern must be an AttentionPattern or None, got 'local'"
    ):
        sp.LocalSparseAttention(pattern="local")

    report = sp.SparseAttentionDemo(32, 4).compute_attention(pattern, 16)
    assert report["connectivity"]["total_connections"] == pattern.allowed_pairs(16)
    with pytest.raises(ValueError, match="one rule for all heads"):
        sp.SparseAttentionDemo(32, 2).compute_attention(sp.PerHead((pattern, sp.Dense())), 16)

    generate = sp.AttentionPatternGenerator().generate
    assert np.array_equal(generate(pattern, 16) > 0, pattern.mask(16).numpy())
    per_head = generate(sp.PerHead((pattern, sp.Dense())), 16)
    np.testing.assert_allclose(per_head.sum(-1), np.ones((2, 16)), rtol=1e-6)
    assert np.array_equal(per_head[0], generate(pattern, 16))
    with pytest.raises(ValueError, match="has its options already, got window_size"):
        generate(pattern, 16, window_size=3)


def test_a_registered_name_comes_before_another_name_for_the_same():
    sp.register_pattern("sparse")(Powers)
    generate = sp.AttentionPatternGenerator().generate
    assert np.array_equal(generate("sparse", 16) > 0, Powers().mask(16).numpy())


def test_a_claim_classifier_takes_patterns_that_have_a_name():
    pattern = sp.LocalWindow(9) | sp.AttentionSinks(2)
    config = sp.ClaimClassifierConfig(transformer=TransformerMember(attention=pattern))
    assert config.transformer.model_config(vocab_size=5, num_classes=2).layer_patterns() == (
        pattern,
    )
    assert sp.ClaimClassifierConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ValueError, match="above the class Powers"):
        TransformerMember(attention=Powers())


def test_examples_hold_every_registered_pattern():
    assert {type(each) for each in SINGLE_PATTERNS} >= set(sp.PATTERNS.values())
