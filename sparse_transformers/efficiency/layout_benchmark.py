"""How long it takes to find the tiles of a pattern, measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sparse_transformers.efficiency.timing import time_interleaved
from sparse_transformers.models.block_layout import build_layout
from sparse_transformers.models.pattern_base import AttentionPattern, Causal
from sparse_transformers.models.tiled.function import BLOCK_SIZE


@dataclass(frozen=True)
class LayoutBenchmark:
    """Times to build the layout of a causal pattern, always on the CPU. Printed, it is a table.

    Attributes:
        n_tiles: tiles found, at each length.
    """

    pattern: str
    block_size: int
    seq_lens: tuple[int, ...]
    n_tiles: tuple[int, ...]
    median_ms: tuple[float, ...]
    repeats: int

    def __str__(self) -> str:
        lines = [
            f"building the layout of causal {self.pattern}, tiles of {self.block_size}, "
            f"median of {self.repeats}",
            f"{'positions':>10}  {'tiles':>10}  {'ms':>9}",
        ]
        for seq_len, n_tiles, median_ms in self._rows():
            lines.append(f"{seq_len:>10,}  {n_tiles:>10,}  {median_ms:>9,.1f}")
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """The table for a document."""
        lines = [
            f"Building the layout of causal `{self.pattern}` in tiles of {self.block_size}, "
            f"median of {self.repeats}:",
            "",
            "| positions | tiles | ms |",
            "|--:|--:|--:|",
        ]
        for seq_len, n_tiles, median_ms in self._rows():
            lines.append(f"| {seq_len:,} | {n_tiles:,} | {median_ms:,.1f} |")
        return "\n".join(lines)

    def _rows(self) -> list[tuple[int, int, float]]:
        return list(zip(self.seq_lens, self.n_tiles, self.median_ms, strict=True))


def benchmark_layout(
    pattern: AttentionPattern, seq_lens: Sequence[int], *, repeats: int = 5
) -> LayoutBenchmark:
    """Build the causal layout with the kernel's tile size for a CPU, without its cache.

    Raises:
        ValueError: no length, or one below 1.
    """
    if not seq_lens or min(seq_lens) < 1:
        raise ValueError(f"seq_lens must hold lengths of 1 or more, got {list(seq_lens)}")
    causal, block_size = pattern & Causal(), BLOCK_SIZE["cpu"]

    def median_ms(seq_len: int) -> float:
        arms = {seq_len: lambda: build_layout(causal, seq_len, seq_len, block_size)}
        return time_interleaved(arms, repeats, 1, device=torch.device("cpu"))[seq_len].median_ms

    return LayoutBenchmark(
        pattern=repr(pattern),
        block_size=block_size,
        seq_lens=tuple(seq_lens),
        n_tiles=tuple(causal.layout(n, block_size=block_size).n_tiles for n in seq_lens),
        median_ms=tuple(median_ms(seq_len) for seq_len in seq_lens),
        repeats=repeats,
    )
