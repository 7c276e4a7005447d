"""What many tests share: an example of every pattern, and a strategy that makes more of them.

A registered pattern is among the examples by its `for_length`; the tests of masks, layouts and
backends then cover it.
"""

import operator

from hypothesis import strategies as st

import sparse_transformers as sp

SINGLE_PATTERNS: tuple[sp.AttentionPattern, ...] = (
    *(pattern.for_length(70) for pattern in sp.PATTERNS.values()),
    sp.LocalWindow(1),
    sp.LocalWindow(40),
    sp.DilatedWindow(4, dilation=3),
    sp.DilatedWindow(2, dilation=50),
    sp.Strided(7),
    sp.Strided(7, part="local"),
    sp.Strided(8, part="column"),
    sp.Fixed(8, summary_size=2),
    sp.Fixed(8, part="local"),
    sp.Fixed(5, part="column"),
    sp.BlockSparse(8, sparsity=0.7),
    sp.BlockSparse(48, sparsity=0.5, seed=3),
    sp.RandomSparse(0.9, seed=1),
    sp.GlobalTokens((0, 5, 6, 70)),
    sp.AttentionSinks(3),
    sp.Longformer(9),
    sp.Longformer(5, global_positions=(2, 40), dilation=4),
    sp.BigBird(4, random_blocks=2),
    sp.BigBird(16, window_blocks=1, global_blocks=2, seed=5, seq_len=90),
    sp.LocalWindow(20) & sp.Causal(),
    sp.Causal() & sp.Strided(9),
    sp.LocalWindow(12) | sp.AttentionSinks(4),
    (sp.DilatedWindow(3, dilation=8) | sp.GlobalTokens((1,))) & sp.Causal(),
    ~sp.LocalWindow(6),
    sp.Strided(5) & ~sp.Fixed(6),
    sp.LocalWindow(33) & ~sp.Dense(),  # nothing at all
)
"""Patterns with one rule for all heads."""

PER_HEAD_PATTERNS = (
    sp.PerHead((sp.LocalWindow(20), sp.LocalWindow(20), sp.Strided(6), ~sp.Causal())),
    sp.PerHead((sp.Strided(6, part="local"), sp.Strided(6, part="column"))) & sp.Causal(),
)

EXAMPLE_PATTERNS: tuple[sp.AttentionPattern, ...] = SINGLE_PATTERNS + PER_HEAD_PATTERNS


def single_patterns() -> st.SearchStrategy[sp.AttentionPattern]:
    """Patterns with one rule for all heads: elementary ones, and their compositions."""
    return st.recursive(
        elementary_patterns(),
        lambda inner: st.one_of(
            st.builds(operator.and_, inner, inner),
            st.builds(operator.or_, inner, inner),
            st.builds(operator.invert, inner),
        ),
        max_leaves=3,
    )


def patterns(n_heads: int) -> st.SearchStrategy[sp.AttentionPattern]:
    """Any pattern that `n_heads` heads can use, some with a rule of its own for every head."""
    per_head = st.lists(single_patterns(), min_size=n_heads, max_size=n_heads).map(sp.PerHead)
    return st.one_of(single_patterns(), per_head)


def elementary_patterns() -> st.SearchStrategy[sp.AttentionPattern]:
    """One pattern of the literature, with options on both sides of a tile's edge."""
    sizes = st.sampled_from([1, 2, 3, 7, 16, 31, 33, 70])
    steps = st.sampled_from([1, 2, 5, 8, 37])
    seeds = st.integers(0, 9)
    sparsities = st.sampled_from([0.0, 0.5, 0.9, 1.0])
    parts = st.sampled_from(["both", "local", "column"])
    places = st.lists(st.integers(0, 130), min_size=1, max_size=3)
    return st.one_of(
        st.just(sp.Dense()),
        st.just(sp.Causal()),
        st.builds(sp.LocalWindow, sizes),
        st.builds(sp.DilatedWindow, sizes, steps),
        st.builds(sp.Strided, steps, parts),
        sizes.flatmap(lambda size: st.builds(sp.Fixed, st.just(size), st.integers(1, size), parts)),
        st.builds(sp.BlockSparse, sizes, sparsities, seeds),
        st.builds(sp.RandomSparse, sparsities, seeds),
        st.builds(sp.GlobalTokens, places),
        st.builds(sp.AttentionSinks, sizes),
        st.builds(sp.Longformer, sizes, places, steps),
        st.builds(
            sp.BigBird,
            sizes,
            window_blocks=st.sampled_from([1, 3]),
            global_blocks=st.integers(0, 2),
            random_blocks=st.integers(0, 2),
            seed=seeds,
            seq_len=st.sampled_from([None, 40, 130]),
        ),
    )
