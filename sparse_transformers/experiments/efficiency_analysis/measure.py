"""How the time, the memory and the operations of attention grow with the length."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sparse_transformers.efficiency.attention_implementations import (
    DENSE,
    IMPLEMENTATIONS,
    OURS,
    Attend,
    AttentionWorkload,
)
from sparse_transformers.efficiency.comparison import DIRECTIONS, Direction
from sparse_transformers.efficiency.memory import peak_extra_bytes
from sparse_transformers.efficiency.scaling_law import PowerLaw, fit_power_law
from sparse_transformers.efficiency.timing import time_interleaved
from sparse_transformers.experiments.efficiency_analysis.counted_costs import (
    CountedCost,
    count_costs,
)
from sparse_transformers.experiments.efficiency_analysis.time_curves import (
    Crossing,
    TimeCurve,
    TimePoint,
    find_crossing,
    fit_time_curve,
)
from sparse_transformers.models.attention_ops import sparse_attention
from sparse_transformers.models.attention_patterns import (
    AttentionPattern,
    BlockSparse,
    Causal,
    LocalWindow,
)

MASKED = "masked SDPA"


@dataclass(frozen=True)
class AttentionScalingSettings:
    """Lengths and sizes.

    Attributes:
        lengths: timed with every arm, rising.
        longer_lengths: timed with the sparse arms only, rising.
        longest_mask: the control that masks dense attention is timed up to this length.
        fit_from: exponents are fitted to lengths from this one on, where the window is short.
        window_size: of the local window.
        block_size: of the block sparse pattern.
        sparsity: of the block sparse pattern, at every length.
        memory_lengths: for memory, rising; the sparse arms and dense SDPA.
        longest_stored: memory of attention that stores all scores is measured up to this length.
        counted_lengths: lengths at which costs are counted, rising.
        counted_windows: windows whose cost is counted.
        counted_sparsities: of block sparse patterns whose cost is counted.
        longest_counted_blocks: they are counted up to this length, because their tiles grow with
            the square of it.
        n_heads: of the attention.
        head_dim: of the attention.
        repeats: timed calls of each arm.
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
class MemoryCurve:
    """The peak of extra memory of one arm, forward and backward, over the lengths."""

    name: str
    lengths: tuple[int, ...]
    peak_bytes: tuple[int, ...]
    fit: PowerLaw | None


@dataclass(frozen=True)
class AttentionScaling:
    """All that was measured and counted."""

    settings: AttentionScalingSettings
    times: tuple[TimeCurve, ...]
    crossings: tuple[Crossing, ...]
    memory: tuple[MemoryCurve, ...]
    costs: tuple[CountedCost, ...]

    def time_curve(self, name: str, direction: Direction) -> TimeCurve:
        """The curve of an arm."""
        return next(c for c in self.times if (c.name, c.direction) == (name, direction))

    def memory_curve(self, name: str) -> MemoryCurve:
        """The curve of an arm."""
        return next(curve for curve in self.memory if curve.name == name)

    def counted(self, name: str, setting: float) -> list[CountedCost]:
        """The costs of a pattern, by rising length."""
        return [cost for cost in self.costs if (cost.name, cost.setting) == (name, setting)]


def measure_attention_scaling(
    settings: AttentionScalingSettings,
    *,
    seed: int = 0,
    say: Callable[[str], object] = lambda step: None,
) -> AttentionScaling:
    """Time dense and sparse attention, measure their memory, and count their operations.

    Args:
        settings: lengths and sizes.
        seed: of the block sparse pattern and of the tensors.
        say: is told what comes next.
    """
    times: list[TimeCurve] = []
    crossings: list[Crossing] = []
    for direction in DIRECTIONS:
        curves = _time_curves(settings, direction, seed, say)
        times += curves.values()
        crossings += [find_crossing(curves["dense"], curves[name]) for name in ("local", "block")]
    memory = _memory_curves(settings, seed, say)
    say("counting operations and bytes")
    costs = _counted_costs(settings, seed)
    return AttentionScaling(settings, tuple(times), tuple(crossings), tuple(memory), tuple(costs))


def _time_curves(
    settings: AttentionScalingSettings,
    direction: Direction,
    seed: int,
    say: Callable[[str], object],
) -> dict[str, TimeCurve]:
    points: dict[str, list[TimePoint]] = {"dense": [], "masked": [], "local": [], "block": []}
    for seq_len in (*settings.lengths, *settings.longer_lengths):
        say(f"timing {direction.replace('_', ' + ')} at {seq_len:,} positions")
        arms = _sparse_arms(settings, seq_len, seed)
        if seq_len in settings.lengths:
            arms["dense"] = _build(DENSE, Causal(), seq_len)
        if seq_len <= settings.longest_mask:
            arms["masked"] = _build(MASKED, LocalWindow(settings.window_size), seq_len)
        workload = AttentionWorkload.draw(
            Causal(), seq_len, settings.n_heads, settings.head_dim, direction, seed=seed
        )
        calls = {name: partial(workload.run, attend) for name, attend in arms.items()}
        for name, timing in time_interleaved(calls, settings.repeats).items():
            points[name].append(TimePoint(seq_len, timing))
    return {
        name: fit_time_curve(name, direction, of_arm, fit_from=settings.fit_from)
        for name, of_arm in points.items()
    }


def _memory_curves(
    settings: AttentionScalingSettings, seed: int, say: Callable[[str], object]
) -> list[MemoryCurve]:
    peaks: dict[str, dict[int, int]] = {"stored": {}, "dense": {}, "local": {}, "block": {}}
    for seq_len in settings.memory_lengths:
        say(f"measuring memory at {seq_len:,} positions")
        arms = _sparse_arms(settings, seq_len, seed)
        arms["dense"] = _build(DENSE, Causal(), seq_len)
        if seq_len <= settings.longest_stored:
            arms["stored"] = _attend_storing_scores
        workload = AttentionWorkload.draw(
            Causal(), seq_len, settings.n_heads, settings.head_dim, "forward_backward", seed=seed
        )
        for name, attend in arms.items():
            peaks[name][seq_len] = peak_extra_bytes(partial(workload.run, attend))
    return [
        MemoryCurve(
            name=name,
            lengths=tuple(of_arm),
            peak_bytes=tuple(of_arm.values()),
            fit=fit_power_law(list(of_arm), list(of_arm.values())),
        )
        for name, of_arm in peaks.items()
    ]


def _counted_costs(settings: AttentionScalingSettings, seed: int) -> list[CountedCost]:
    windows = {float(window): LocalWindow(window) for window in settings.counted_windows}
    blocks = {
        sparsity: BlockSparse(settings.block_size, sparsity, seed)
        for sparsity in settings.counted_sparsities
    }
    few = [n for n in settings.counted_lengths if n <= settings.longest_counted_blocks]
    shape = settings.n_heads, settings.head_dim
    return [
        *count_costs("local", windows, settings.counted_lengths, *shape),
        *count_costs("block", blocks, few, *shape),
    ]


def _sparse_arms(settings: AttentionScalingSettings, seq_len: int, seed: int) -> dict[str, Attend]:
    """The two regimes: a window whose size is fixed, and blocks whose share is fixed."""
    blocks = BlockSparse(settings.block_size, settings.sparsity, seed)
    return {
        "local": _build(OURS, LocalWindow(settings.window_size), seq_len),
        "block": _build(OURS, blocks, seq_len),
    }


def _build(arm: str, pattern: AttentionPattern, seq_len: int) -> Attend:
    return IMPLEMENTATIONS[arm].build(pattern, seq_len, torch.device("cpu"))


def _attend_storing_scores(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The textbook way, with the full matrix of scores: the reference, never timed."""
    return sparse_attention(query, key, value, Causal(), backend="reference")
