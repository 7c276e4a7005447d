"""Step 2, from a layout to bands: rows of tiles that one launch of the kernel can process together.

All rows of a band have equally many tiles and the same masks. There are two kinds of bands:

- regular: neighbouring rows, each with neighbouring tiles that begin the same number of columns
  further right than in the row above, as in a window. Their queries and keys are overlapping views
  of the tensors, so that nothing is copied.
- scattered: all other rows. Their tiles are copied together before they are used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sparse_transformers.models.block_layout import FULL_TILE, BlockLayout


class TileBias(NamedTuple):
    """Which pairs of the tiles are forbidden, in the form that the kernels add to the scores.

    Attributes:
        values: 0 where attention is allowed, -inf elsewhere. If all rows have the same masks,
            there is a single entry that broadcasts.
        no_key: True for queries that may attend to no key of their row; None if there are none.
    """

    values: Float[Tensor, "rows_or_1 1 queries keys"]
    no_key: Bool[Tensor, "rows_or_1 1 queries"] | None


@dataclass(frozen=True, eq=False)
class Band:
    """Rows of tiles with equally many tiles each, and with the same masks.

    Attributes:
        layout: The layout that the rows belong to.
        rows: Row numbers, rising.
        height: Queries in a row; below `block_size` only in a band that is the layout's last row.
        width: Keys in a row; not a multiple of `block_size` only in a band of one row that holds
            the layout's last column.
        first_column: Column of the first row's first tile.
        step: Regular band: how many columns further right each row begins. Scattered band: None.
        tiles: Indices into the layout's list of tiles.
        has_masks: Whether any tile is partial.
    """

    layout: BlockLayout = field(repr=False)
    rows: Sequence[int]
    height: int
    width: int
    first_column: int
    step: int | None
    tiles: Int[Tensor, "rows tiles"] = field(repr=False)
    has_masks: bool

    @property
    def rows_follow(self) -> bool:
        """Whether the rows are neighbours, so that their queries are one slice."""
        return self.rows[-1] - self.rows[0] + 1 == len(self.rows)

    def columns(self, start: int, stop: int) -> Int[Tensor, "rows tiles"]:
        """The columns of the tiles in rows `start` to `stop` of the band."""
        return self.layout.columns[self.tiles[start:stop]]

    def bias(self, start: int, stop: int, dtype: torch.dtype, device: torch.device) -> TileBias:
        """What to add to the scores of rows `start` to `stop` of a band that has masks."""
        if self.layout.masks is None:
            return _make_bias(self, self.tiles[start:stop], dtype, device)
        # All rows have the masks of the first one.
        return self.layout.derive(
            ("bias", self.rows[0], dtype, device),
            lambda: _make_bias(self, self.tiles[:1], dtype, device),
            lambda bias: bias.values.nbytes,
        )


def bands_of(layout: BlockLayout) -> tuple[Band, ...]:
    """Groups the rows of a layout into bands; every row with a tile is in exactly one."""
    return layout.derive(
        "bands", lambda: _group_rows(layout), lambda bands: sum(band.tiles.nbytes for band in bands)
    )


def _group_rows(layout: BlockLayout) -> tuple[Band, ...]:
    size = layout.block_size
    starts = layout.row_starts.tolist()
    columns, mask_ids = layout.columns.numpy(), layout.mask_ids.numpy()
    runs: list[_Run] = []
    scattered: dict[tuple[int, bytes, int | None], list[int]] = {}
    for row in range(layout.n_rows):
        start, stop = starts[row], starts[row + 1]
        if start == stop:
            continue
        first, last = int(columns[start]), int(columns[stop - 1])
        masks = mask_ids[start:stop].tobytes()
        # A row whose last queries or keys are cut short has a shape of its own.
        ragged = (row + 1) * size > layout.q_len or (last + 1) * size > layout.k_len
        if last - first + 1 == stop - start:
            run = _Run(row, first, stop - start, masks, ragged)
            if not (runs and runs[-1].extend(run)):
                runs.append(run)
        else:
            scattered.setdefault((stop - start, masks, row if ragged else None), []).append(row)
    return tuple(
        [_band(layout, run.rows, run.step) for run in runs]
        + [_band(layout, rows, None) for rows in scattered.values()]
    )


@dataclass
class _Run:
    """A regular band while `bands_of` still adds rows to it."""

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

    def extend(self, below: "_Run") -> bool:
        """Adds the row below if it continues the band; returns whether it does."""
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


def _band(layout: BlockLayout, rows: Sequence[int], step: int | None) -> Band:
    size = layout.block_size
    n_tiles = int(layout.row_starts[rows[0] + 1] - layout.row_starts[rows[0]])
    tiles = layout.row_starts[torch.tensor(rows)][:, None] + torch.arange(n_tiles)
    cut = max(0, (int(layout.columns[tiles[0, -1]]) + 1) * size - layout.k_len)
    return Band(
        layout=layout,
        rows=rows,
        height=min(size, layout.q_len - rows[0] * size),
        width=n_tiles * size - cut,
        first_column=int(layout.columns[tiles[0, 0]]),
        step=step,
        tiles=tiles,
        has_masks=bool((layout.mask_ids[tiles] != FULL_TILE).any()),
    )


def _make_bias(
    band: Band, tiles: Int[Tensor, "rows tiles"], dtype: torch.dtype, device: torch.device
) -> TileBias:
    masks = band.layout.tile_masks(tiles.flatten()).unflatten(0, tiles.shape)
    masks = masks.transpose(1, 2).flatten(2)[:, None, : band.height, : band.width].to(device)
    sum_dtype = torch.promote_types(dtype, torch.float32)
    no_key = ~masks.any(-1)
    return TileBias(
        values=torch.zeros_like(masks, dtype=sum_dtype).masked_fill_(~masks, -torch.inf),
        no_key=no_key if bool(no_key.any()) else None,
    )
