"""Step 3, from bands to launches: which queries and keys the kernel computes at a time.

A launch of a regular band reads them through overlapping strided views; a launch of a scattered
band copies them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_transformers.models.block_layout import CPU
from sparse_transformers.models.tiled.bands import Band, TileBias, bands_of
from sparse_transformers.models.tiled.views import View


@dataclass(frozen=True)
class Launch:
    """Rows of a band that are computed together: a batch of small dense attention problems.

    The batch is either several rows of one element of the view, or one row of all its elements.
    `queries` and `keys` return (rows or elements, heads, tokens, dim).

    Attributes:
        band: The rows of tiles.
        start: First row of the launch, as an index into `band.rows`.
        stop: Index behind its last row.
        element: Index into the first dimension of the view; None for all elements.
    """

    band: Band
    start: int
    stop: int
    element: int | None

    def queries(self, x: Tensor) -> Tensor:
        """The queries of the launch: without a copy if its rows are neighbours."""
        band, size = self.band, self.band.layout.block_size
        first = band.rows[self.start] * size
        if self.element is None:
            return x[:, :, first : first + band.height]
        if band.rows_follow:
            n_rows = self.stop - self.start
            return _rows_of_tokens(x[self.element], first, n_rows, size, band.height)
        return x[self.element][:, self._scattered_queries().to(x.device)].transpose(0, 1)

    def put_queries(self, x: Tensor, values: Tensor) -> None:
        """Writes (rows or elements, heads, queries, dim) to where `queries` reads."""
        if self.element is None or self.band.rows_follow:
            self.queries(x).copy_(values)
        else:
            rows = self._scattered_queries().to(x.device)
            x[self.element][:, rows] = values.transpose(0, 1).to(x.dtype)

    def keys(self, x: Tensor) -> Tensor:
        """The keys of the launch: without a copy in a regular band."""
        band, size = self.band, self.band.layout.block_size
        if band.step is None:
            return self._gather(x)
        first = (band.first_column + self.start * band.step) * size
        if self.element is None:
            return x[:, :, first : first + band.width]
        n_rows, step = self.stop - self.start, band.step * size
        return _rows_of_tokens(x[self.element], first, n_rows, step, band.width)

    def bias(self, like: Tensor) -> TileBias | None:
        """The masks of the launch's tiles; None if all of them are full."""
        if not self.band.has_masks:
            return None
        return self.band.bias(self.start, self.stop, like.dtype, like.device)

    def add_keys(self, x: Tensor, grads: Tensor) -> None:
        """Adds (rows or elements, heads, keys, dim) to where `keys` reads; rows may share keys."""
        band, size = self.band, self.band.layout.block_size
        n_rows = self.stop - self.start
        if band.step is None:
            self._scatter_add(x, grads.to(x.dtype))
        elif self.element is None:
            self.keys(x).add_(grads)
        elif band.step == 0 or n_rows == 1:
            self.keys(x)[0].add_(grads.sum(0))
        else:
            # The keys of neighbouring rows overlap, so that adding them all at once would lose
            # sums. The n-th `step` keys of the rows do not overlap.
            tokens, step = x[self.element], band.step * size
            first = band.first_column * size + self.start * step
            for begin in range(0, band.width, step):
                part = grads[:, :, begin : begin + step]
                _rows_of_tokens(tokens, first + begin, n_rows, step, part.shape[2]).add_(part)

    def _gather(self, x: Tensor) -> Tensor:
        """The keys of scattered tiles, side by side."""
        columns, tail = self._scattered_keys(x)
        tiles = _whole_tiles(x, self.band.layout.block_size)
        if self.element is None:
            gathered = tiles[:, columns[0]]
        else:
            gathered = tiles[self.element].index_select(0, columns.flatten())
            gathered = gathered.unflatten(0, columns.shape)
        gathered = gathered.flatten(1, 2).transpose(1, 2)
        return gathered if tail is None else torch.cat([gathered, tail], dim=2)

    def _scatter_add(self, x: Tensor, grads: Tensor) -> None:
        """Adds to scattered tiles, which the rows of a launch may share."""
        columns, tail = self._scattered_keys(x)
        tiles, size = _whole_tiles(x, self.band.layout.block_size), self.band.layout.block_size
        if tail is not None:
            tail.add_(grads[:, :, -tail.shape[2] :])
            grads = grads[:, :, : -tail.shape[2]]
        parts = grads.transpose(1, 2).unflatten(1, (-1, size))
        if self.element is None:
            tiles.index_add_(1, columns[0], parts)
        else:
            tiles[self.element].index_add_(0, columns.flatten(), parts.flatten(0, 1))

    def _scattered_keys(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The columns of the whole tiles (rows, tiles), and the keys of a last tile cut short."""
        columns = self.band.columns(self.start, self.stop).to(x.device)
        cut = self.band.width % self.band.layout.block_size
        if not cut:
            return columns, None
        chosen = x if self.element is None else x[self.element : self.element + 1]
        return columns[:, :-1], chosen[:, :, -cut:]

    def _scattered_queries(self) -> Tensor:
        """The numbers of the queries (rows, height), for rows that are not neighbours."""
        rows = torch.tensor(self.band.rows[self.start : self.stop], device=CPU)
        within = torch.arange(self.band.height, device=CPU)
        return rows[:, None] * self.band.layout.block_size + within


def launches_of(
    view: View, keys: Tensor, bytes_per_launch: int, *, key_copies: int, score_copies: int
) -> Iterator[Launch]:
    """Cuts the bands of a view into launches that take about `bytes_per_launch` of new memory.

    A launch is several rows of one element or one row of all elements, whichever needs fewer
    launches.

    Args:
        view: The heads and tokens to compute.
        keys: Their keys (elements, heads, tokens, dim); only the shape and the type are used.
        bytes_per_launch: With less memory there are more launches; with more, the results of a
            launch do not stay in the cache.
        key_copies: How many tensors with the size of its keys a launch allocates.
        score_copies: How many tensors with the size of its scores a launch allocates.
    """
    elements, heads, _, dim = keys.shape
    for band in bands_of(view.layout):
        n_rows = len(band.rows)
        if n_rows < elements:
            for row in range(n_rows):
                yield Launch(band, row, row + 1, None)
        else:
            copies = (
                key_copies if band.step is not None else key_copies + 2
            )  # copies of scattered keys and values
            numbers = band.height * (dim + score_copies * band.width) + copies * band.width * dim
            per_launch = max(1, bytes_per_launch // (heads * numbers * keys.itemsize))
            for element in range(elements):
                for row in range(0, n_rows, per_launch):
                    yield Launch(band, row, min(row + per_launch, n_rows), element)


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
