"""From tiles to strips: rows of tiles that one call of the kernel can take together.

Rows whose tiles are neighbours, and which move on by the same step from one row to the next, are a
band: its queries and keys are overlapping views of the tensors, and nothing is copied. Rows with
scattered tiles are gathered; those with equally many tiles form one strip.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sparse_transformers.models.block_layout import FULL_TILE, BlockLayout


class TileBias(NamedTuple):
    """Which pairs of the tiles are forbidden, in the form that the kernels add to the scores."""

    values: Float[Tensor, "rows_or_1 1 queries keys"]
    """0 where attention is allowed, -inf elsewhere. One row stands for all if all are alike."""
    no_key: Bool[Tensor, "rows_or_1 1 queries"] | None
    """Queries that may attend to no key of their row; None if there are none."""


@dataclass(frozen=True, eq=False)
class Strip:
    """Rows of tiles with equally many tiles each, and with the same masks."""

    layout: BlockLayout = field(repr=False)
    rows: Sequence[int]
    """Row numbers, rising."""
    height: int
    """Queries in a row; less than a block only in a strip that is the layout's last row."""
    width: int
    """Keys in a row; cut short only in a strip of one row that holds the layout's last column."""
    first_column: int
    """Column of the first row's first tile."""
    step: int | None
    """The columns of a row follow each other and begin `step` further on in the next row.

    None if that is not so; the rows need not follow each other then either.
    """
    tiles: Int[Tensor, "rows tiles"] = field(repr=False)
    """Indices into the layout's list of tiles."""
    has_masks: bool
    """Whether any tile is partial."""

    @property
    def rows_follow(self) -> bool:
        """Whether the rows are neighbours, so that their queries are one slice."""
        return self.rows[-1] - self.rows[0] + 1 == len(self.rows)

    def columns(self, start: int, stop: int) -> Int[Tensor, "rows tiles"]:
        """The columns of the tiles in rows `start` to `stop` of the strip."""
        return self.layout.columns[self.tiles[start:stop]]

    def bias(self, start: int, stop: int, dtype: torch.dtype, device: torch.device) -> TileBias:
        """What to add to the scores of rows `start` to `stop` of a strip that has masks."""
        if self.layout.masks is not None:
            return _shared_bias(self, dtype, device)
        return _make_bias(self, self.tiles[start:stop], dtype, device)


@lru_cache(maxsize=64)
def strips_of(layout: BlockLayout) -> tuple[Strip, ...]:
    """Groups the rows of a layout into strips; every row with a tile is in exactly one."""
    size = layout.block_size
    starts = layout.row_starts.tolist()
    columns, mask_ids = layout.columns.numpy(), layout.mask_ids.numpy()
    bands: list[_Band] = []
    gathered: dict[tuple[int, bytes, int | None], list[int]] = {}
    for row in range(layout.n_rows):
        start, stop = starts[row], starts[row + 1]
        if start == stop:
            continue
        first, last = int(columns[start]), int(columns[stop - 1])
        masks = mask_ids[start:stop].tobytes()
        # A row at the ragged end of the queries or keys has a shape of its own.
        ragged = (row + 1) * size > layout.q_len or (last + 1) * size > layout.k_len
        if last - first + 1 == stop - start:
            band = _Band(row, first, stop - start, masks, ragged)
            if not (bands and bands[-1].extend(band)):
                bands.append(band)
        else:
            gathered.setdefault((stop - start, masks, row if ragged else None), []).append(row)
    return tuple(
        [_strip(layout, band.rows, band.step) for band in bands]
        + [_strip(layout, rows, None) for rows in gathered.values()]
    )


@dataclass
class _Band:
    """Neighbouring rows of neighbouring tiles, grown row by row."""

    row: int
    first_column: int
    n_tiles: int
    masks: bytes
    ragged: bool
    n_rows: int = 1
    step: int = 0

    @property
    def rows(self) -> range:
        return range(self.row, self.row + self.n_rows)

    def extend(self, below: "_Band") -> bool:
        """Takes in the row below if it goes on in the same way."""
        step = below.first_column - (self.first_column + (self.n_rows - 1) * self.step)
        fits = (
            not (self.ragged or below.ragged)
            and below.row == self.row + self.n_rows
            and below.n_tiles == self.n_tiles
            and below.masks == self.masks
            and (step == self.step if self.n_rows > 1 else step >= 0)
        )
        if fits:
            self.n_rows, self.step = self.n_rows + 1, step
        return fits


def _strip(layout: BlockLayout, rows: Sequence[int], step: int | None) -> Strip:
    size = layout.block_size
    n_tiles = int(layout.row_starts[rows[0] + 1] - layout.row_starts[rows[0]])
    tiles = layout.row_starts[torch.tensor(rows)][:, None] + torch.arange(n_tiles)
    cut = max(0, (int(layout.columns[tiles[0, -1]]) + 1) * size - layout.k_len)
    return Strip(
        layout=layout,
        rows=rows,
        height=min(size, layout.q_len - rows[0] * size),
        width=n_tiles * size - cut,
        first_column=int(layout.columns[tiles[0, 0]]),
        step=step,
        tiles=tiles,
        has_masks=bool((layout.mask_ids[tiles] != FULL_TILE).any()),
    )


@lru_cache(maxsize=256)
def _shared_bias(strip: Strip, dtype: torch.dtype, device: torch.device) -> TileBias:
    """The bias of a strip whose rows all have the masks of its first row."""
    return _make_bias(strip, strip.tiles[:1], dtype, device)


def _make_bias(
    strip: Strip, tiles: Int[Tensor, "rows tiles"], dtype: torch.dtype, device: torch.device
) -> TileBias:
    masks = strip.layout.tile_masks(tiles.flatten()).unflatten(0, tiles.shape)
    masks = masks.transpose(1, 2).flatten(2)[:, None, : strip.height, : strip.width].to(device)
    values = torch.zeros(masks.shape, dtype=torch.promote_types(dtype, torch.float32))
    no_key = ~masks.any(-1)
    return TileBias(
        values=values.to(device).masked_fill_(~masks, -torch.inf),
        no_key=no_key if bool(no_key.any()) else None,
    )
