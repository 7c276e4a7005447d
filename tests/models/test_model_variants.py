"""Models with a token shift, a selector or both keep every promise of a plain model."""

import pytest
import torch
from model_examples import VOCAB_SIZE, ids, model

from sparse_transformers.interpretability.causality import find_future_leak
from sparse_transformers.models import self_attention
from sparse_transformers.models.selectors import SELECTORS, TopKSelector
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig

SELECTOR_EXAMPLES = {"top_k": {"name": "top_k", "top_k": 3}}
WINDOWS_PER_HEAD = [{"name": "local", "window_size": w} for w in (1, 3, 5, 8)]
VARIANTS = {
    "shift": {"token_shift": True},
    "shift with a window": {"token_shift": True, "attention": {"name": "local", "window_size": 4}},
    "top 3 of all": {"selector": SELECTOR_EXAMPLES["top_k"], "attention": "dense"},
    "top 3 of a window": {"selector": SELECTOR_EXAMPLES["top_k"]},
    "top 3 of windows per head": {
        "selector": SELECTOR_EXAMPLES["top_k"],
        "attention": WINDOWS_PER_HEAD,
    },
    "both": {"token_shift": True, "selector": SELECTOR_EXAMPLES["top_k"], "attention": "dense"},
}
every_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())


def test_every_selector_has_an_example():
    assert set(SELECTOR_EXAMPLES) == set(SELECTORS)


@every_variant
def test_no_variant_looks_ahead(variant):
    tested = model(**variant)
    before = tested(ids())
    for changed in (1, 8, 20):
        other = ids()
        other[:, changed:] = (other[:, changed:] + 1) % VOCAB_SIZE
        assert torch.equal(before[:, :changed], tested(other)[:, :changed])
    assert not find_future_leak(tested, ids(1)).leaks


def test_a_selection_that_is_not_intersected_would_leak(monkeypatch):
    def keep_all(selected, *others):
        return selected.where(selected >= 0, torch.arange(selected.shape[-1]) + 18)

    monkeypatch.setattr(self_attention, "allowed_selection", keep_all)
    assert find_future_leak(model(**VARIANTS["top 3 of all"]), ids(1)).leaks


@pytest.mark.parametrize("causal", [True, False])
def test_a_selector_that_proposes_everything_gets_what_the_pattern_allows(monkeypatch, causal):
    def propose_everything(self, hidden, query, key, pattern, key_lengths=None):
        return torch.arange(key.shape[2]).expand(*query.shape[:3], key.shape[2])

    monkeypatch.setattr(TopKSelector, "select", propose_everything)
    mask = torch.arange(21) < torch.tensor([13, 21])[:, None]
    plain = model(causal=causal)
    greedy = model(causal=causal, selector=SELECTOR_EXAMPLES["top_k"])
    expected = plain.get_selected_tokens(ids(), mask)
    assert torch.equal(greedy.get_selected_tokens(ids(), mask), expected)
    torch.testing.assert_close(greedy(ids(), mask), plain(ids(), mask), rtol=0, atol=1e-12)


@every_variant
@pytest.mark.parametrize("causal", [True, False])
def test_padding_changes_nothing_for_real_tokens(variant, causal):
    tested = model(causal=causal, **variant)
    mask = torch.arange(21) < torch.tensor([13, 21])[:, None]
    padded = tested(ids().where(mask, 30), mask)
    for row, length in enumerate([13, 21]):
        alone = tested(ids()[row : row + 1, :length])
        torch.testing.assert_close(padded[row : row + 1, :length], alone, rtol=0, atol=1e-12)


@every_variant
@pytest.mark.parametrize("chunks", [[1] * 21, [40, 1, 35, 24]], ids=["by one", "in chunks"])
def test_cached_forward_equals_uncached(variant, chunks):
    tested, tokens = model(**variant), ids(seq_len=sum(chunks))
    cache = tested.new_cache()
    with torch.no_grad():
        cached = [tested(chunk, cache=cache) for chunk in tokens.split(chunks, dim=1)]
        expected = tested(tokens)
    torch.testing.assert_close(torch.cat(cached, dim=1), expected, rtol=0, atol=1e-11)


@every_variant
def test_weights_lie_on_the_selected_tokens_and_are_those_that_the_model_uses(variant):
    tested = model(**variant)
    seen = {}
    attention = tested.blocks[1].attention
    attention.v_proj.register_forward_hook(lambda _, args, out: seen.update(values=out))
    attention.out_proj.register_forward_pre_hook(lambda _, args: seen.update(mixed=args[0]))
    tested(ids())
    values, used = seen["values"], seen["mixed"]  # those below come by the path under test
    weights, selected = tested.get_attention_weights(ids()), tested.get_selected_tokens(ids())
    for layer, layer_weights in enumerate(weights):
        assert torch.equal(layer_weights > 0, selected[:, layer])
    values = values.view(2, 21, 2, 4).transpose(1, 2).repeat_interleave(2, dim=1)
    mixed = (weights[1] @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(used, mixed, rtol=0, atol=1e-12)
    if "selector" in variant:
        assert selected.sum(-1).max() == 3


def test_selecting_every_key_is_dense_attention():
    everything = {"name": "top_k", "top_k": 21}
    dense, chosen = (model(attention="dense", selector=each) for each in (None, everything))
    torch.testing.assert_close(chosen(ids()), dense(ids()), rtol=0, atol=1e-12)


@every_variant
def test_variants_survive_being_saved(variant, tmp_path):
    tested = model(**variant).float()
    tested.save_pretrained(tmp_path)
    loaded = SparseTransformer.from_pretrained(tmp_path)
    assert loaded.config == tested.config
    assert torch.equal(loaded(ids()), tested(ids()))


def test_selectors_are_checked_when_the_configuration_is_made():
    with pytest.raises(ValueError, match="unknown selector 'nearest'"):
        SparseTransformerConfig(selector={"name": "nearest"})
