"""From streams to calls: the queries and keys of one call of the kernel, as views or gathered."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_transformers.models.tiled.bands import Strip, TileBias, strips_of
from sparse_transformers.models.tiled.views import Stream


@dataclass(frozen=True)
class Call:
    """Rows `start` to `stop` of a strip; for one element of the stream, or one row for all of them.

    Views of tokens come as (rows or elements, heads, tokens, dim).
    """

    strip: Strip
    start: int
    stop: int
    element: int | None

    def queries(self, x: Tensor) -> Tensor:
        """The queries of the call: a view if its rows are neighbours, else a copy."""
        strip, size = self.strip, self.strip.layout.block_size
        first = strip.rows[self.start] * size
        if self.element is None:
            return x[:, :, first : first + strip.height]
        if strip.rows_follow:
            n_rows = self.stop - self.start
            return _rows_of_tokens(x[self.element], first, n_rows, size, strip.height)
        return x[self.element][:, self._scattered_queries().to(x.device)].transpose(0, 1)

    def put_queries(self, x: Tensor, values: Tensor) -> None:
        """Writes (rows or elements, heads, queries, dim) to where `queries` reads."""
        if self.element is None or self.strip.rows_follow:
            self.queries(x).copy_(values)
        else:
            x[self.element][:, self._scattered_queries().to(x.device)] = values.transpose(0, 1)

    def keys(self, x: Tensor) -> Tensor:
        """The keys of the call: a view in a band, else a copy."""
        strip, size = self.strip, self.strip.layout.block_size
        if strip.step is None:
            return self._gather(x)
        first = (strip.first_column + self.start * strip.step) * size
        if self.element is None:
            return x[:, :, first : first + strip.width]
        n_rows, step = self.stop - self.start, strip.step * size
        return _rows_of_tokens(x[self.element], first, n_rows, step, strip.width)

    def bias(self, like: Tensor) -> TileBias | None:
        """The masks of the call's tiles; None if all of them are full."""
        if not self.strip.has_masks:
            return None
        return self.strip.bias(self.start, self.stop, like.dtype, like.device)

    def add_keys(self, x: Tensor, grads: Tensor) -> None:
        """Adds (rows or elements, heads, keys, dim) to where `keys` reads; rows may share keys."""
        strip, size = self.strip, self.strip.layout.block_size
        n_rows = self.stop - self.start
        if strip.step is None:
            self._scatter_add(x, grads.to(x.dtype))
        elif self.element is None:
            self.keys(x).add_(grads)
        elif strip.step == 0 or n_rows == 1:
            self.keys(x)[0].add_(grads.sum(0))
        else:
            # Rows that overlap cannot be added to in one go; their n-th parts do not overlap.
            tokens, step = x[self.element], strip.step * size
            first = strip.first_column * size + self.start * step
            for begin in range(0, strip.width, step):
                part = grads[:, :, begin : begin + step]
                _rows_of_tokens(tokens, first + begin, n_rows, step, part.shape[2]).add_(part)

    def _gather(self, x: Tensor) -> Tensor:
        """The keys of scattered tiles, side by side."""
        columns, tail = self._scattered_keys(x)
        tiles = _whole_tiles(x, self.strip.layout.block_size)
        if self.element is None:
            gathered = tiles[:, columns[0]]
        else:
            gathered = tiles[self.element].index_select(0, columns.flatten())
            gathered = gathered.unflatten(0, columns.shape)
        gathered = gathered.flatten(1, 2).transpose(1, 2)
        return gathered if tail is None else torch.cat([gathered, tail], dim=2)

    def _scatter_add(self, x: Tensor, grads: Tensor) -> None:
        """Adds to scattered tiles, which the rows of a call may share."""
        columns, tail = self._scattered_keys(x)
        tiles, size = _whole_tiles(x, self.strip.layout.block_size), self.strip.layout.block_size
        if tail is not None:
            tail.add_(grads[:, :, -tail.shape[2] :])
            grads = grads[:, :, : -tail.shape[2]]
        parts = grads.transpose(1, 2).unflatten(1, (-1, size))
        if self.element is None:
            tiles.index_add_(1, columns[0], parts)
        else:
            tiles[self.element].index_add_(0, columns.flatten(), parts.flatten(0, 1))

    def _scattered_keys(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The columns of whole tiles (rows, tiles), and the keys of the last one if it is cut."""
        columns = self.strip.columns(self.start, self.stop).to(x.device)
        cut = self.strip.width % self.strip.layout.block_size
        if not cut:
            return columns, None
        chosen = x if self.element is None else x[self.element : self.element + 1]
        return columns[:, :-1], chosen[:, :, -cut:]

    def _scattered_queries(self) -> Tensor:
        """The query numbers (rows, height) of rows that are no neighbours."""
        rows = torch.tensor(self.strip.rows[self.start : self.stop])
        return rows[:, None] * self.strip.layout.block_size + torch.arange(self.strip.height)


def calls_of(
    stream: Stream, keys: Tensor, bytes_per_call: int, *, key_copies: int, score_copies: int
) -> Iterator[Call]:
    """Cuts the strips of a stream into calls that take about `bytes_per_call` of new memory.

    A call takes many rows of one element, or one row of all elements: whichever needs fewer calls.

    Args:
        stream: What to cut.
        keys: The keys of the stream (n, heads, tokens, dim), for their shape and type.
        bytes_per_call: Fewer make more calls, more do not stay in the cache.
        key_copies: How many tensors of the size of its keys a call makes.
        score_copies: How many of the size of its scores.
    """
    elements, heads, _, dim = keys.shape
    for strip in strips_of(stream.layout):
        n_rows = len(strip.rows)
        if n_rows < elements:
            for row in range(n_rows):
                yield Call(strip, row, row + 1, None)
        else:
            copies = key_copies if strip.step is not None else key_copies + 2  # gathered
            numbers = strip.height * (dim + score_copies * strip.width) + copies * strip.width * dim
            per_call = max(1, bytes_per_call // (heads * numbers * keys.itemsize))
            for element in range(elements):
                for row in range(0, n_rows, per_call):
                    yield Call(strip, row, min(row + per_call, n_rows), element)


def _whole_tiles(x: Tensor, block_size: int) -> Tensor:
    """Tokens (n, heads, tokens, dim) as a view (n, tiles, block, heads, dim) of the whole tiles."""
    whole = x.shape[2] // block_size * block_size
    return x[:, :, :whole].transpose(1, 2).unflatten(1, (-1, block_size))


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
