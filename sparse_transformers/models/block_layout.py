"""From a rule about positions to the tiles that a kernel has to visit.

The pairs of queries and keys are cut into tiles of `block_size` x `block_size`. A layout lists the
tiles that hold an allowed pair, row by row (compressed sparse rows), and says which of them are
full. Building it evaluates the rule on candidate tiles only: if the pattern has `candidate_keys`,
time and memory are proportional to the number of tiles and not to the number of pairs.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.rule_values import PositionRule, Ranges, evaluate_rule, on_device

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Value = TypeVar("Value")

CPU = torch.device("cpu")
"""Layouts are made and kept there; as a context, it is where new tensors go by default."""
FULL_TILE = -1
CPU_BLOCK_SIZE, CUDA_BLOCK_SIZE = 32, 64
"""Edge of a tile of the kernel. Small tiles waste less at the edges of a window; large ones run
faster, on a GPU above all."""
PAIRS_PER_CHUNK = 1 << 18  # the rule's intermediate results then stay in the cache
CANDIDATES_PER_CHUNK = 1 << 20
MAX_TABULATED_PAIRS = 1 << 24  # 16 MiB of distinct tile masks; more are made when visited


@dataclass(frozen=True, eq=False, repr=False)
class BlockLayout:
    """The tiles of a pattern, row by row.

    Tile row r holds the queries `r * block_size` and up, counted from the first query; tile column
    c holds the keys `c * block_size` and up. The last row and column may be cut short.

    >>> import sparse_transformers as st
    >>> layout = (st.LocalWindow(64) & st.Causal()).layout(256, block_size=64)
    >>> layout.to_dense()  # 0: empty, 1: partial, 2: full
    tensor([[1, 0, 0, 0],
            [1, 1, 0, 0],
            [0, 1, 1, 0],
            [0, 0, 1, 1]])
    >>> layout.n_tiles, round(layout.fill, 2)
    (7, 0.5)

    Attributes:
        pattern: The rule that the layout was made from.
        q_len: Number of queries, the last of the `k_len` positions.
        k_len: Number of keys.
        block_size: Edge of a tile, in positions.
        row_starts: Where each tile row begins in `columns`; the last entry is the number of tiles.
        columns: The column of every tile, rising within a row.
        mask_ids: -1 for a full tile, else an index into `masks` (without meaning if that is None).
        masks: The distinct masks of the partial tiles; None if there are too many to keep.
        allowed_pairs: The exact number of pairs that the rule allows.
    """

    pattern: PositionRule
    q_len: int
    k_len: int
    block_size: int
    row_starts: Int[Tensor, "rows_plus_1"]
    columns: Int[Tensor, "tiles"]
    mask_ids: Int[Tensor, "tiles"]
    masks: Bool[Tensor, "masks block block"] | None = field(repr=False)
    allowed_pairs: int
    _derived: dict[Hashable, tuple[Any, int]] = field(default_factory=dict, init=False, repr=False)

    @property
    def n_rows(self) -> int:
        """The number of tile rows, empty ones included."""
        return len(self.row_starts) - 1

    @property
    def n_tiles(self) -> int:
        """The number of tiles that hold an allowed pair."""
        return len(self.columns)

    @property
    def n_full(self) -> int:
        """The number of tiles in which all pairs are allowed."""
        return int((self.mask_ids == FULL_TILE).sum())

    @property
    def n_partial(self) -> int:
        """The number of tiles that need a mask."""
        return self.n_tiles - self.n_full

    @property
    def fills_all_rows(self) -> bool:
        """Whether every row has a tile."""
        return bool((self.row_starts.diff() > 0).all())

    @cached_property
    def tile_rows(self) -> Int[Tensor, "tiles"]:
        """The row of every tile."""
        return torch.repeat_interleave(
            torch.arange(self.n_rows, device=CPU), self.row_starts.diff()
        )

    @property
    def computed_pairs(self) -> int:
        """The pairs inside the visited tiles, allowed or not: what a kernel computes."""
        size = self.block_size
        heights = (self.q_len - self.tile_rows * size).clamp(max=size)
        widths = (self.k_len - self.columns * size).clamp(max=size)
        return int((heights * widths).sum())

    @property
    def fill(self) -> float:
        """Allowed pairs per computed pair; 1 means that no work is wasted."""
        return self.allowed_pairs / self.computed_pairs if self.n_tiles else 1.0

    @property
    def density(self) -> float:
        """Allowed pairs per pair of a query and a key."""
        return self.allowed_pairs / (self.q_len * self.k_len)

    def tile_masks(self, tiles: Int[Tensor, "n"]) -> Bool[Tensor, "n block block"]:
        """The masks of the given tiles, True where a pair may be attended to.

        Keys past the end are False. Queries past the end repeat the last one; a kernel skips them.
        """
        if self.masks is not None:
            table = torch.cat([self.masks, self.masks.new_ones(1, *self.masks.shape[1:])])
            return table[self.mask_ids[tiles]]
        with CPU:
            return evaluate_tiles(
                self.pattern,
                self.tile_rows[tiles] * self.block_size + self.k_len - self.q_len,
                self.columns[tiles] * self.block_size,
                self.block_size,
                self.k_len,
            )

    @property
    def n_bytes(self) -> int:
        """Memory of the index, of the masks, and of what kernels derived from them."""
        arrays = (self.row_starts, self.columns, self.mask_ids, self.masks)
        derived = sum(n_bytes for _, n_bytes in list(self._derived.values()))
        return derived + sum(array.nbytes for array in arrays if array is not None)

    def derive(
        self, key: Hashable, make: Callable[[], Value], n_bytes: Callable[[Value], int]
    ) -> Value:
        """What a kernel makes from the layout, made once and kept as long as the layout is.

        Args:
            key: names the result.
            make: makes it.
            n_bytes: the memory that it takes.
        """
        if key not in self._derived:
            with CPU:
                value = make()
            self._derived[key] = value, n_bytes(value)
        return cast(Value, self._derived[key][0])

    def to_dense(self) -> Int[Tensor, "rows columns"]:
        """A small picture of the layout: 0 for an empty tile, 1 for a partial, 2 for a full one."""
        n_columns = -(-self.k_len // self.block_size)
        picture = torch.zeros(self.n_rows, n_columns, dtype=torch.int64, device=CPU)
        picture[self.tile_rows, self.columns] = 1 + (self.mask_ids == FULL_TILE).long()
        return picture

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the tiles: those that the kernel visits, and which of them need a mask.

        Args:
            ax: Where to draw; None makes a new figure.
        """
        from sparse_transformers.utils.plots.patterns import plot_tiles

        edge = self.block_size
        title = f"{self.n_tiles:,} tiles of {edge} x {edge}, fill {self.fill:.0%}"
        return plot_tiles(self.to_dense(), edge, title=title, ax=ax)

    def __repr__(self) -> str:
        return (
            f"BlockLayout({self.pattern!r}, {self.q_len:,} x {self.k_len:,}: "
            f"{self.n_tiles:,} tiles of {self.block_size}, {self.n_full:,} of them full, "
            f"fill {self.fill:.2f})"
        )

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows."""
        return picture_or_none(lambda ax: self.plot(ax))

    def to_block_mask(self, device: torch.device | str = "cpu") -> BlockMask:
        """The same tiles as a FlexAttention `BlockMask`, made without evaluating all pairs.

        Args:
            device: Where the tensors of the mask are stored.
        """
        is_full = self.mask_ids == FULL_TILE
        with CPU:
            partial_counts, partial_columns = self._padded_rows(~is_full)
            full_counts, full_columns = self._padded_rows(is_full)
        offset, pattern = self.k_len - self.q_len, on_device(self.pattern, device)

        def mask_mod(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return pattern.allows(query + offset, key)

        return BlockMask.from_kv_blocks(
            partial_counts.to(device),
            partial_columns.to(device),
            full_counts.to(device),
            full_columns.to(device),
            BLOCK_SIZE=self.block_size,
            mask_mod=mask_mod,
            seq_lengths=(self.q_len, self.k_len),
        )

    def _padded_rows(self, chosen: Bool[Tensor, "tiles"]) -> tuple[Tensor, Tensor]:
        """The chosen tiles as counts (1, 1, rows) and columns (1, 1, rows, all columns)."""
        rows, columns = self.tile_rows[chosen], self.columns[chosen]
        counts = torch.bincount(rows, minlength=self.n_rows)
        place = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
        # FlexAttention transposes the mask for its backward pass and needs the full width for it.
        padded = torch.zeros(self.n_rows, -(-self.k_len // self.block_size), dtype=torch.int32)
        padded[rows, place] = columns.int()
        return counts.int()[None, None], padded[None, None]


def picture_or_none(draw: Callable[..., Any]) -> bytes | None:
    """What `draw(ax=...)` draws, for a notebook, which shows the text of an object without it."""
    try:
        from sparse_transformers.utils.plots.patterns import as_png

        return as_png(lambda ax: draw(ax=ax))
    except Exception:  # a rule that fails is reported where it is used, not where it is shown
        return None


def build_layout(
    pattern: PositionRule, q_len: int, k_len: int, block_size: int = CPU_BLOCK_SIZE
) -> BlockLayout:
    """Finds the tiles that hold an allowed pair, and which of them are full.

    Args:
        pattern: The rule, and perhaps a hint where to look (`candidate_keys`).
        q_len: Number of queries, the last of the `k_len` positions.
        k_len: Number of keys.
        block_size: Edge of a tile, in positions.

    Raises:
        ValueError: `block_size` is below 1.
    """
    check_whole(1, block_size=block_size)
    with CPU:
        return _build(pattern, q_len, k_len, block_size)


def _build(pattern: PositionRule, q_len: int, k_len: int, block_size: int) -> BlockLayout:
    offset = k_len - q_len
    table: dict[bytes, int] = {}
    nothing = torch.zeros(0, dtype=torch.int64)
    rows, columns, mask_ids = [nothing], [nothing], [nothing]
    allowed_pairs = 0
    for tile_rows, tile_columns in _candidate_tiles(pattern, q_len, k_len, block_size):
        query_starts = tile_rows * block_size + offset
        masks = evaluate_tiles(pattern, query_starts, tile_columns * block_size, block_size, k_len)
        flat = masks.flatten(1)
        heights = (k_len - query_starts).clamp(max=block_size)
        counts = flat.sum(1)
        real_counts = counts
        if bool((heights < block_size).any()):
            real = torch.arange(block_size) < heights[:, None]
            real_counts = (masks & real[:, :, None]).flatten(1).sum(1)
        allowed_pairs += int(real_counts.sum())
        visited = real_counts > 0
        full = counts[visited] == block_size**2
        ids = torch.full((int(visited.sum()),), FULL_TILE)
        ids[~full] = _tabulate(flat[visited][~full], table)
        rows.append(tile_rows[visited])
        columns.append(tile_columns[visited])
        mask_ids.append(ids)

    n_rows = -(-q_len // block_size)
    tiles_per_row = torch.bincount(torch.cat(rows), minlength=n_rows)
    return BlockLayout(
        pattern=pattern,
        q_len=q_len,
        k_len=k_len,
        block_size=block_size,
        row_starts=torch.cat([torch.zeros(1, dtype=torch.int64), tiles_per_row.cumsum(0)]),
        columns=torch.cat(columns),
        mask_ids=torch.cat(mask_ids),
        masks=_unpack(table, block_size),
        allowed_pairs=allowed_pairs,
    )


def evaluate_tiles(
    pattern: PositionRule,
    query_starts: Int[Tensor, "tiles"],
    key_starts: Int[Tensor, "tiles"],
    block_size: int,
    k_len: int,
) -> Bool[Tensor, "tiles block block"]:
    """The rule on whole tiles that begin at the given positions.

    The rule is not asked about positions past the end: there the keys are False, and the queries
    repeat the last one.
    """
    within = torch.arange(block_size)
    query = query_starts[:, None, None] + within[:, None]
    key = key_starts[:, None, None] + within
    if int(query_starts.max()) + block_size > k_len:
        query = query.clamp(max=k_len - 1)
    if int(key_starts.max()) + block_size <= k_len:
        allowed = evaluate_rule(pattern, query, key)
    else:
        inside = key.clamp(max=k_len - 1)
        allowed = evaluate_rule(pattern, query, inside) & (key < k_len)
    return allowed.broadcast_to(len(query_starts), block_size, block_size)


def _candidate_tiles(
    pattern: PositionRule, q_len: int, k_len: int, block_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields rows and columns of the tiles that may hold an allowed pair, in order, in chunks."""
    n_rows, n_columns = -(-q_len // block_size), -(-k_len // block_size)
    tiles_per_chunk = max(1, PAIRS_PER_CHUNK // block_size**2)
    rows_per_chunk = max(1, CANDIDATES_PER_CHUNK // n_columns)
    for row in range(0, n_rows, rows_per_chunk):
        rows = torch.arange(row, min(row + rows_per_chunk, n_rows))
        first = rows * block_size + k_len - q_len
        last = (first + block_size).clamp(max=k_len) - 1
        ranges = pattern.candidate_keys(first, last, k_len)
        if ranges is None:
            ranges = [(0, k_len)]
        tile_rows, tile_columns = _tiles_of_ranges(rows, ranges, k_len, block_size)
        for start in range(0, len(tile_rows), tiles_per_chunk):
            chunk = slice(start, start + tiles_per_chunk)
            yield tile_rows[chunk], tile_columns[chunk]


def _tiles_of_ranges(
    rows: Int[Tensor, "rows"], ranges: Ranges, k_len: int, block_size: int
) -> tuple[Int[Tensor, "tiles"], Int[Tensor, "tiles"]]:
    """The tiles that the key ranges of each row touch, without repetition, in row-major order."""
    n_columns = -(-k_len // block_size)
    found = []
    for start, stop in ranges:
        start = torch.as_tensor(start).clamp(0, k_len).expand(rows.shape)
        stop = torch.as_tensor(stop).clamp(0, k_len).expand(rows.shape)
        first_column = start // block_size
        width = torch.where(stop > start, (stop - 1) // block_size + 1 - first_column, 0)
        row = torch.repeat_interleave(torch.arange(len(rows)), width)
        place = torch.arange(len(row)) - (width.cumsum(0) - width)[row]
        found.append(rows[row] * n_columns + first_column[row] + place)
    if not found:  # the pattern has no candidate keys
        return rows[:0], rows[:0]
    tiles = found[0] if len(found) == 1 else torch.cat(found).unique()
    return tiles // n_columns, tiles % n_columns


def _tabulate(masks: Bool[Tensor, "n pairs"], table: dict[bytes, int]) -> Int[Tensor, "n"]:
    """Gives every mask its number in `table`, adding those that are new.

    A table that has grown past its limit takes no more, and is dropped in the end.
    """
    packed = np.packbits(masks.numpy(), axis=1)
    limit = MAX_TABULATED_PAIRS // max(1, masks.shape[1])
    if len(table) > limit:
        return torch.zeros(len(masks), dtype=torch.int64)
    return torch.tensor(
        [table.setdefault(mask.tobytes(), len(table)) for mask in packed], dtype=torch.int64
    )


def _unpack(table: dict[bytes, int], block_size: int) -> Bool[Tensor, "masks block block"] | None:
    if len(table) > MAX_TABULATED_PAIRS // block_size**2:
        return None
    packed = np.frombuffer(b"".join(table), dtype=np.uint8).reshape(
        len(table), -(-(block_size**2) // 8)
    )
    masks = np.unpackbits(packed, axis=1, count=block_size**2).astype(bool)
    return torch.from_numpy(masks).view(-1, block_size, block_size)
