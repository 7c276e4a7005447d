"""Rules that look positions up: compared by content, and asked inside the sequence only."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from attention_problems import EXACT, Problem, assert_same, evaluate
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import create_block_mask

import sparse_transformers as sp
from sparse_transformers.models.pattern_base import AttentionPattern, same_rule
from sparse_transformers.models.rule_values import content_of, on_device, snapshot
from sparse_transformers.models.sequence_patterns import (
    KeysBetween,
    KeysWhere,
    Shifted,
    real_keys,
)


@dataclass(frozen=True)
class SameId(AttentionPattern):
    """What a user writes: no hint, no check."""

    ids: torch.Tensor

    def allows(self, query: Any, key: Any) -> Any:
        return self.ids[query] == self.ids[key]


class Plain(AttentionPattern):
    """A class that is no dataclass."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def allows(self, query: Any, key: Any) -> Any:
        return self.table[key] & (query >= 0)


def blocks(*lengths):
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))


def attend(pattern, backend="tiled", batch=1, heads=2):
    length = 70
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, batch, heads, length, 8, generator=generator)
    return sp.sparse_attention(query, key, value, pattern, backend=backend)


# 70 is no multiple of a tile, so that the kernel sees positions past the end.
@pytest.mark.parametrize("make", [SameId, sp.Documents])
def test_a_lookup_is_never_asked_outside_the_sequence(make):
    pattern = make(blocks(30, 1, 39))
    expected = pattern.ids[:, None] == pattern.ids
    assert torch.equal(pattern.mask(70), expected)
    assert pattern.allowed_pairs(70) == 30**2 + 1 + 39**2
    torch.testing.assert_close(attend(pattern), attend(pattern, "reference"))
    torch.testing.assert_close(
        attend(pattern & sp.Causal()), attend(pattern & sp.Causal(), "reference")
    )


@pytest.mark.parametrize("make", [SameId, Plain])
def test_a_tensor_changed_in_place_makes_another_rule(make):
    table = torch.zeros(70, dtype=torch.bool)
    pattern = make(table)
    before = attend(pattern)
    assert pattern.allowed_pairs(70) == (70**2 if make is SameId else 0)
    table[10:] = True
    torch.testing.assert_close(attend(pattern), attend(pattern, "reference"))
    assert not torch.equal(attend(pattern), before)
    assert pattern.allowed_pairs(70) == (10**2 + 60**2 if make is SameId else 70 * 60)


def test_a_layout_keeps_the_numbers_that_it_was_made_of():
    table = torch.rand(70) > 0.5
    layout = Plain(table).layout(70)
    masks = layout.tile_masks(torch.arange(layout.n_tiles))
    block_mask = layout.to_block_mask()
    table[:] = False
    assert torch.equal(layout.tile_masks(torch.arange(layout.n_tiles)), masks)
    assert bool(block_mask.mask_mod(0, 0, torch.arange(70)[:, None], torch.arange(70)).any())


def test_equal_numbers_are_the_same_rule_and_share_a_layout():
    one, two = SameId(blocks(30, 40)), SameId(blocks(30, 40))
    assert same_rule(one, two)
    assert one.layout(70) is two.layout(70)
    assert not same_rule(one, SameId(blocks(31, 39)))
    assert not same_rule(one, SameId(blocks(30, 40).int()))
    assert not same_rule(one, sp.Documents(blocks(30, 40)))


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0])),
        (torch.tensor([1, 2]), torch.tensor([[1, 2]])),
        (torch.zeros(2, dtype=torch.bfloat16), torch.zeros(2, dtype=torch.float16)),
        (torch.tensor(1), torch.tensor(2)),
        (torch.tensor([]), torch.tensor([1])),
        (np.arange(3), np.arange(4)),
        ([1, [2, 3]], [1, [2, 4]]),
        ({"a": torch.tensor(1)}, {"a": torch.tensor(2)}),
        ({1, 2}, {1, 3}),
        ("a", "b"),
        (Plain(torch.tensor([1])), Plain(torch.tensor([2]))),
        (Plain([sp.Dense()]), Plain([sp.Causal()])),
    ],
)
def test_content_tells_values_apart_and_finds_equal_ones(value, other):
    assert content_of(value) == content_of(copy.deepcopy(value))
    assert hash(content_of(value)) == hash(content_of(copy.deepcopy(value)))
    assert content_of(value) != content_of(other)


def test_a_transposed_tensor_is_read_in_order():
    x = torch.arange(6).view(2, 3)
    assert content_of(x.T) == content_of(x.T.contiguous())
    assert content_of(x.T) != content_of(x.reshape(3, 2))


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="a pattern must hold numbers"):
        Plain(bytearray(b"x")).layout(4)


def test_heads_and_sequences_may_have_lookups_of_their_own():
    ids = [blocks(30, 40), blocks(10, 60), blocks(30, 40)]
    per_head = sp.PerHead(tuple(map(SameId, ids)))
    torch.testing.assert_close(attend(per_head, heads=3), attend(per_head, "reference", heads=3))
    per_sequence = sp.PerSequence(map(SameId, ids)) & sp.Causal()
    together = attend(per_sequence, batch=3)
    torch.testing.assert_close(together, attend(per_sequence, "reference", batch=3))


def test_a_rule_moves_with_all_that_it_holds():
    inner = SameId(torch.zeros(3))
    pattern = Plain({"list": [inner, (torch.zeros(2), 5)], "word": "x"})
    moved = on_device(pattern, "meta")
    assert moved.table["list"][0].ids.is_meta
    assert moved.table["list"][1][0].is_meta
    assert not inner.ids.is_meta
    assert on_device(pattern, "cpu") is pattern
    assert sp.LocalWindow(3).to("meta") == sp.LocalWindow(3)
    copied = snapshot(inner)
    inner.ids[0] = 7
    assert copied.ids[0] == 0


def test_what_was_derived_from_the_old_tensor_goes():
    documents = sp.Documents([0, 0, 1, 1])
    hint = documents.candidate_keys(torch.tensor([0]), torch.tensor([1]), 4)
    assert [(int(start), int(stop)) for start, stop in hint] == [(0, 2)]
    assert "_extents" in vars(documents)
    assert "_extents" not in vars(snapshot(documents))


def test_layouts_are_made_on_the_cpu_whatever_the_default_device_is():
    patterns = [
        sp.BigBird(4), sp.BlockSparse(4, 0.5), sp.Longformer(4), sp.Strided(3), sp.Fixed(4),
        sp.AttentionSinks(2) & sp.LocalWindow(9), sp.Documents([0] * 40), KeysBetween(3, 30),
    ]  # fmt: skip
    expected = [attend_short(pattern) for pattern in patterns]
    torch.set_default_device("meta")
    try:
        sp.models.pattern_base.LAYOUT_CACHE.clear()
        found = [attend_short(pattern) for pattern in patterns]
    finally:
        torch.set_default_device(None)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two)


def attend_short(pattern):
    generator = torch.Generator(device="cpu").manual_seed(0)
    query = torch.randn(1, 2, 40, 8, generator=generator, device="cpu", requires_grad=True)
    output = sp.sparse_attention(
        query, query, query, pattern, causal=True, key_lengths=torch.tensor([33], device="cpu")
    )
    output.sum().backward()
    return query.grad


@st.composite
def documents(draw, length=97):
    ids = draw(st.lists(st.integers(-2, 4), min_size=length, max_size=length))
    return torch.tensor(sorted(ids) if draw(st.booleans()) else ids)


@settings(max_examples=40)
@given(ids=documents(), causal=st.booleans(), block_size=st.sampled_from([1, 7, 32]))
def test_documents_hint_holds_every_key(ids, causal, block_size):
    pattern = sp.Documents(ids)
    pattern = pattern & sp.Causal() if causal else pattern
    layout = pattern.layout(97, block_size=block_size)
    assert layout.allowed_pairs == int(pattern.mask(97).sum())


def test_documents_are_those_of_flex_attention():
    ids = blocks(50, 14, 64)
    ours = (sp.Documents(ids) & sp.Causal()).layout(128, block_size=16).to_block_mask()

    def document_mask(batch, head, query, key):
        return (query >= key) & (ids[query] == ids[key])

    theirs = create_block_mask(document_mask, None, None, 128, 128, device="cpu", BLOCK_SIZE=16)
    assert torch.equal(ours.to_dense(), theirs.to_dense())


def test_prefix_is_that_of_flex_attention():
    ours = (sp.Causal() | sp.AttentionSinks(50)).layout(128, block_size=16).to_block_mask()

    def prefix_mask(batch, head, query, key):
        return (query >= key) | (key < 50)

    theirs = create_block_mask(prefix_mask, None, None, 128, 128, device="cpu", BLOCK_SIZE=16)
    assert torch.equal(ours.to_dense(), theirs.to_dense())


@pytest.mark.unchecked_arrays
@pytest.mark.parametrize(
    "ids", [[], [[1, 2]], [0.5], torch.zeros(2, 2, dtype=torch.long), torch.zeros(3)]
)
def test_documents_need_one_whole_number_for_each_position(ids):
    with pytest.raises(ValueError, match="one whole number for each position"):
        sp.Documents(ids)


def test_documents_of_a_shorter_sequence_are_refused():
    with pytest.raises(ValueError, match="an id for each of the 9 positions, got 8"):
        sp.Documents([1] * 8).layout(9)


@settings(max_examples=60)
@given(
    data=st.data(),
    pattern=st.sampled_from(
        [sp.LocalWindow(5), sp.Strided(4), sp.BigBird(4), sp.AttentionSinks(3), sp.Fixed(5)]
    ),
    offset=st.integers(0, 45),
)
def test_a_shifted_pattern_is_the_pattern_further_on(data, pattern, offset):
    mask = Shifted(pattern, offset).mask(40)
    if offset >= 40:
        assert not mask.any()
    else:
        assert torch.equal(mask[offset:, offset:], pattern.mask(40 - offset))
        assert not mask[:offset].any()
        assert not mask[:, :offset].any()
    assert Shifted(pattern, offset).allowed_pairs(40) == int(mask.sum())


def test_real_keys_take_the_simplest_rule():
    mask = torch.ones(4, 6, dtype=torch.bool)
    assert real_keys(6, None, mask) is None
    mask[1, 4:], mask[2, 0], mask[3, 2] = False, False, False
    rules = real_keys(6, None, mask).patterns
    assert rules[:3] == (KeysBetween(0, 6), KeysBetween(0, 4), KeysBetween(1, 6))
    assert isinstance(rules[3], KeysWhere)
    rules = real_keys(6, torch.tensor([6, 6, 3, 6]), mask).patterns
    assert rules[2] == KeysBetween(1, 3)


@settings(max_examples=30)
@given(data=st.data(), causal=st.booleans(), backend=st.sampled_from(["reference", "tiled"]))
def test_masked_keys_are_those_that_are_left_out(data, causal, backend):
    rows = data.draw(
        st.lists(st.lists(st.booleans(), min_size=40, max_size=40), min_size=2, max_size=2)
    )
    key_mask = torch.tensor(rows)
    problem = Problem(sp.Strided(6), 33, 40, batch=2, group=2, causal=causal)
    tensors = problem.tensors()

    def attend(query, key, value):
        return sp.sparse_attention(
            query, key, value, problem.pattern, causal=causal, key_mask=key_mask,
            backend=backend, return_lse=True,
        )  # fmt: skip

    class Masked(Problem):
        def allowed(self):
            return super().allowed() & key_mask[:, None, None, :]

    masked = Masked(**{name: getattr(problem, name) for name in problem.__dataclass_fields__})
    assert_same(evaluate(attend, tensors), evaluate(masked.solve, tensors), **EXACT)


@pytest.mark.unchecked_arrays
def test_bad_key_masks_are_refused():
    query = torch.randn(2, 1, 4, 8)
    for mask in (torch.ones(2, 4), torch.ones(2, 5, dtype=torch.bool), [True]):
        with pytest.raises(ValueError, match="key_mask must be a tensor of truth values"):
            sp.sparse_attention(query, query, query, sp.Dense(), key_mask=mask)


def test_sequences_must_be_as_many_as_the_batch():
    pattern = sp.PerSequence([sp.Dense(), sp.Causal()])
    with pytest.raises(ValueError, match="one entry for each of the 3 sequences, got 2"):
        attend(pattern, batch=3)
    with pytest.raises(ValueError, match="as many sequences, got 2 and 3"):
        pattern & sp.PerSequence([sp.Dense()] * 3)


def test_sequences_and_heads_nest_in_one_order():
    heads = sp.PerHead((sp.Dense(), sp.Causal()))
    both = sp.PerSequence([sp.LocalWindow(2), sp.Dense()]) & heads
    assert isinstance(both, sp.PerSequence)
    assert both.mask(5).shape == (2, 2, 5, 5)
    assert torch.equal(both.mask(5)[0], (sp.LocalWindow(2) & heads).mask(5))
    assert (~both).allowed_pairs(5) == 4 * 25 - both.allowed_pairs(5)
    assert sp.PerSequence([sp.Dense(), heads]).mask(5).shape == (2, 2, 5, 5)
    torch.testing.assert_close(attend(both, batch=2), attend(both, "reference", batch=2))
    for bad in ([], sp.Dense(), [both], [1], [heads, sp.PerHead((sp.Dense(),) * 3)]):
        with pytest.raises(ValueError, match="patterns must"):
            sp.PerSequence(bad)
    with pytest.raises(ValueError, match="single attention patterns"):
        sp.PerHead((both,))
