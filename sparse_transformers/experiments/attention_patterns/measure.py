"""What the patterns allow, what they cost, and how far a token hears through several layers."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch

from sparse_transformers.efficiency.attention_benchmark import benchmark_attention
from sparse_transformers.efficiency.attention_implementations import DENSE, OURS
from sparse_transformers.efficiency.comparison import Direction
from sparse_transformers.efficiency.costs import attention_cost
from sparse_transformers.efficiency.scaling_law import speedup_interval
from sparse_transformers.models.attention_patterns import (
    AttentionPattern,
    AttentionSinks,
    BigBird,
    BlockSparse,
    Causal,
    Dense,
    DilatedWindow,
    Fixed,
    LocalWindow,
    Longformer,
    RandomSparse,
    Strided,
)

ALLOWED, FORBIDDEN, FUTURE = "#", ".", " "
"""How a picture shows a pair: allowed, forbidden by the pattern, forbidden because it is later."""


@dataclass(frozen=True)
class PatternSurveySettings:
    """How large the pictures and the measurements are.

    Attributes:
        picture_len: positions in the picture of a pattern.
        reach_len: positions for the question who hears whom.
        max_layers: how many layers to stack for it.
        measured_len: positions for costs and times.
        n_heads: of the measured attention.
        head_dim: of the measured attention.
        repeats: timed calls of each pattern.
    """

    picture_len: int = 64
    reach_len: int = 256
    max_layers: int = 8
    measured_len: int = 4096
    n_heads: int = 4
    head_dim: int = 64
    repeats: int = 5


@dataclass(frozen=True)
class AttentionRow:
    """A row of `benchmark_attention`, which explains its columns; `arm` is the implementation."""

    arm: str
    pattern: str
    seq_len: int
    direction: Direction
    theoretical_speedup: float
    fill: float | None
    median_ms: float | None = None
    lower_quartile_ms: float | None = None
    upper_quartile_ms: float | None = None
    speedup: float | None = None
    sparse_efficiency: float | None = None
    not_measured: str | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "AttentionRow":
        """The columns that are kept here."""
        columns = {**row, "arm": row["implementation"]}
        return cls(**{field.name: columns[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class SurveyedPattern:
    """One pattern, in its causal form.

    Attributes:
        name: of the pattern; the key of its colour and label.
        picture: one string for each query, one character for each key.
        picture_density: allowed pairs of the picture per pair of dense causal attention.
        measured_pattern: the pattern at the measured length, written as Python, without `Causal()`.
        allowed_pairs: pairs that the rule allows, over all heads.
        computed_pairs: pairs inside the tiles that the kernel visits.
        dense_pairs: pairs of dense causal attention.
        timing: the tiled kernel on this pattern, and its speed-up over dense SDPA.
        layers_needed: for each position, after how many layers the last token depends on it:
            0 for the last token itself, None if `max_layers` do not suffice.
    """

    name: str
    picture: tuple[str, ...]
    picture_density: float
    measured_pattern: str
    allowed_pairs: int
    computed_pairs: int
    dense_pairs: int
    timing: AttentionRow
    layers_needed: tuple[int | None, ...]

    @property
    def sparsity(self) -> float:
        """The share of dense causal attention that is skipped."""
        return 1 - self.allowed_pairs / self.dense_pairs

    @property
    def fill(self) -> float:
        """Allowed pairs per computed pair."""
        return self.allowed_pairs / self.computed_pairs

    @property
    def theoretical_speedup(self) -> float:
        """Dense pairs per allowed pair."""
        return self.dense_pairs / self.allowed_pairs

    @property
    def tile_speedup(self) -> float:
        """Dense pairs per computed pair."""
        return self.dense_pairs / self.computed_pairs

    def share_reached(self, n_layers: int) -> float:
        """The share of all positions that the last token depends on after `n_layers` layers."""
        reached = sum(each is not None and each <= n_layers for each in self.layers_needed)
        return reached / len(self.layers_needed)

    def tokens_back(self, n_layers: int) -> int:
        """How far before the last token the earliest position is that it depends on."""
        return max(
            len(self.layers_needed) - 1 - position
            for position, needed in enumerate(self.layers_needed)
            if needed is not None and needed <= n_layers
        )


@dataclass(frozen=True)
class PatternSurvey:
    """All patterns, side by side."""

    settings: PatternSurveySettings
    dense: AttentionRow
    """PyTorch's dense causal attention, timed in the same run."""
    patterns: tuple[SurveyedPattern, ...]

    def speedup_interval(self, pattern: SurveyedPattern) -> tuple[float, float] | None:
        """The speed-ups that the quartiles of both timings allow; None if one was not measured."""
        ours, dense = _quartiles(pattern.timing), _quartiles(self.dense)
        return None if ours is None or dense is None else speedup_interval(ours, dense)


def example_patterns(seq_len: int, seed: int = 0) -> dict[str, AttentionPattern]:
    """The patterns of the tour, sized so that they look alike at every length.

    A window spans a sixteenth of the sequence and a block half of that, a stride is the root of the
    length (Child et al. 2019, arXiv:1904.10509, section 4.3), and what is random keeps a tenth.
    """
    window = max(1, seq_len // 16)
    block = max(1, seq_len // 32)
    stride = max(1, math.isqrt(seq_len))
    return {
        "dense": Dense(),
        "local": LocalWindow(window),
        "dilated": DilatedWindow(window, dilation=4),
        "strided": Strided(stride),
        "fixed": Fixed(stride, summary_size=max(1, stride // 8)),
        "longformer": Longformer(window, global_positions=(0, seq_len // 2)),
        "bigbird": BigBird(block, random_blocks=2, seed=seed),
        "sinks": AttentionSinks(min(4, seq_len)) | LocalWindow(window),
        "block": BlockSparse(block, sparsity=0.9, seed=seed),
        "random": RandomSparse(sparsity=0.9, seed=seed),
    }


def survey_patterns(
    settings: PatternSurveySettings,
    *,
    seed: int = 0,
    say: Callable[[str], object] = lambda step: None,
) -> PatternSurvey:
    """Draw, count, time and stack every example pattern, in its causal form.

    Args:
        settings: sizes.
        seed: of the random patterns and of the tensors that are timed.
        say: is told what comes next.
    """
    say("pictures, and what reaches the last token")
    pictures = example_patterns(settings.picture_len, seed)
    reaching = example_patterns(settings.reach_len, seed)
    measured = example_patterns(settings.measured_len, seed)

    say(f"timing {len(measured)} patterns at {settings.measured_len:,} positions")
    benchmark = benchmark_attention(
        list(measured.values()),
        [settings.measured_len],
        settings.n_heads,
        settings.head_dim,
        implementations=(DENSE, OURS),
        repeats=settings.repeats,
        seed=seed,
    )
    rows = [AttentionRow.of(row) for row in benchmark.rows]
    dense = next(row for row in rows if row.arm == DENSE)
    timings = [row for row in rows if row.arm == OURS]  # one for each pattern, in order

    surveyed = []
    for (name, pattern), timing in zip(measured.items(), timings, strict=True):
        causal = pattern & Causal()
        cost = attention_cost(causal, settings.measured_len, settings.n_heads, settings.head_dim)
        picture = pictures[name] & Causal()
        surveyed.append(
            SurveyedPattern(
                name=name,
                picture=_picture(picture, settings.picture_len),
                picture_density=picture.allowed_pairs(settings.picture_len)
                / Causal().allowed_pairs(settings.picture_len),
                measured_pattern=repr(pattern),
                allowed_pairs=cost.allowed_pairs,
                computed_pairs=cost.computed_pairs,
                dense_pairs=cost.dense_pairs,
                timing=timing,
                layers_needed=_layers_needed(
                    reaching[name] & Causal(), settings.reach_len, settings.max_layers
                ),
            )
        )
    return PatternSurvey(settings, dense, tuple(surveyed))


def _quartiles(row: AttentionRow) -> tuple[float, float] | None:
    if row.lower_quartile_ms is None or row.upper_quartile_ms is None:
        return None
    return row.lower_quartile_ms, row.upper_quartile_ms


def _picture(pattern: AttentionPattern, seq_len: int) -> tuple[str, ...]:
    earlier = Causal().mask(seq_len).tolist()
    return tuple(
        "".join(
            ALLOWED if allowed else FORBIDDEN if is_earlier else FUTURE
            for allowed, is_earlier in zip(allowed_row, earlier_row, strict=True)
        )
        for allowed_row, earlier_row in zip(pattern.mask(seq_len).tolist(), earlier, strict=True)
    )


def _layers_needed(
    pattern: AttentionPattern, seq_len: int, max_layers: int
) -> tuple[int | None, ...]:
    """After how many layers the last token depends on each position."""
    reached = torch.stack([pattern.reach(seq_len, n)[-1] for n in range(max_layers + 1)])
    first = reached.int().argmax(0).tolist()
    ever = reached.any(0).tolist()
    return tuple(n if is_reached else None for n, is_reached in zip(first, ever, strict=True))
