"""From tiles to strips: rows of tiles that one call of the kernel can take together.

Rows whose tiles are neighbours, and which move on by the same step from one row to the next, are a
band: its queries and keys are overlapping views of the tensors, and nothing is copied. Rows with
scattered tiles are gathered; those with equally many tiles form one strip.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparse_transformers.models.block_layout import FULL_TILE, BlockLayout


@dataclass(frozen=True, eq=False)
class Strip:
    """Rows of tiles with equally many tiles each, and with the same masks.

    With a `step`, the rows follow each other, the columns of a row too, and the next row's begin
    `step` columns further on. Without, the columns have to be gathered.
    """

    rows: Int[Tensor, "rows"]
    columns: Int[Tensor, "rows tiles"]
    step: int | None
    height: int
    """Queries in a row; less than a block only in a strip that is the layout's last row."""
    width: int
    """Keys in a row; cut short only in a band of one row that holds the layout's last column."""
    layout: BlockLayout = field(repr=False)
    tile_starts: Int[Tensor, "rows"] = field(repr=False)
    """Index of each row's first tile in the layout."""
    has_masks: bool
    """Whether any tile is partial."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def rows_follow(self) -> bool:
        """Whether the rows are neighbours, so that their queries are one slice."""
        return int(self.rows[-1] - self.rows[0]) + 1 == len(self.rows)

    def bias(
        self, start: int, stop: int, like: Tensor
    ) -> Float[Tensor, "rows_or_1 1 queries keys"] | None:
        """0 where attention is allowed and -inf elsewhere, for rows `start` to `stop` of the strip.

        None if all tiles are full. One row stands for all where the masks come from a table.
        """
        if not self.has_masks:
            return None
        if self.layout.masks is not None:
            return _shared_bias(self, _score_dtype(like.dtype), like.device)
        return self._make_bias(self.tile_starts[start:stop], like.dtype, like.device)

    def _make_bias(self, tile_starts: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
        tiles = tile_starts[:, None] + torch.arange(self.columns.shape[1])
        masks = self.layout.tile_masks(tiles.flatten()).unflatten(0, tiles.shape)
        masks = masks.transpose(1, 2).flatten(2)[:, None, : self.height, : self.width]
        bias = torch.zeros(masks.shape, dtype=_score_dtype(dtype))
        return bias.masked_fill_(~masks, -torch.inf).to(device)


@lru_cache(maxsize=64)
def strips_of(layout: BlockLayout) -> tuple[Strip, ...]:
    """Groups the rows of a layout into strips; every row with a tile is in exactly one."""
    size = layout.block_size
    starts = layout.row_starts.tolist()
    columns, mask_ids = layout.columns.numpy(), layout.mask_ids.numpy()
    bands: list[_Band] = []
    gathered: dict[tuple, list[int]] = {}
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
    row_index = torch.tensor(rows)
    tile_starts = layout.row_starts[row_index]
    n_tiles = int(layout.row_starts[rows[0] + 1] - layout.row_starts[rows[0]])
    tiles = tile_starts[:, None] + torch.arange(n_tiles)
    width = n_tiles * size
    if step is not None:
        width = min(width, layout.k_len - int(layout.columns[tiles[0, 0]]) * size)
    return Strip(
        rows=row_index,
        columns=layout.columns[tiles],
        step=step,
        height=min(size, layout.q_len - rows[0] * size),
        width=width,
        layout=layout,
        tile_starts=tile_starts,
        has_masks=bool((layout.mask_ids[tiles] != FULL_TILE).any()),
    )


@lru_cache(maxsize=256)
def _shared_bias(strip: Strip, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The bias of a strip whose rows all have the masks of its first row."""
    return strip._make_bias(strip.tile_starts[:1], dtype, device)


def _score_dtype(dtype: torch.dtype) -> torch.dtype:
    """Scores are kept in at least single precision."""
    return torch.promote_types(dtype, torch.float32)
