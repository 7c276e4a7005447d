"""Step 1, from a pattern to views: the heads and tokens that share one layout of tiles.

Several layouts are needed where heads have patterns of their own, where the sequences of a batch
have different lengths, and where a part of the pattern holds on every n-th token only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from sparse_transformers.models.block_layout import BlockLayout
from sparse_transformers.models.pattern_base import (
    AttentionPattern,
    Interleaved,
    PerHead,
    PerSequence,
    same_rule,
)


@dataclass(frozen=True)
class View:
    """Heads and tokens that share one layout.

    `queries` and `keys` return them as (elements, heads, positions, dim) without a copy. The
    elements are those of the batch or, with `step` above 1 and no `phase`, the phases of one batch
    element.

    Attributes:
        layout: The tiles to visit.
        batch: The elements of the batch.
        q_heads: The query heads.
        kv_heads: The key and value heads that belong to them, as many as `q_heads`.
        step: Every `step`-th token belongs to the same subsequence (see `Interleaved`).
        phase: Number of the subsequence. None stands for all of them, which needs numbers of
            queries and keys that `step` divides.
        offset: Position of the first query.
        joins: Whether earlier views may have written results for the same queries.
    """

    layout: BlockLayout
    batch: slice
    q_heads: slice
    kv_heads: slice
    step: int
    phase: int | None
    offset: int
    joins: bool

    def queries(self, x: Tensor) -> Tensor:
        """The queries out of (batch, heads, positions, dim)."""
        return self._tokens(x[self.batch, self.q_heads], self.offset)

    def keys(self, x: Tensor) -> Tensor:
        """The keys out of (batch, heads, positions, dim)."""
        return self._tokens(x[self.batch, self.kv_heads], 0)

    def _tokens(self, x: Tensor, offset: int) -> Tensor:
        if self.step == 1:
            return x
        if self.phase is None:
            return x[0].unflatten(1, (-1, self.step)).permute(2, 0, 1, 3)
        return x[:, :, (self.phase - offset) % self.step :: self.step]


def views_of(
    query: Tensor,
    key: Tensor,
    pattern: AttentionPattern,
    block_size: int,
) -> list[View]:
    """All views of a problem; for each head, those of the pattern's first part come first."""
    q_len, k_len = query.shape[2], key.shape[2]
    views: list[View] = []
    for elements, sequence_pattern in _batch_groups(query.shape[0], pattern):
        for q_heads, kv_heads, head_pattern in _head_groups(
            query.shape[1], key.shape[1], sequence_pattern
        ):
            for number, part in enumerate(head_pattern.parts()):
                views += [
                    View(
                        layout=layout,
                        batch=rows,
                        q_heads=q_heads,
                        kv_heads=kv_heads,
                        step=part.step,
                        phase=phase,
                        offset=k_len - q_len,
                        joins=number > 0,
                    )
                    for layout, rows, phase in _subsequences(
                        part, elements, q_len, k_len, block_size
                    )
                ]
    return views


def _head_groups(
    n_heads: int, n_kv_heads: int, pattern: AttentionPattern
) -> Iterator[tuple[slice, slice, AttentionPattern]]:
    """Slices of equally many query and key heads, with the pattern of these heads."""
    group = n_heads // n_kv_heads
    if not isinstance(pattern, PerHead):
        # Query heads r, r + group, ... pair up with key heads 0, 1, ...
        for member in range(group):
            yield slice(member, None, group), slice(None), pattern
    elif group == 1:
        for heads, head_pattern in _runs(pattern.patterns):
            yield heads, heads, head_pattern
    else:
        for head, head_pattern in enumerate(pattern.patterns):
            kv_head = head // group
            yield slice(head, head + 1), slice(kv_head, kv_head + 1), head_pattern


def _batch_groups(
    batch: int, pattern: AttentionPattern
) -> Iterator[tuple[slice, AttentionPattern]]:
    """Slices of the batch with the pattern of these sequences."""
    if isinstance(pattern, PerSequence):
        yield from _runs(pattern.patterns)
    else:
        yield slice(0, batch), pattern


def _runs(patterns: Sequence[AttentionPattern]) -> Iterator[tuple[slice, AttentionPattern]]:
    """Slices of neighbours with the same pattern."""
    start = 0
    for stop in range(1, len(patterns) + 1):
        if stop == len(patterns) or not same_rule(patterns[stop], patterns[start]):
            yield slice(start, stop), patterns[start]
            start = stop


def _subsequences(
    part: Interleaved, batch: slice, q_len: int, k_len: int, block_size: int
) -> Iterator[tuple[BlockLayout, slice, int | None]]:
    """The layouts of a part, each with its batch elements and its phase (see `View`)."""
    step, offset = part.step, k_len - q_len
    if step == 1:
        yield part.pattern.layout(q_len, k_len, block_size), batch, None
    elif q_len % step == 0 and k_len % step == 0:
        layout = part.pattern.layout(q_len // step, k_len // step, block_size)
        for element in range(batch.start, batch.stop):
            yield layout, slice(element, element + 1), None
    else:
        for phase in range(min(step, k_len)):
            n_keys = len(range(phase, k_len, step))
            n_queries = len(range((phase - offset) % step, q_len, step))
            if n_queries:
                yield part.pattern.layout(n_queries, n_keys, block_size), batch, phase
