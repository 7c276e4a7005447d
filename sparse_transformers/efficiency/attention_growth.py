"""How memory, and the time to find the tiles, grow with the number of positions, measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from tqdm.auto import tqdm

from sparse_transformers.efficiency.attention_implementations import OURS, AttentionWorkload
from sparse_transformers.efficiency.benchmark_report import Table
from sparse_transformers.efficiency.memory import peak_extra_bytes
from sparse_transformers.efficiency.timing import quartiles, time_interleaved
from sparse_transformers.models.block_layout import build_layout
from sparse_transformers.models.pattern_base import AttentionPattern, Causal
from sparse_transformers.models.tiled.function import BLOCK_SIZE


@dataclass(frozen=True)
class MemoryScaling:
    """Peak memory of causal attention, forward and backward, on top of its inputs.

    Attributes:
        slope: exponent of the growth, fitted to the logarithms: 1 is linear, 2 quadratic.
    """

    pattern: str
    seq_lens: tuple[int, ...]
    peak_bytes: tuple[int, ...]
    slope: float
    n_heads: int
    head_dim: int
    device: str

    def table(self) -> Table:
        """A row for each length."""
        title = (
            f"Memory of forward + backward beyond the inputs, causal `{self.pattern}`, "
            f"{self.n_heads} × {self.head_dim}, float32 on {self.device}; "
            f"it grows as positions^{self.slope:.2f}"
        )
        rows = [
            [f"{seq_len:,}", f"{peak / 2**20:,.1f}", f"{peak / seq_len:,.0f}"]
            for seq_len, peak in zip(self.seq_lens, self.peak_bytes, strict=True)
        ]
        return Table(title, ["positions", "peak MiB", "bytes per position"], rows)


@dataclass(frozen=True)
class LayoutBenchmark:
    """Times to build the layout of a causal pattern, always on the CPU.

    Attributes:
        n_tiles: tiles found, at each length.
    """

    pattern: str
    block_size: int
    seq_lens: tuple[int, ...]
    n_tiles: tuple[int, ...]
    median_ms: tuple[float, ...]
    repeats: int

    def table(self) -> Table:
        """A row for each length."""
        title = (
            f"Building the layout of causal `{self.pattern}` in tiles of {self.block_size}, "
            f"median of {self.repeats}"
        )
        columns = zip(self.seq_lens, self.n_tiles, self.median_ms, strict=True)
        rows = [[f"{n:,}", f"{n_tiles:,}", f"{ms:,.1f}"] for n, n_tiles, ms in columns]
        return Table(title, ["positions", "tiles", "ms"], rows)


def measure_memory_scaling(
    pattern: AttentionPattern,
    seq_lens: Sequence[int],
    n_heads: int = 1,
    head_dim: int = 64,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> MemoryScaling:
    """Run causal `sparse_attention` forward and backward at each length and record the peak.

    The output, the gradients and all that is kept or made in between count; query, key, value and
    the gradient of the output are there before and do not.

    Args:
        pattern: composed with `Causal`.
        seq_lens: at least two different numbers of positions, for a slope.
        n_heads: heads of queries and of keys.
        head_dim: of queries, keys and values.
        seed: of the tensors.
        device: a CPU or a CUDA device.
        progress: show a bar.

    Raises:
        ValueError: fewer than two lengths, or one below 1.
    """
    if len(set(seq_lens)) < 2 or min(seq_lens) < 1:
        raise ValueError(
            f"seq_lens must hold at least two lengths of 1 or more, got {list(seq_lens)}"
        )

    peaks = []
    for seq_len in tqdm(seq_lens, desc="memory", disable=not progress):
        workload = AttentionWorkload.draw(
            pattern, seq_len, n_heads, head_dim, "forward_backward", seed=seed, device=device
        )
        peaks.append(peak_extra_bytes(workload.prepare(OURS), device))
    return MemoryScaling(
        pattern=repr(pattern),
        seq_lens=tuple(seq_lens),
        peak_bytes=tuple(peaks),
        slope=float(np.polyfit(np.log(seq_lens), np.log(peaks), 1)[0]),
        n_heads=n_heads,
        head_dim=head_dim,
        device=str(device),
    )


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

    builds = {n: partial(build_layout, causal, n, n, block_size) for n in seq_lens}
    times = time_interleaved(builds, repeats)
    return LayoutBenchmark(
        pattern=repr(pattern),
        block_size=block_size,
        seq_lens=tuple(seq_lens),
        n_tiles=tuple(causal.layout(n, block_size=block_size).n_tiles for n in seq_lens),
        median_ms=tuple(quartiles(times[n])[1] for n in seq_lens),
        repeats=repeats,
    )
