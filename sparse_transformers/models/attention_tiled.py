"""Attention that visits the tiles of a layout and nothing else, forward and backward.

The work falls apart three times, always into views of the tensors, so that nothing is copied:

    part     a piece of the pattern that is dense in tiles, perhaps on every n-th token only
    stream   heads and tokens that share one layout; their batch (or phase) comes first
    strip    rows of tiles that one call takes together

Rows that occur in several parts are joined through their log-sum-exp. Only the output and the
log-sum-exp are kept for the backward pass, which computes the scores again tile by tile and adds
the gradients of keys and values in place. Memory therefore grows with the length, not its square.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from sparse_transformers.models.block_layout import BlockLayout
from sparse_transformers.models.pattern_base import AttentionPattern, Interleaved, PerHead, Positions
from sparse_transformers.models.tile_attention import (
    TileGradients,
    can_fuse,
    fused_backward,
    fused_forward,
    plain_backward,
    plain_forward,
)
from sparse_transformers.models.tile_strips import Strip, strips_of

BLOCK_SIZE = {"cpu": 32, "cuda": 64}
"""Edge of a tile. Small tiles waste less at the edges of a window; large ones run faster."""
BYTES_PER_CALL = {"cpu": 4 << 20, "cuda": 256 << 20}
"""Keys, values and scores of one call: within the cache of a CPU, enough to fill a GPU."""


def tiled_attention(
    query: Float[Tensor, "batch heads queries dim"],
    key: Float[Tensor, "batch kv_heads keys dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    pattern: AttentionPattern,
    scale: float,
    key_lengths: tuple[int, ...] | None = None,
) -> tuple[
    Float[Tensor, "batch heads queries value_dim"],
    Float[Tensor, "batch heads queries"],
]:
    """Output and log-sum-exp over the pairs that `pattern` allows; arguments are not checked here.

    The gradient flows through both results. Work and memory follow the tiles of the layout.
    """
    query, key, value = (x if x.stride(-1) == 1 else x.contiguous() for x in (query, key, value))
    return _TiledAttention.apply(query, key, value, pattern, scale, key_lengths)


@dataclass(frozen=True)
class KeysBefore(AttentionPattern):
    """Every query sees the keys before position `length`: the real tokens of a padded sequence."""

    length: int

    def allows(self, query: Positions, key: Positions) -> Any:
        return (query >= 0) & (key < self.length)

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Any:
        return [(0, self.length)]


class _TiledAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        pattern: AttentionPattern,
        scale: float,
        key_lengths: tuple[int, ...] | None,
    ) -> tuple[Tensor, Tensor]:
        streams = _streams(query, key, pattern, key_lengths)
        joins = any(stream.joins for stream in streams)
        # A sum of several parts is rounded once, at the end.
        out_dtype = torch.promote_types(query.dtype, torch.float32) if joins else query.dtype
        output = _like_tokens(query, value.shape[-1], out_dtype)
        lse = _like_tokens(query, 1, torch.promote_types(query.dtype, torch.float32))
        lse.fill_(-torch.inf)
        run = fused_forward if can_fuse(query, key, value) else plain_forward
        for stream in streams:
            q, o, s = (stream.queries(x) for x in (query, output, lse))
            k, v = (_Keys(stream.keys(x), stream.layout) for x in (key, value))
            for call in _calls(stream, q.shape, k.tokens.shape, query.device.type, q.dtype):
                part_output, part_lse = run(
                    call.queries(q), call.keys(k), call.keys(v), call.bias(q), scale
                )
                if stream.joins:
                    part_output, part_lse = _join(
                        call.queries(o), call.queries(s)[..., 0], part_output, part_lse
                    )
                call.put_queries(o, part_output)
                call.put_queries(s, part_lse[..., None])
        output, lse = output.to(query.dtype), lse[..., 0]
        ctx.save_for_backward(query, key, value, output, lse)
        ctx.scale, ctx.streams = scale, streams
        ctx.set_materialize_grads(False)
        return output, lse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor | None, grad_lse: Tensor | None) -> Any:
        query, key, value, output, lse = ctx.saved_tensors
        if grad_output is None:
            grad_output = torch.zeros_like(output)
        if grad_output.stride(-1) != 1:
            grad_output = grad_output.contiguous()
        dtype = torch.promote_types(query.dtype, torch.float32)
        fused = can_fuse(query, key, value) and grad_lse is None
        delta = None
        if not fused:
            delta = (grad_output * output).sum(-1, dtype=dtype)
            delta = (delta if grad_lse is None else delta - grad_lse)[..., None]
        # exp(score - inf) = 0: a query without any key gives nothing back.
        lse = lse.masked_fill(lse == -torch.inf, torch.inf)[..., None]

        grad_query = _like_tokens(query, query.shape[-1], dtype)
        grad_key = _like_tokens(key, key.shape[-1], dtype)
        grad_value = _like_tokens(value, value.shape[-1], dtype)
        for stream in ctx.streams:
            q, o, s, g, dq = (
                stream.queries(x) for x in (query, output, lse, grad_output, grad_query)
            )
            k, v, dk, dv = (
                _Keys(stream.keys(x), stream.layout) for x in (key, value, grad_key, grad_value)
            )
            d = None if delta is None else stream.queries(delta)
            for call in _calls(stream, q.shape, k.tokens.shape, query.device.type, q.dtype):
                inputs = (
                    call.queries(g),
                    call.queries(q),
                    call.keys(k),
                    call.keys(v),
                    call.bias(q),
                    ctx.scale,
                )
                row_lse = call.queries(s)[..., 0]
                if d is None:
                    grads = fused_backward(*inputs, call.queries(o), row_lse)
                else:
                    grads = plain_backward(*inputs, call.queries(d)[..., 0], row_lse)
                call.put_gradients(dq, dk, dv, grads, add_queries=stream.joins)
            dk.flush()
            dv.flush()
        return (
            grad_query.to(query.dtype),
            grad_key.to(key.dtype),
            grad_value.to(value.dtype),
            None,
            None,
            None,
        )


@dataclass(frozen=True)
class _Stream:
    """Heads and tokens that share one layout, as views (n, heads, positions, dim).

    `n` counts batch elements or, for an interleaved part, the phases of one batch element.
    """

    layout: BlockLayout
    batch: slice
    q_heads: slice
    kv_heads: slice
    step: int
    phase: int | None
    """None: all phases together, which needs queries and keys that divide evenly."""
    offset: int
    """Position of the first query."""
    joins: bool
    """Whether the rows may hold results of an earlier part."""

    def queries(self, x: Tensor) -> Tensor:
        return self._tokens(x[self.batch, self.q_heads], self.offset)

    def keys(self, x: Tensor) -> Tensor:
        return self._tokens(x[self.batch, self.kv_heads], 0)

    def _tokens(self, x: Tensor, offset: int) -> Tensor:
        if self.step == 1:
            return x
        if self.phase is None:
            return x[0].unflatten(1, (-1, self.step)).permute(2, 0, 1, 3)
        return x[:, :, (self.phase - offset) % self.step :: self.step]


def _streams(
    query: Tensor, key: Tensor, pattern: AttentionPattern, key_lengths: tuple[int, ...] | None
) -> list[_Stream]:
    """Everything that has to be visited, in order."""
    batch, q_len, k_len = query.shape[0], query.shape[2], key.shape[2]
    block_size = BLOCK_SIZE.get(query.device.type, BLOCK_SIZE["cuda"])
    streams: list[_Stream] = []
    for q_heads, kv_heads, head_pattern in _head_groups(query.shape[1], key.shape[1], pattern):
        for elements, length in _batch_groups(batch, k_len, key_lengths):
            visible = head_pattern if length is None else head_pattern & KeysBefore(length)
            for number, part in enumerate(visible.parts()):
                streams += [
                    _Stream(layout, rows, q_heads, kv_heads, part.step, phase, k_len - q_len, number > 0)
                    for layout, rows, phase in _subsequences(part, elements, q_len, k_len, block_size)
                ]
    return streams


def _head_groups(
    n_heads: int, n_kv_heads: int, pattern: AttentionPattern
) -> Iterator[tuple[slice, slice, AttentionPattern]]:
    """Slices of query heads and key heads, equally many of both, with the pattern that they share."""
    group = n_heads // n_kv_heads
    if not isinstance(pattern, PerHead):
        # Query heads r, r + group, ... pair up with key heads 0, 1, ...
        for member in range(group):
            yield slice(member, None, group), slice(None), pattern
    elif group == 1:
        start = 0
        for stop in range(1, n_heads + 1):
            if stop == n_heads or pattern.patterns[stop] != pattern.patterns[start]:
                yield slice(start, stop), slice(start, stop), pattern.patterns[start]
                start = stop
    else:
        for head, head_pattern in enumerate(pattern.patterns):
            kv_head = head // group
            yield slice(head, head + 1), slice(kv_head, kv_head + 1), head_pattern


def _batch_groups(
    batch: int, k_len: int, key_lengths: tuple[int, ...] | None
) -> Iterator[tuple[slice, int | None]]:
    """Slices of the batch with the number of real keys they share; None if all keys are real."""
    if key_lengths is None:
        yield slice(0, batch), None
        return
    start = 0
    for stop in range(1, batch + 1):
        if stop == batch or key_lengths[stop] != key_lengths[start]:
            length = key_lengths[start]
            yield slice(start, stop), length if length < k_len else None
            start = stop


def _subsequences(
    part: Interleaved, batch: slice, q_len: int, k_len: int, block_size: int
) -> Iterator[tuple[BlockLayout, slice, int | None]]:
    """The layouts of a part, with the batch elements and the phase that each is for."""
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


class _Keys:
    """Keys, values or their gradients of one stream, reachable as tokens and as whole tiles."""

    def __init__(self, tokens: Tensor, layout: BlockLayout) -> None:
        self.tokens = tokens
        self.block_size = layout.block_size
        self._tiles: Tensor | None = None
        self._is_copy = False

    @property
    def tiles(self) -> Tensor:
        """(n, tiles, block, heads, dim): a view, or a padded copy where the last tile is cut."""
        if self._tiles is None:
            missing = -self.tokens.shape[2] % self.block_size
            self._is_copy = missing > 0
            tokens = pad(self.tokens, (0, 0, 0, missing)) if missing else self.tokens
            self._tiles = tokens.transpose(1, 2).unflatten(1, (-1, self.block_size))
        return self._tiles

    def flush(self) -> None:
        """Writes back gradients that were gathered in a padded copy."""
        if self._is_copy:
            assert self._tiles is not None
            tokens = self._tiles.flatten(1, 2).transpose(1, 2)
            self.tokens.copy_(tokens[:, :, : self.tokens.shape[2]])


@dataclass(frozen=True)
class _Call:
    """Rows `start` to `stop` of a strip; for one element of the stream, or one row for all of them.

    Views of tokens come as (rows or elements, heads, tokens, dim).
    """

    strip: Strip
    start: int
    stop: int
    element: int | None

    def queries(self, x: Tensor) -> Tensor:
        size, rows = self.strip.layout.block_size, self.strip.rows
        first, height = int(rows[self.start]) * size, self.strip.height
        if self.element is None:
            return x[:, :, first : first + height]
        x = x[self.element]
        if self.strip.rows_follow:
            return _rows_of_tokens(x, first, self.stop - self.start, size, height)
        tokens = rows[self.start : self.stop, None] * size + torch.arange(height)
        return x[:, tokens.to(x.device)].transpose(0, 1)

    def put_queries(self, x: Tensor, values: Tensor) -> None:
        if self.strip.rows_follow:
            self.queries(x).copy_(values)
            return
        assert self.element is not None
        size, height = self.strip.layout.block_size, self.strip.height
        tokens = self.strip.rows[self.start : self.stop, None] * size + torch.arange(height)
        x[self.element][:, tokens.to(x.device)] = values.transpose(0, 1)

    def keys(self, x: _Keys) -> Tensor:
        strip = self.strip
        if strip.step is None:
            columns = strip.columns[self.start : self.stop].to(x.tokens.device)
            if self.element is None:
                gathered = x.tiles[:, columns[0]]
            else:
                gathered = x.tiles[self.element].index_select(0, columns.flatten())
                gathered = gathered.unflatten(0, columns.shape)
            return gathered.flatten(1, 2).transpose(1, 2)
        size = strip.layout.block_size
        first = int(strip.columns[self.start, 0]) * size
        if self.element is None:
            return x.tokens[:, :, first : first + strip.width]
        return _rows_of_tokens(
            x.tokens[self.element], first, self.stop - self.start, strip.step * size, strip.width
        )

    def bias(self, like: Tensor) -> Tensor | None:
        return self.strip.bias(self.start, self.stop, like)

    def put_gradients(
        self, dq: Tensor, dk: _Keys, dv: _Keys, grads: TileGradients, *, add_queries: bool
    ) -> None:
        grad_query = grads.query
        if add_queries:
            grad_query = grad_query + self.queries(dq)
        self.put_queries(dq, grad_query)
        self._add_keys(dk, grads.key)
        self._add_keys(dv, grads.value)

    def _add_keys(self, x: _Keys, grads: Tensor) -> None:
        """Adds (rows, heads, keys, dim) where the keys came from; rows may share keys."""
        strip, size = self.strip, self.strip.layout.block_size
        if strip.step is None:
            tiles = grads.transpose(1, 2).unflatten(1, (-1, size))
            columns = strip.columns[self.start : self.stop].to(grads.device)
            if self.element is None:
                x.tiles.index_add_(1, columns[0], tiles.to(x.tiles.dtype))
            else:
                x.tiles[self.element].index_add_(
                    0, columns.flatten(), tiles.flatten(0, 1).to(x.tiles.dtype)
                )
        elif self.element is None:
            self.keys(x).add_(grads)
        elif strip.step == 0 or self.stop - self.start == 1:
            self.keys(x)[0].add_(grads.sum(0))
        else:
            # Overlapping rows cannot be added to in one go, but their n-th tiles do not overlap.
            first, n_rows = int(strip.columns[self.start, 0]) * size, self.stop - self.start
            wide = min(strip.step * size, strip.width)
            for begin in range(0, strip.width, wide):
                width = min(wide, strip.width - begin)
                target = _rows_of_tokens(
                    x.tokens[self.element], first + begin, n_rows, strip.step * size, width
                )
                target.add_(grads[:, :, begin : begin + width])


def _calls(
    stream: _Stream, q_shape: torch.Size, k_shape: torch.Size, device: str, dtype: torch.dtype
) -> Iterator[_Call]:
    """Cuts the strips of a stream into calls of a size that suits the device.

    A call takes many rows of one element, or one row of all elements: whichever needs fewer calls.
    """
    elements, heads, _, dim = k_shape
    budget = BYTES_PER_CALL.get(device, BYTES_PER_CALL["cuda"])
    for strip in strips_of(stream.layout):
        bytes_per_row = heads * strip.width * (2 * dim + strip.height) * dtype.itemsize
        per_call = max(1, budget // bytes_per_row)
        if len(strip) < elements:
            for row in range(len(strip)):
                yield _Call(strip, row, row + 1, None)
        else:
            for element in range(elements):
                for row in range(0, len(strip), per_call):
                    yield _Call(strip, row, min(row + per_call, len(strip)), element)


def _rows_of_tokens(x: Tensor, first: int, n_rows: int, step: int, length: int) -> Tensor:
    """Overlapping slices of (heads, tokens, dim) as a view (rows, heads, length, dim).

    Row r holds the tokens from `first + r * step` on.
    """
    heads, _, dim = x.shape
    per_head, per_token, per_dim = x.stride()
    return x.as_strided(
        (n_rows, heads, length, dim),
        (step * per_token, per_head, per_token, per_dim),
        x.storage_offset() + first * per_token,
    )


def _like_tokens(x: Tensor, dim: int, dtype: torch.dtype) -> Tensor:
    """Zeros (batch, heads, positions, dim), stored with the heads of one position side by side."""
    batch, heads, positions, _ = x.shape
    return x.new_zeros(batch, positions, heads, dim, dtype=dtype).transpose(1, 2)


def _join(
    output: Tensor, lse: Tensor, part_output: Tensor, part_lse: Tensor
) -> tuple[Tensor, Tensor]:
    """Softmax attention over the union of two disjoint sets of keys, from that over each."""
    total = torch.logaddexp(lse, part_lse)
    safe = total.masked_fill(total == -torch.inf, 0.0)
    weight, part_weight = torch.exp(lse - safe), torch.exp(part_lse - safe)
    return output * weight[..., None] + part_output * part_weight[..., None], total
