"""`&`, `|` and `~` on patterns are those on their masks, and `parts` split a pattern exactly."""

import pytest
import torch
from example_patterns import SINGLE_PATTERNS, patterns, single_patterns
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.models.attention_patterns import (
    Causal,
    Dense,
    DilatedWindow,
    LocalWindow,
    Longformer,
    PerHead,
    Strided,
)

lengths = st.sampled_from([(1, 1), (40, 40), (90, 90), (33, 90), (1, 90)])


@given(left=patterns(n_heads=2), right=patterns(n_heads=2), lengths=lengths)
def test_operators_act_on_patterns_as_on_masks(left, right, lengths):
    a, b = left.mask(*lengths), right.mask(*lengths)

    assert torch.equal((left & right).mask(*lengths), a & b)
    assert torch.equal((left | right).mask(*lengths), a | b)
    assert torch.equal((~left).mask(*lengths), ~a)


@given(left=patterns(n_heads=2), right=patterns(n_heads=2))
def test_de_morgan_holds(left, right):
    assert torch.equal((~(left & right)).mask(40), (~left | ~right).mask(40))
    assert torch.equal((~(left | right)).mask(40), (~left & ~right).mask(40))


@given(pattern=patterns(n_heads=2))
def test_complement_of_the_complement_is_the_pattern_itself(pattern):
    assert ~~pattern == pattern


@pytest.mark.parametrize("pattern", SINGLE_PATTERNS, ids=repr)
def test_pattern_and_its_complement_split_all_pairs(pattern):
    assert (pattern | ~pattern).mask(50).all()
    assert not (pattern & ~pattern).mask(50).any()


def test_per_head_combines_head_by_head():
    heads = PerHead((LocalWindow(3), Dense()))

    assert heads & Causal() == PerHead((LocalWindow(3) & Causal(), Dense() & Causal()))
    assert Causal() | heads == PerHead((Causal() | LocalWindow(3), Causal() | Dense()))
    assert heads & ~heads == PerHead((LocalWindow(3) & ~LocalWindow(3), Dense() & ~Dense()))


def test_per_head_has_no_single_rule_or_layout():
    heads = PerHead((LocalWindow(3), Dense()))

    with pytest.raises(ValueError, match="one rule for each head"):
        heads.allows(0, 0)
    with pytest.raises(ValueError, match="one layout for each head"):
        heads.layout(8)


@pytest.mark.parametrize(
    ("combine", "message"),
    [
        (lambda: PerHead(()), "patterns .* each head, got none"),
        (lambda: PerHead(("local",)), "patterns must be single attention patterns, got 'local'"),
        (lambda: PerHead((PerHead((Dense(),)),)), "patterns must be single attention patterns"),
        (lambda: PerHead((Dense(),)) & PerHead((Dense(), Dense())), "as many heads, got 1 and 2"),
        (lambda: Causal() & 3, "another pattern, got 3"),
        (lambda: Causal() | "local", "another pattern, got 'local'"),
    ],
)
def test_impossible_combination_is_refused(combine, message):
    with pytest.raises(ValueError, match=message):
        combine()


def pairs_of_part(step, pattern, length):
    """The pairs of an interleaved part, by its definition."""
    query, key = torch.arange(length)[:, None], torch.arange(length)
    same_subsequence = query % step == key % step
    return same_subsequence & pattern.allows(query // step, key // step)


@pytest.mark.parametrize("pattern", SINGLE_PATTERNS, ids=repr)
def test_parts_of_an_example_are_disjoint_and_complete(pattern):
    times_seen = sum(pairs_of_part(*part, 80).int() for part in pattern.parts())

    assert torch.equal(times_seen, pattern.mask(80).int())


@given(pattern=single_patterns(), length=st.integers(1, 90))
def test_parts_of_any_pattern_are_disjoint_and_complete(pattern, length):
    for whole in (pattern, pattern & Causal()):
        times_seen = sum(pairs_of_part(*part, length).int() for part in whole.parts())
        assert torch.equal(times_seen, whole.mask(length).int())


@pytest.mark.parametrize(
    ("pattern", "steps"),
    [
        (DilatedWindow(4, dilation=8), [8]),
        (Strided(16, part="column") & Causal(), [16]),
        (Causal() & Strided(16), [1, 16]),
        (Longformer(4, dilation=8), [8, 1]),
        (LocalWindow(4) | Strided(16, part="column"), [16, 1]),
        (LocalWindow(4), [1]),
    ],
    ids=repr,
)
def test_parts_turn_far_apart_tokens_into_neighbours(pattern, steps):
    assert [part.step for part in pattern.parts()] == steps
