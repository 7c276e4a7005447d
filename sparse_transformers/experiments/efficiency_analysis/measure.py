"""How the time, the memory and the operations of attention grow with the length."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import pandas as pd

from sparse_transformers.efficiency.attention_implementations import (
    DENSE,
    OURS,
    AttentionWorkload,
)
from sparse_transformers.efficiency.comparison import DIRECTIONS, Direction
from sparse_transformers.efficiency.memory import peak_extra_bytes
from sparse_transformers.efficiency.scaling_law import (
    crossing_length,
    fit_exponent,
    speedups,
)
from sparse_transformers.efficiency.timing import TIMES, quartiles, time_interleaved
from sparse_transformers.experiments.efficiency_analysis.counted_costs import (
    CountedCost,
    count_costs,
    pattern_label,
)
from sparse_transformers.experiments.section import Visit
from sparse_transformers.models.attention_patterns import BlockSparse, Causal, LocalWindow
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.records import to_frame

MASKED = "masked SDPA"


@dataclass(frozen=True)
class AttentionScalingSettings:
    """Lengths and sizes.

    Attributes:
        lengths: timed with every attention, rising.
        longer_lengths: timed with the sparse attentions only, rising.
        longest_mask: the control that masks dense attention is timed up to this length.
        fit_from: exponents are fitted to lengths from this one on, where the window is short.
        window_size: of the local window.
        block_size: of the block sparse pattern.
        sparsity: of the block sparse pattern, at every length.
        memory_lengths: for memory, rising; the sparse attentions and dense SDPA.
        longest_stored: memory of attention that stores all scores is measured up to this length.
        counted_lengths: lengths at which costs are counted, rising.
        counted_windows: windows whose cost is counted.
        counted_sparsities: of block sparse patterns whose cost is counted.
        longest_counted_blocks: they are counted up to this length, because their tiles grow with
            the square of it.
        n_heads: of every attention.
        head_dim: of every attention.
        repeats: timed calls of each attention.
    """

    lengths: tuple[int, ...] = (256, 512, 1024, 2048, 4096, 8192)
    longer_lengths: tuple[int, ...] = (16384,)
    longest_mask: int = 4096
    fit_from: int = 1024
    window_size: int = 256
    block_size: int = 128
    sparsity: float = 0.9
    memory_lengths: tuple[int, ...] = (1024, 2048, 4096, 8192, 16384)
    longest_stored: int = 4096
    counted_lengths: tuple[int, ...] = (1024, 2048, 4096, 8192, 16384, 32768, 65536)
    counted_windows: tuple[int, ...] = (128, 256, 512)
    counted_sparsities: tuple[float, ...] = (0.5, 0.75, 0.9)
    longest_counted_blocks: int = 8192
    n_heads: int = 4
    head_dim: int = 64
    repeats: int = 7


@dataclass(frozen=True)
class MeasuredTimes:
    """Repeated timings of one attention at one length.

    Attributes:
        attention: "dense", "masked" (dense with the window as its mask), "local" or "block".
        direction: "forward" or "forward_backward".
        seq_len: positions.
        samples_ms: in the order in which they were taken.
    """

    attention: str
    direction: Direction
    seq_len: int
    samples_ms: tuple[float, ...]


@dataclass(frozen=True)
class PeakMemory:
    """The most memory that a forward and backward pass held at a time, beyond its inputs.

    Attributes:
        attention: "stored" (dense attention that keeps all scores), "dense", "local" or "block".
        seq_len: positions.
        peak_bytes: of everything that PyTorch allocated.
    """

    attention: str
    seq_len: int
    peak_bytes: int


@dataclass(frozen=True)
class AttentionScaling:
    """All that was measured and counted."""

    settings: AttentionScalingSettings
    times: tuple[MeasuredTimes, ...]
    memory: tuple[PeakMemory, ...]
    costs: tuple[CountedCost, ...]

    def time_frame(self) -> pd.DataFrame:
        """Medians and quartiles (`TIMES`), by attention, direction and length."""
        rows = to_frame(self.times).set_index(["attention", "direction", "seq_len"])
        found = [quartiles(samples) for samples in rows.samples_ms]
        return pd.DataFrame(found, columns=TIMES, index=rows.index).sort_index()

    def timed(self) -> list[str]:
        """The attentions that were timed, in the order in which they are shown."""
        return list(dict.fromkeys(each.attention for each in self.times))

    def peak_bytes(self) -> pd.DataFrame:
        """Peak memory: a row for each attention, a column for each length; NaN if not measured."""
        rows = to_frame(self.memory)
        table = rows.pivot(index="attention", columns="seq_len", values="peak_bytes")
        return table.loc[rows.attention.unique()]

    def stored_over_window(self) -> tuple[int, float]:
        """The greatest length with stored scores, and their memory over that of the window."""
        both = self.peak_bytes().loc[["stored", "local"]].dropna(axis=1)
        return int(both.columns[-1]), float(both.iloc[0, -1] / both.iloc[1, -1])

    def time_exponent(self, attention: str, direction: Direction) -> Interval | None:
        """How the median time grows with the length, from `fit_from` positions on."""
        medians = self.time_frame().loc[attention, direction].median_ms
        fitted = medians[medians.index >= self.settings.fit_from]
        return fit_exponent(fitted.index.tolist(), fitted.tolist())

    def speedups(self, attention: str, direction: Direction) -> pd.DataFrame:
        """How many times as fast as dense SDPA, at each length that both were timed at."""
        times = self.time_frame()
        return speedups(times.loc[attention, direction], times.loc["dense", direction]).dropna()

    def crossing(self, attention: str, direction: Direction) -> Interval:
        """The length from which on it is faster than dense SDPA; infinity if it is not.

        The limits are those that the quartiles of the timings allow.
        """
        found = self.speedups(attention, direction)
        limits = (found[column].tolist() for column in ("estimate", "high", "low"))
        return Interval(
            *(crossing_length(found.index.tolist(), advantages) for advantages in limits)
        )

    def label(self, attention: str) -> str:
        """What a measured attention is called in figures and tables."""
        labels = {
            "dense": "dense SDPA",
            "masked": "dense SDPA with a mask",
            "stored": "dense, scores stored",
            "local": pattern_label("local", self.settings.window_size),
            "block": pattern_label("block", self.settings.sparsity),
        }
        return labels[attention]


def measure_attention_scaling(visit: Visit) -> AttentionScaling:
    """Time dense and sparse attention, measure their memory, and count their operations."""
    settings = visit.settings
    times: list[MeasuredTimes] = []
    for direction, seq_len in product(DIRECTIONS, (*settings.lengths, *settings.longer_lengths)):
        visit.say(f"timing {direction.replace('_', ' + ')} at {seq_len:,} positions")
        names = ["dense"] * (seq_len in settings.lengths)
        names += ["masked"] * (seq_len <= settings.longest_mask)
        calls = _prepare([*names, "local", "block"], settings, seq_len, direction, visit.seed)
        times += [
            MeasuredTimes(name, direction, seq_len, samples_ms)
            for name, samples_ms in time_interleaved(calls, settings.repeats).items()
        ]
    memory: list[PeakMemory] = []
    for seq_len in settings.memory_lengths:
        visit.say(f"measuring memory at {seq_len:,} positions")
        names = ["stored"] * (seq_len <= settings.longest_stored)
        names += ["dense", "local", "block"]
        calls = _prepare(names, settings, seq_len, "forward_backward", visit.seed)
        memory += [
            PeakMemory(name, seq_len, peak_extra_bytes(call)) for name, call in calls.items()
        ]
    visit.say("counting operations and bytes")
    return AttentionScaling(
        settings, tuple(times), tuple(memory), tuple(_count(settings, visit.seed))
    )


def _prepare(
    names: Sequence[str],
    settings: AttentionScalingSettings,
    seq_len: int,
    direction: Direction,
    seed: int,
) -> dict[str, Callable[[], object]]:
    """The attentions of these names, ready to run on the same tensors.

    There are two regimes of sparsity: a window whose size is fixed, and blocks whose share is.
    """
    dense = AttentionWorkload.draw(
        Causal(), seq_len, settings.n_heads, settings.head_dim, direction, seed=seed
    )
    window = replace(dense, pattern=LocalWindow(settings.window_size))
    blocks = replace(dense, pattern=BlockSparse(settings.block_size, settings.sparsity, seed))
    prepare: dict[str, Callable[[], Callable[[], object]]] = {
        "stored": lambda: partial(dense.expected, OURS),  # the reference, which makes all scores
        "dense": lambda: dense.prepare(DENSE),
        "masked": lambda: window.prepare(MASKED),
        "local": lambda: window.prepare(OURS),
        "block": lambda: blocks.prepare(OURS),
    }
    return {name: prepare[name]() for name in names}


def _count(settings: AttentionScalingSettings, seed: int) -> Iterator[CountedCost]:
    sizes = (settings.n_heads, settings.head_dim)
    windows = {float(size): LocalWindow(size) for size in settings.counted_windows}
    yield from count_costs("local", windows, settings.counted_lengths, *sizes)
    blocks = {
        sparsity: BlockSparse(settings.block_size, sparsity, seed)
        for sparsity in settings.counted_sparsities
    }
    few = [n for n in settings.counted_lengths if n <= settings.longest_counted_blocks]
    yield from count_costs("block", blocks, few, *sizes)
