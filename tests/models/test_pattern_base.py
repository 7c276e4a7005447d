"""What follows from a rule: mask, number of pairs, lookback and reach, against brute force."""

import operator
from dataclasses import fields

import numpy as np
import pytest
import torch
from example_patterns import EXAMPLE_PATTERNS, SINGLE_PATTERNS
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.models import attention_patterns
from sparse_transformers.models.attention_patterns import (
    AttentionSinks,
    Causal,
    Dense,
    DilatedWindow,
    Fixed,
    LocalWindow,
    Longformer,
    PerHead,
    RandomSparse,
    Strided,
)


@pytest.mark.parametrize("pattern", EXAMPLE_PATTERNS, ids=repr)
def test_repr_is_the_constructor_call_and_equal_patterns_share_a_hash(pattern):
    again = eval(repr(pattern), vars(attention_patterns).copy())

    assert again == pattern
    assert hash(again) == hash(pattern)


@pytest.mark.parametrize("pattern", EXAMPLE_PATTERNS, ids=repr)
def test_pattern_cannot_be_changed(pattern):
    for field in fields(pattern):
        with pytest.raises(AttributeError, match="cannot assign"):
            setattr(pattern, field.name, 1)


def test_other_options_or_another_class_make_another_pattern():
    assert LocalWindow(4) != LocalWindow(5)
    assert LocalWindow(4) != AttentionSinks(4)
    assert RandomSparse(0.5, seed=0) != RandomSparse(0.5, seed=1)
    assert LocalWindow(4) & Causal() != LocalWindow(4) | Causal()


@pytest.mark.parametrize("pattern", SINGLE_PATTERNS, ids=repr)
def test_numbers_give_the_same_results_as_tensors(pattern):
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randint(110, (2, 60), generator=generator)
    answers = [pattern.allows(int(q), int(k)) for q, k in zip(query, key, strict=True)]

    assert all(isinstance(answer, bool) for answer in answers)
    assert answers == torch.as_tensor(pattern.allows(query, key)).tolist()


@pytest.mark.parametrize("pattern", EXAMPLE_PATTERNS, ids=repr)
def test_a_pair_has_the_same_result_at_every_length(pattern):
    longest = pattern.mask(100)

    assert longest.dtype == torch.bool
    assert torch.equal(pattern.mask(61), longest[..., :61, :61])
    assert torch.equal(pattern.mask(7, 61), longest[..., 54:61, :61])


def test_per_head_mask_stacks_the_heads():
    mask = PerHead((LocalWindow(3), Causal())).mask(4, 9)

    assert mask.shape == (2, 4, 9)
    assert torch.equal(mask[0], LocalWindow(3).mask(4, 9))
    assert torch.equal(mask[1], Causal().mask(4, 9))


@pytest.mark.parametrize(("q_len", "k_len"), [(1, 1), (64, 64), (97, 97), (31, 100), (1, 129)])
@pytest.mark.parametrize("pattern", EXAMPLE_PATTERNS, ids=repr)
def test_allowed_pairs_are_those_of_the_mask(pattern, q_len, k_len):
    assert pattern.allowed_pairs(q_len, k_len) == int(pattern.mask(q_len, k_len).sum())


def test_allowed_pairs_of_a_long_window_follow_the_formula():
    n, w = 20_000, 100
    assert (LocalWindow(w) & Causal()).allowed_pairs(n) == n * w - w * (w - 1) // 2


@pytest.mark.parametrize("derived", ["mask", "allowed_pairs", "layout"])
def test_impossible_lengths_are_named(derived):
    with pytest.raises(ValueError, match="q_len must be a whole number of at least 1, got 0"):
        getattr(Causal(), derived)(0)
    with pytest.raises(ValueError, match=r"k_len must be at least q_len \(5\), got 4"):
        getattr(Causal(), derived)(5, 4)


@pytest.mark.parametrize(
    ("pattern", "lookback"),
    [
        (LocalWindow(5), 5),
        (LocalWindow(1), 1),
        (DilatedWindow(3, dilation=4), 9),
        (Strided(6, part="local"), 7),
        (Causal() & LocalWindow(5), 5),
        (LocalWindow(9) & LocalWindow(5), 5),
        (LocalWindow(9) | LocalWindow(5), 9),
        (PerHead((LocalWindow(5), LocalWindow(2))) & Causal(), 5),
        (Dense(), None),
        (Causal(), None),
        (Strided(6), None),
        (~LocalWindow(5), None),
        (LocalWindow(5) | AttentionSinks(1), None),
        (PerHead((LocalWindow(5), Dense())), None),
        # These see no further than the window, but what they see depends on the place as well, so
        # that a cache which drops old keys, and so renumbers the others, would change the answer.
        (Fixed(6, part="local"), None),
        (LocalWindow(5) & Fixed(6), None),
        (LocalWindow(5) & RandomSparse(0.5), None),
        (LocalWindow(5) & Longformer(3), None),
    ],
    ids=repr,
)
def test_lookback_is_the_bound_of_the_window(pattern, lookback):
    assert pattern.lookback == lookback


def bounded_patterns():
    """Causal patterns that say how far they look back."""
    sizes = st.integers(1, 12)
    single = st.one_of(
        st.builds(LocalWindow, sizes),
        st.builds(DilatedWindow, sizes, st.integers(1, 5)),
        st.builds(Strided, sizes, st.sampled_from(["local", "both"])),
        st.just(Causal()),
    )
    combined = st.recursive(
        single,
        lambda inner: st.one_of(
            st.builds(operator.and_, inner, inner), st.builds(operator.or_, inner, inner)
        ),
        max_leaves=4,
    )
    return combined.map(lambda pattern: pattern & Causal()).filter(lambda p: p.lookback is not None)


@given(pattern=bounded_patterns())
def test_keys_older_than_the_lookback_can_be_dropped(pattern):
    length = 100
    last_row = pattern.mask(1, length)[0]

    assert not last_row[: length - pattern.lookback].any()
    assert torch.equal(last_row[-pattern.lookback :], pattern.mask(1, pattern.lookback)[0])


@pytest.mark.parametrize(
    "pattern", [LocalWindow(7), DilatedWindow(4, 3), Strided(6, part="local")], ids=repr
)
def test_lookback_of_a_window_is_reached(pattern):
    distances = (100 - (pattern & Causal()).mask(1, 101)[0].nonzero()).flatten()

    assert distances.max() == pattern.lookback - 1


@pytest.mark.parametrize("n_layers", [0, 1, 2, 3])
@pytest.mark.parametrize("pattern", EXAMPLE_PATTERNS, ids=repr)
def test_reach_is_the_power_of_the_adjacency_matrix(pattern, n_layers):
    length = 40
    mask = pattern.mask(length).numpy()
    adjacency = (mask.any(0) if mask.ndim == 3 else mask) | np.eye(length, dtype=bool)
    walks = np.linalg.matrix_power(adjacency.astype(np.int64), n_layers)

    assert np.array_equal(pattern.reach(length, n_layers).numpy(), walks > 0)


@pytest.mark.parametrize("n_layers", [0, 1, 3, 50])
def test_reach_of_a_causal_window_grows_by_its_size_less_one(n_layers):
    distance = torch.arange(60)[:, None] - torch.arange(60)
    expected = (distance >= 0) & (distance <= n_layers * (5 - 1))

    assert torch.equal((LocalWindow(5) & Causal()).reach(60, n_layers), expected)


def test_reach_of_an_impossible_depth_or_length_is_refused():
    with pytest.raises(ValueError, match="n_layers must be a whole number of at least 0, got -1"):
        Causal().reach(8, -1)
    with pytest.raises(ValueError, match="q_len must be a whole number of at least 1, got 0"):
        Causal().reach(0, 1)
