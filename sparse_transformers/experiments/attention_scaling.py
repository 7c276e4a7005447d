"""How the time, the memory and the operations of attention grow with the length."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sparse_transformers.efficiency.attention_arms import (
    ARMS,
    DENSE,
    DIRECTIONS,
    OURS,
    Attend,
    Direction,
    Workload,
)
from sparse_transformers.efficiency.costs import attention_cost
from sparse_transformers.efficiency.memory import peak_extra_bytes
from sparse_transformers.efficiency.timing import Timing, time_interleaved
from sparse_transformers.experiments.scaling_law import (
    PowerLaw,
    crossing_length,
    fit_power_law,
    speedup_interval,
)
from sparse_transformers.models.attention_ops import sparse_attention
from sparse_transformers.models.attention_patterns import BlockSparse, Causal, LocalWindow

MASKED = "masked SDPA"
SCORE_BYTES, KEY_NUMBER_BYTES = 4, 4  # float32 and int32


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
class TimePoint:
    """One arm at one length."""

    seq_len: int
    timing: Timing

    def speedup_over(self, other: "TimePoint") -> float:
        """How many times as fast it is, by the medians."""
        return other.timing.median_ms / self.timing.median_ms

    def speedup_interval_over(self, other: "TimePoint") -> tuple[float, float]:
        """The speed-ups that the quartiles of both allow."""
        return speedup_interval(self._quartiles_ms, other._quartiles_ms)

    @property
    def _quartiles_ms(self) -> tuple[float, float]:
        return self.timing.lower_quartile_ms, self.timing.upper_quartile_ms


@dataclass(frozen=True)
class TimeCurve:
    """One arm over the lengths.

    Attributes:
        name: the key of the arm's colour and label: "dense", "masked", "local" or "block".
        fit: None where too few lengths were measured.
    """

    name: str
    direction: Direction
    points: tuple[TimePoint, ...]
    fit: PowerLaw | None

    def at(self, seq_len: int) -> TimePoint:
        """The point of a length that was measured."""
        return next(point for point in self.points if point.seq_len == seq_len)


@dataclass(frozen=True)
class Crossing:
    """From which length on an arm is faster than dense SDPA.

    Attributes:
        length: None if it is not faster at the longest length measured with both.
        early: the same if dense was as slow, and the arm as fast, as their quartiles allow.
        late: the same the other way round.
        shortest: the shortest length measured; a crossing there may lie before it.
        longest: the longest length measured with both.
    """

    name: str
    direction: Direction
    length: float | None
    early: float | None
    late: float | None
    shortest: int
    longest: int


@dataclass(frozen=True)
class MemoryCurve:
    """The peak of extra memory of one arm, forward and backward, over the lengths."""

    name: str
    lengths: tuple[int, ...]
    peak_bytes: tuple[int, ...]
    fit: PowerLaw | None


@dataclass(frozen=True)
class CountedCost:
    """What a causal pattern costs at one length, forward and backward. A model, not measured.

    Attributes:
        name: "local" with its window, or "block" with its sparsity.
        setting: the window or the sparsity.
        flops: of the matrix products that run, partial tiles in full, over all heads.
        dense_flops: the same for dense causal attention.
        tensor_bytes: inputs, output, gradients and the index of the tiles. This library keeps no
            scores, so it needs no more.
        allowed_score_bytes: the scores of allowed pairs as a sparse matrix, each with the number of
            its key, which is what a kernel would add that kept them.
        all_score_bytes: the scores of all pairs.
    """

    name: str
    setting: float
    seq_len: int
    flops: int
    dense_flops: int
    tensor_bytes: int
    allowed_score_bytes: int
    all_score_bytes: int

    @property
    def flop_reduction(self) -> float:
        """Dense operations per operation that runs."""
        return self.dense_flops / self.flops

    @property
    def memory_reduction_without_scores(self) -> float:
        """Bytes of attention that keeps all scores, per byte of one that keeps none."""
        return (self.tensor_bytes + self.all_score_bytes) / self.tensor_bytes

    @property
    def memory_reduction_with_scores(self) -> float:
        """Bytes of attention that keeps all scores, per byte of one that keeps the allowed ones."""
        return (self.tensor_bytes + self.all_score_bytes) / (
            self.tensor_bytes + self.allowed_score_bytes
        )


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
    curves: list[TimeCurve] = []
    crossings: list[Crossing] = []
    for direction in DIRECTIONS:
        by_name = _time_curves(settings, direction, seed, say)
        curves += by_name.values()
        crossings += [find_crossing(by_name["dense"], by_name[name]) for name in ("local", "block")]
    memory = _memory_curves(settings, seed, say)
    say("counting operations and bytes")
    costs = _counted_costs(settings, seed)
    return AttentionScaling(settings, tuple(curves), tuple(crossings), tuple(memory), tuple(costs))


def fit_time_curve(
    settings: AttentionScalingSettings, name: str, direction: Direction, points: list[TimePoint]
) -> TimeCurve:
    """The curve through the points, with its exponent from `fit_from` on."""
    fitted = [point for point in points if point.seq_len >= settings.fit_from]
    fit = fit_power_law(
        [point.seq_len for point in fitted], [point.timing.median_ms for point in fitted]
    )
    return TimeCurve(name, direction, tuple(points), fit)


def find_crossing(dense: TimeCurve, sparse: TimeCurve) -> Crossing:
    """From which of the lengths that dense attention was timed at the sparse arm stays faster."""
    lengths = [point.seq_len for point in dense.points]
    pairs = [(sparse.at(point.seq_len), point) for point in dense.points]
    intervals = [ours.speedup_interval_over(theirs) for ours, theirs in pairs]
    return Crossing(
        name=sparse.name,
        direction=sparse.direction,
        length=crossing_length(lengths, [ours.speedup_over(theirs) for ours, theirs in pairs]),
        early=crossing_length(lengths, [high for _, high in intervals]),
        late=crossing_length(lengths, [low for low, _ in intervals]),
        shortest=lengths[0],
        longest=lengths[-1],
    )


def _time_curves(
    settings: AttentionScalingSettings,
    direction: Direction,
    seed: int,
    say: Callable[[str], object],
) -> dict[str, TimeCurve]:
    points: dict[str, list[TimePoint]] = {"dense": [], "masked": [], "local": [], "block": []}
    for seq_len in (*settings.lengths, *settings.longer_lengths):
        say(f"timing {direction.replace('_', ' + ')} at {seq_len:,} positions")
        workload = Workload.draw(seq_len, settings.n_heads, settings.head_dim, direction, seed=seed)
        timings = time_interleaved(
            {
                name: partial(workload.run, attend)
                for name, attend in _timed_arms(settings, seq_len, seed).items()
            },
            settings.repeats,
        )
        for name, timing in timings.items():
            points[name].append(TimePoint(seq_len, timing))
    return {name: fit_time_curve(settings, name, direction, each) for name, each in points.items()}


def _timed_arms(settings: AttentionScalingSettings, seq_len: int, seed: int) -> dict[str, Attend]:
    """What runs at this length: the sparse arms always, the others where they are affordable."""
    window = LocalWindow(settings.window_size)
    blocks = BlockSparse(settings.block_size, settings.sparsity, seed)
    arms = {"local": (OURS, window), "block": (OURS, blocks)}
    if seq_len in settings.lengths:
        arms["dense"] = (DENSE, window)  # which it computes whatever the pattern
        if seq_len <= settings.longest_mask:
            arms["masked"] = (MASKED, window)
    device = torch.device("cpu")
    return {name: ARMS[arm].build(rule, seq_len, device) for name, (arm, rule) in arms.items()}


def _memory_curves(
    settings: AttentionScalingSettings, seed: int, say: Callable[[str], object]
) -> list[MemoryCurve]:
    peaks: dict[str, dict[int, int]] = {"stored": {}, "dense": {}, "local": {}, "block": {}}
    for seq_len in settings.memory_lengths:
        say(f"measuring memory at {seq_len:,} positions")
        arms = _timed_arms(settings, seq_len, seed)
        arms |= {"dense": ARMS[DENSE].build(Causal(), seq_len, torch.device("cpu"))}
        arms.pop("masked", None)
        if seq_len <= settings.longest_stored:
            arms["stored"] = _attend_storing_scores
        workload = Workload.draw(
            seq_len, settings.n_heads, settings.head_dim, "forward_backward", seed=seed
        )
        for name, attend in arms.items():
            peaks[name][seq_len] = peak_extra_bytes(partial(workload.run, attend))
    return [
        MemoryCurve(
            name=name,
            lengths=tuple(by_length),
            peak_bytes=tuple(by_length.values()),
            fit=fit_power_law(list(by_length), list(by_length.values())),
        )
        for name, by_length in peaks.items()
    ]


def _attend_storing_scores(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The textbook way, with the full matrix of scores: the reference, never timed."""
    return sparse_attention(query, key, value, Causal(), backend="reference")


def _counted_costs(settings: AttentionScalingSettings, seed: int) -> list[CountedCost]:
    windows = [("local", float(w), LocalWindow(w)) for w in settings.counted_windows]
    blocks = [
        ("block", s, BlockSparse(settings.block_size, s, seed)) for s in settings.counted_sparsities
    ]
    costs = []
    for name, setting, pattern in [*windows, *blocks]:
        for seq_len in settings.counted_lengths:
            if name == "block" and seq_len > settings.longest_counted_blocks:
                continue
            cost = attention_cost(
                pattern, seq_len, settings.n_heads, settings.head_dim, causal=True
            )
            costs.append(
                CountedCost(
                    name=name,
                    setting=setting,
                    seq_len=seq_len,
                    flops=cost.forward_flops + cost.backward_flops,
                    dense_flops=cost.dense_forward_flops + cost.dense_backward_flops,
                    tensor_bytes=cost.backward_bytes,
                    allowed_score_bytes=cost.allowed_pairs * (SCORE_BYTES + KEY_NUMBER_BYTES),
                    all_score_bytes=cost.dense_score_bytes,
                )
            )
    return costs
