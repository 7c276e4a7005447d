"""Layouts against brute force: the mask is cut into tiles, and every tile is looked at."""

import logging
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from attention_problems import EXACT, Problem, assert_same, evaluate
from example_patterns import SINGLE_PATTERNS, single_patterns
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import pad

from sparse_transformers.models import block_layout, pattern_base
from sparse_transformers.models.attention_patterns import (
    AttentionPattern,
    AttentionSinks,
    BlockSparse,
    Causal,
    Dense,
    LocalWindow,
    RandomSparse,
    Strided,
)
from sparse_transformers.models.block_layout import FULL_TILE, BlockLayout, build_layout

LENGTHS = [(1, 1), (96, 96), (101, 101), (37, 130), (1, 64)]

lengths = st.tuples(st.integers(1, 130), st.integers(0, 100)).map(lambda t: (t[0], t[0] + t[1]))
block_sizes = st.sampled_from([1, 5, 16, 32, 64])


def cut_into_tiles(mask: torch.Tensor, block_size: int) -> torch.Tensor:
    """The mask as (rows, columns, block, block), False past its ends."""
    bottom, right = (-length % block_size for length in mask.shape)
    whole = pad(mask, (0, right, 0, bottom))
    return whole.unflatten(1, (-1, block_size)).unflatten(0, (-1, block_size)).transpose(1, 2)


def real_pairs(layout: BlockLayout) -> torch.Tensor:
    """Which pairs of every tile exist."""
    return cut_into_tiles(
        torch.ones(layout.q_len, layout.k_len, dtype=torch.bool), layout.block_size
    )


def check_against_mask(layout: BlockLayout, mask: torch.Tensor) -> None:
    tiles, real = cut_into_tiles(mask, layout.block_size), real_pairs(layout)
    rows, columns = layout.tile_rows, layout.columns

    # Exactly the tiles with an allowed pair, row by row.
    listed = torch.stack([rows, columns], dim=1)
    assert torch.equal(listed, tiles.flatten(2).any(2).nonzero())
    assert torch.equal(layout.row_starts.diff(), tiles.flatten(2).any(2).sum(1))
    assert layout.row_starts[0] == 0

    # The mask of each, where there is a query; there is no key past the end.
    masks = layout.tile_masks(torch.arange(layout.n_tiles))
    has_query = real[rows, columns].any(2)[:, :, None]
    assert torch.equal(masks & has_query, tiles[rows, columns])

    # Full means that all pairs of existing keys are allowed; a whole tile of such pairs is full.
    full = layout.mask_ids == FULL_TILE
    all_keys = real[rows, columns].any(1).all(1)
    all_allowed = (tiles == real)[rows, columns].flatten(1).all(1)
    whole = real[rows, columns].flatten(1).all(1)
    assert not (full & ~(all_allowed & all_keys)).any()
    assert not (whole & all_allowed & ~full).any()
    assert (layout.n_full, layout.n_partial) == (int(full.sum()), int((~full).sum()))
    picture = torch.zeros(tiles.shape[:2], dtype=torch.int64)
    picture[rows, columns] = 1 + full.long()
    assert torch.equal(layout.to_dense(), picture)

    # What it costs.
    assert layout.allowed_pairs == int(mask.sum())
    assert layout.computed_pairs == int(real[rows, columns].sum())
    assert layout.density == pytest.approx(float(mask.float().mean()))
    assert layout.fill * layout.computed_pairs == pytest.approx(layout.allowed_pairs)


@pytest.mark.parametrize(("q_len", "k_len"), LENGTHS)
@pytest.mark.parametrize("pattern", SINGLE_PATTERNS, ids=repr)
def test_layout_lists_the_tiles_of_the_mask(pattern, q_len, k_len):
    check_against_mask(pattern.layout(q_len, k_len, 16), pattern.mask(q_len, k_len))


@given(pattern=single_patterns(), lengths=lengths, block_size=block_sizes)
def test_layout_of_any_pattern_lists_the_tiles_of_its_mask(pattern, lengths, block_size):
    check_against_mask(pattern.layout(*lengths, block_size), pattern.mask(*lengths))


@dataclass(frozen=True)
class OnePair(AttentionPattern):
    """One query sees one key."""

    query: int
    key: int

    def allows(self, query: Any, key: Any) -> Any:
        return (query == self.query) & (key == self.key)


@pytest.mark.parametrize(("query", "key"), [(0, 0), (15, 16), (31, 0), (47, 47)])
def test_one_pair_decides_whether_a_tile_is_visited_or_full(query, key):
    alone, missing = OnePair(query, key), ~OnePair(query, key)
    layout, holed = (pattern.layout(48, block_size=16) for pattern in (alone, missing))

    assert (layout.n_full, layout.n_partial) == (0, 1)
    assert (holed.n_full, holed.n_partial) == (8, 1)
    check_against_mask(layout, alone.mask(48))
    check_against_mask(holed, missing.mask(48))


def check_candidates(pattern, q_len, k_len, block_size):
    first = torch.arange(k_len - q_len, k_len, block_size)
    last = (first + block_size).clamp(max=k_len) - 1
    ranges = pattern.candidate_keys(first, last, k_len)
    if ranges is None:
        return
    key = torch.arange(k_len)
    candidates = torch.zeros(len(first), k_len, dtype=torch.bool)
    for start, stop in ranges:
        start, stop = (torch.as_tensor(edge).expand(len(first)) for edge in (start, stop))
        candidates |= (key >= start[:, None]) & (key < stop[:, None])
    mask = pattern.mask(q_len, k_len)
    for row, allowed in enumerate(mask.split(block_size)):
        assert not (allowed.any(0) & ~candidates[row]).any()


@pytest.mark.parametrize("pattern", SINGLE_PATTERNS, ids=repr)
def test_candidate_keys_hold_every_allowed_key(pattern):
    for q_len, k_len in LENGTHS:
        check_candidates(pattern, q_len, k_len, block_size=16)


@given(pattern=single_patterns(), lengths=lengths, block_size=block_sizes)
def test_candidate_keys_of_any_pattern_hold_every_allowed_key(pattern, lengths, block_size):
    check_candidates(pattern, *lengths, block_size)


@pytest.mark.parametrize("pattern", SINGLE_PATTERNS, ids=repr)
def test_every_pattern_of_ours_says_where_to_look(pattern):
    first, last = torch.tensor([0, 16]), torch.tensor([15, 31])
    assert pattern.candidate_keys(first, last, 32) is not None


@dataclass(frozen=True)
class Silent(AttentionPattern):
    """The rule of another pattern, without its hint where to look."""

    pattern: AttentionPattern

    def allows(self, query: Any, key: Any) -> Any:
        return self.pattern.allows(query, key)


@dataclass(frozen=True)
class Loose(Silent):
    """The rule of another pattern, with a hint that is correct but poor."""

    def candidate_keys(self, first: Any, last: Any, k_len: int) -> Any:
        return [(-50, 5), (20, 10), (0, k_len + 70), (first - 100, last + 100), (3, 3)]


def assert_same_layout(layout: BlockLayout, other: BlockLayout) -> None:
    for tensor in ("row_starts", "columns", "mask_ids", "masks"):
        assert torch.equal(getattr(layout, tensor), getattr(other, tensor)), tensor
    assert layout.allowed_pairs == other.allowed_pairs


@pytest.mark.parametrize("wrapper", [Silent, Loose])
@pytest.mark.parametrize("pattern", SINGLE_PATTERNS, ids=repr)
def test_hint_changes_nothing_but_the_time(pattern, wrapper):
    assert_same_layout(wrapper(pattern).layout(70, 101, 16), pattern.layout(70, 101, 16))


def test_pattern_without_hint_is_warned_about_once(caplog):
    @dataclass(frozen=True)
    class WithoutHint(Silent):
        pass

    with caplog.at_level(logging.WARNING, logger="sparse_transformers"):
        for length in (20, 40):
            WithoutHint(LocalWindow(4)).layout(length)
        LocalWindow(4).layout(50)

    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert "WithoutHint does not say where its keys are" in warnings[0]
    assert "candidate_keys" in warnings[0]


@pytest.mark.parametrize(
    ("combine", "warned"),
    [
        (lambda silent: silent & Causal(), True),
        (lambda silent: Causal() & silent, True),
        (lambda silent: silent & Dense(), True),
        (lambda silent: silent & (Causal() & Causal()), True),
        (lambda silent: silent | LocalWindow(3), True),
        (lambda silent: ~silent, True),
        (lambda silent: silent & silent, True),
        (lambda silent: silent & LocalWindow(3), False),
        (lambda silent: (LocalWindow(3) & Causal()) & silent, False),
    ],
)
def test_combinations_are_warned_about_where_no_hint_narrows_the_search(combine, warned, caplog):
    @dataclass(frozen=True)
    class WithoutHint(Silent):
        pass

    with caplog.at_level(logging.WARNING, logger="sparse_transformers"):
        combine(WithoutHint(LocalWindow(40))).layout(64)
    assert len(caplog.records) == warned


def test_pairs_of_an_interleaved_pattern_are_counted_in_its_parts(monkeypatch):
    sizes = []

    def build(pattern, q_len, k_len, block_size):
        sizes.append(q_len)
        return build_layout(pattern, q_len, k_len, block_size)

    monkeypatch.setattr(pattern_base, "build_layout", build)
    # A query sees its own key and every 900th from it: 5,005 is 5 * 900 and 505 more.
    expected = sum((5_005 - query - 1) // 900 + query // 900 + 1 for query in range(5_005))
    assert Strided(900, "column").allowed_pairs(5_005) == expected
    assert max(sizes) == 6


def test_pattern_that_sees_nothing_has_no_tiles():
    @dataclass(frozen=True)
    class Blind(AttentionPattern):
        def allows(self, query: Any, key: Any) -> Any:
            return False

        def candidate_keys(self, first: Any, last: Any, k_len: int) -> Any:
            return []

    layout = Blind().layout(40, 70, 16)

    assert (layout.n_tiles, layout.allowed_pairs, layout.computed_pairs) == (0, 0, 0)
    assert (layout.fill, layout.density) == (1.0, 0.0)
    assert layout.tile_masks(torch.arange(0)).shape == (0, 16, 16)


@pytest.mark.parametrize("constant", ["PAIRS_PER_CHUNK", "CANDIDATES_PER_CHUNK"])
@pytest.mark.parametrize("pattern", SINGLE_PATTERNS, ids=repr)
def test_layout_built_in_small_chunks_is_the_same(pattern, constant, monkeypatch):
    at_once = build_layout(pattern, 70, 101, block_size=16)
    monkeypatch.setattr(block_layout, constant, 1)

    assert_same_layout(build_layout(pattern, 70, 101, block_size=16), at_once)


@pytest.mark.parametrize("pattern", SINGLE_PATTERNS, ids=repr)
def test_layout_with_too_many_masks_makes_them_when_used(pattern, monkeypatch):
    monkeypatch.setattr(block_layout, "MAX_TABULATED_PAIRS", 16**2)
    layout = build_layout(pattern, 70, 101, block_size=16)

    check_against_mask(layout, pattern.mask(70, 101))


@pytest.mark.parametrize(
    "pattern",
    [
        RandomSparse(0.7, seed=987),  # seeds of their own: the layouts are not in the cache yet
        RandomSparse(0.7, seed=988) & (LocalWindow(70) | AttentionSinks(20)) & Causal(),
        RandomSparse(0.7, seed=989) & BlockSparse(40, 0.4),
    ],
    ids=repr,
)
def test_attention_with_too_many_masks_to_keep_is_the_same(pattern, monkeypatch):
    monkeypatch.setattr(block_layout, "MAX_TABULATED_PAIRS", 1)
    monkeypatch.setattr(block_layout, "PAIRS_PER_CHUNK", 1)  # all but the first are too many
    for lengths in [(384, 384), (390, 400)]:
        problem = Problem(pattern, *lengths)
        tensors = problem.tensors()
        results = evaluate(problem.attend("tiled"), tensors)

        assert_same(results, evaluate(problem.solve, tensors), **EXACT)
        assert pattern.layout(*lengths, block_size=32).masks is None


def test_equal_masks_are_kept_once():
    layout = (LocalWindow(40) & Causal()).layout(16 * 50, block_size=16)

    assert layout.n_tiles > 150
    assert len(layout.masks) == 3  # the diagonal, and two at the far edge of the window
    dense = Dense().layout(64, block_size=16)
    assert (dense.n_full, len(dense.masks)) == (16, 0)


def test_equal_requests_share_one_layout():
    assert LocalWindow(9).layout(50, 70, 16) is LocalWindow(9).layout(50, 70, 16)
    assert LocalWindow(9).layout(50, 50, 16) is LocalWindow(9).layout(50, block_size=16)


def test_block_size_below_one_is_refused():
    with pytest.raises(ValueError, match="block_size must be a whole number of at least 1, got 0"):
        LocalWindow(4).layout(8, block_size=0)
