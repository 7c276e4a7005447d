import pytest
import torch
from example_patterns import EXAMPLE_PATTERNS, patterns
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_transformers.models import selectors
from sparse_transformers.models.attention_patterns import Causal, Dense, LocalWindow, PerHead
from sparse_transformers.models.attention_reference import visible_pairs
from sparse_transformers.models.selectors import (
    TopKSelector,
    allowed_selection,
    is_allowed,
    make_selector,
    selection_mask,
)


def queries_and_keys(heads=2, kv_heads=2, q_len=30, k_len=30, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(batch, heads, q_len, 4, generator=generator, dtype=torch.float64)
    key = torch.randn(batch, kv_heads, k_len, 4, generator=generator, dtype=torch.float64)
    return torch.zeros(batch, q_len, heads * 4), query, key


def best_allowed(query, key, allowed, top_k):
    """The mask of each query's best allowed keys, by sorting all scores."""
    key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    scores = (query @ key.transpose(-1, -2)).masked_fill(~allowed, -torch.inf)
    rank = scores.argsort(-1, descending=True).argsort(-1)
    return (rank < top_k) & allowed


@settings(max_examples=60)
@given(
    pattern=patterns(4),
    causal=st.booleans(),
    top_k=st.sampled_from([1, 3, 17, 100]),
    lengths=st.sampled_from([(30, 30), (7, 30), (1, 19), (1, 1)]),
    padded=st.booleans(),
    scores_per_chunk=st.sampled_from([1, 700, 1 << 22]),
)
def test_top_k_selects_the_best_allowed_keys(
    pattern, causal, top_k, lengths, padded, scores_per_chunk
):
    pattern = pattern & Causal() if causal else pattern
    q_len, k_len = lengths
    hidden, query, key = queries_and_keys(4, 2, q_len, k_len)
    key_lengths = torch.tensor([k_len, k_len // 2]) if padded else None
    before, selectors.SCORES_PER_CHUNK = selectors.SCORES_PER_CHUNK, scores_per_chunk
    try:
        selected = TopKSelector(top_k).select(hidden, query, key, pattern, key_lengths)
    finally:
        selectors.SCORES_PER_CHUNK = before

    allowed = visible_pairs(pattern, q_len, k_len, key_lengths).expand(2, 4, q_len, k_len)
    expected = best_allowed(query, key, allowed, top_k)
    assert torch.equal(selection_mask(selected, k_len), expected)
    assert torch.equal((selected >= 0).sum(-1), expected.sum(-1))  # each key once
    # Nothing is left for the intersection to drop.
    assert torch.equal(allowed_selection(selected, pattern, k_len, key_lengths), selected)


@pytest.mark.parametrize("pattern", EXAMPLE_PATTERNS, ids=repr)
def test_forbidden_proposals_are_dropped(pattern):
    heads = len(pattern.patterns) if isinstance(pattern, PerHead) else 2
    everything = torch.arange(30).expand(2, heads, 20, 30)
    key_lengths = torch.tensor([30, 11])
    for causal in (False, True):
        rule = pattern & Causal() if causal else pattern
        kept = selection_mask(allowed_selection(everything, rule, 30, key_lengths), 30)
        allowed = visible_pairs(rule, 20, 30, key_lengths)
        assert torch.equal(kept, allowed.expand_as(kept))


def test_rule_of_each_head_applies_to_its_own_keys():
    rule = PerHead((LocalWindow(1), LocalWindow(3)))
    keys = torch.tensor([[[[4, 2]], [[4, 2]]]])  # (batch, heads, queries, selected)
    assert is_allowed(rule, torch.tensor([[4]]), keys).tolist() == [
        [[[True, False]], [[True, True]]]
    ]


def test_selection_mask_leaves_out_missing_keys():
    selected = torch.tensor([[[[2, -1], [-1, -1], [0, 1]]]])
    assert selection_mask(selected, 3).int().tolist() == [[[[0, 0, 1], [0, 0, 0], [1, 1, 0]]]]


def test_more_keys_than_there_are_means_all():
    hidden, query, key = queries_and_keys()
    selected = TopKSelector(1000).select(hidden, query, key, Dense())
    assert selected.shape == (2, 2, 30, 30)
    assert selection_mask(selected, 30).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "best"}, "unknown selector 'best'; known are top_k"),
        ({}, "unknown selector None"),
        ({"name": "top_k"}, "top_k"),
        ({"name": "top_k", "k": 3}, "does not take"),
        ({"name": "top_k", "top_k": 0}, "at least 1, got 0"),
    ],
)
def test_unknown_selectors_and_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_selector(options)


def test_a_selector_by_name_is_the_class():
    made = make_selector({"name": "top_k", "top_k": 5})
    assert isinstance(made, TopKSelector)
    assert made.top_k == 5
