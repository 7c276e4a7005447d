"""What many tests share: an example of every pattern, and a strategy that makes more of them.

A new pattern needs one entry in `EXAMPLE_PATTERNS`; the tests of masks, layouts and backends then
cover it.
"""

import operator

from hypothesis import strategies as st

from sparse_transformers.models.attention_patterns import (
    AttentionPattern,
    AttentionSinks,
    BigBird,
    BlockSparse,
    Causal,
    Dense,
    DilatedWindow,
    Fixed,
    GlobalTokens,
    LocalWindow,
    Longformer,
    PerHead,
    RandomSparse,
    Strided,
)

SINGLE_PATTERNS: tuple[AttentionPattern, ...] = (
    Dense(),
    Causal(),
    LocalWindow(1),
    LocalWindow(40),
    DilatedWindow(4, dilation=3),
    DilatedWindow(2, dilation=50),
    Strided(7),
    Strided(7, part="local"),
    Strided(8, part="column"),
    Fixed(8, summary_size=2),
    Fixed(8, part="local"),
    Fixed(5, part="column"),
    BlockSparse(8, sparsity=0.7),
    BlockSparse(48, sparsity=0.5, seed=3),
    RandomSparse(0.9, seed=1),
    GlobalTokens((0, 5, 6, 70)),
    AttentionSinks(3),
    Longformer(9),
    Longformer(5, global_positions=(2, 40), dilation=4),
    BigBird(4, random_blocks=2),
    BigBird(16, window_blocks=1, global_blocks=2, seed=5, seq_len=90),
    LocalWindow(20) & Causal(),
    Causal() & Strided(9),
    LocalWindow(12) | AttentionSinks(4),
    (DilatedWindow(3, dilation=8) | GlobalTokens((1,))) & Causal(),
    ~LocalWindow(6),
    Strided(5) & ~Fixed(6),
    LocalWindow(33) & ~Dense(),  # nothing at all
)
"""Patterns with one rule for all heads."""

PER_HEAD_PATTERNS = (
    PerHead((LocalWindow(20), LocalWindow(20), Strided(6), ~Causal())),
    PerHead((Strided(6, part="local"), Strided(6, part="column"))) & Causal(),
)

EXAMPLE_PATTERNS: tuple[AttentionPattern, ...] = SINGLE_PATTERNS + PER_HEAD_PATTERNS


def single_patterns() -> st.SearchStrategy[AttentionPattern]:
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


def patterns(n_heads: int) -> st.SearchStrategy[AttentionPattern]:
    """Any pattern that `n_heads` heads can use, some with a rule of its own for every head."""
    per_head = st.lists(single_patterns(), min_size=n_heads, max_size=n_heads).map(PerHead)
    return st.one_of(single_patterns(), per_head)


def elementary_patterns() -> st.SearchStrategy[AttentionPattern]:
    """One pattern of the literature, with options on both sides of a tile's edge."""
    sizes = st.sampled_from([1, 2, 3, 7, 16, 31, 33, 70])
    steps = st.sampled_from([1, 2, 5, 8, 37])
    seeds = st.integers(0, 9)
    sparsities = st.sampled_from([0.0, 0.5, 0.9, 1.0])
    parts = st.sampled_from(["both", "local", "column"])
    places = st.lists(st.integers(0, 130), min_size=1, max_size=3)
    return st.one_of(
        st.just(Dense()),
        st.just(Causal()),
        st.builds(LocalWindow, sizes),
        st.builds(DilatedWindow, sizes, steps),
        st.builds(Strided, steps, parts),
        sizes.flatmap(lambda size: st.builds(Fixed, st.just(size), st.integers(1, size), parts)),
        st.builds(BlockSparse, sizes, sparsities, seeds),
        st.builds(RandomSparse, sparsities, seeds),
        st.builds(GlobalTokens, places),
        st.builds(AttentionSinks, sizes),
        st.builds(Longformer, sizes, places, steps),
        st.builds(
            BigBird,
            sizes,
            window_blocks=st.sampled_from([1, 3]),
            global_blocks=st.integers(0, 2),
            random_blocks=st.integers(0, 2),
            seed=seeds,
            seq_len=st.sampled_from([None, 40, 130]),
        ),
    )
