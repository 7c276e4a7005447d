"""What the patterns allow, what they cost, and from how far back information arrives."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from sparse_transformers.efficiency.attention_benchmark import benchmark_attention
from sparse_transformers.efficiency.attention_implementations import DENSE, OURS
from sparse_transformers.efficiency.costs import attention_cost
from sparse_transformers.efficiency.scaling_law import speedups
from sparse_transformers.efficiency.timing import TIMES
from sparse_transformers.experiments.section import Visit
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
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.records import to_frame

ALLOWED, FORBIDDEN, FUTURE = "#", ".", " "
"""How a picture shows a pair: allowed, forbidden by the pattern, forbidden because it is later."""


@dataclass(frozen=True)
class PatternSurveySettings:
    """How large the pictures and the measurements are.

    Attributes:
        picture_len: positions in the picture of a pattern.
        reach_len: positions for the question which tokens can influence the last one.
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
class MedianTime:
    """Median and quartiles of repeated timings; None for what could not be timed."""

    lower_quartile_ms: float | None
    median_ms: float | None
    upper_quartile_ms: float | None


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
        timing: the tiled kernel on this pattern.
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
    timing: MedianTime
    layers_needed: tuple[int | None, ...]


@dataclass(frozen=True)
class PatternSurvey:
    """All patterns, side by side.

    Attributes:
        settings: as given.
        dense: PyTorch's dense causal attention, timed in the same run.
        patterns: in the order in which they are shown.
    """

    settings: PatternSurveySettings
    dense: MedianTime
    patterns: tuple[SurveyedPattern, ...]

    def frame(self) -> pd.DataFrame:
        """What was counted and measured, with a row for each pattern; NaN if it was not timed.

        `skipped` is a share of the dense pairs, `fill` one of the computed pairs. `pair_limit` is
        the speed-up if every skipped pair saved its cost, `tile_limit` if every tile did that is
        not visited. The measured speed-up over dense SDPA (`estimate`) has the limits `low` and
        `high`, which the quartiles of both timings allow.
        """
        pairs = to_frame(self.patterns).set_index("name")
        times = to_frame(pairs.timing)[TIMES].astype(float).set_index(pairs.index)
        return speedups(times, to_frame([self.dense]).iloc[0]).assign(
            median_ms=times.median_ms,
            skipped=1 - pairs.allowed_pairs / pairs.dense_pairs,
            fill=pairs.allowed_pairs / pairs.computed_pairs,
            pair_limit=pairs.dense_pairs / pairs.allowed_pairs,
            tile_limit=pairs.dense_pairs / pairs.computed_pairs,
        )

    def speedups(self) -> dict[str, Interval]:
        """The speed-ups over dense SDPA that were measured, by pattern."""
        measured = self.frame()[["estimate", "low", "high"]].dropna()
        return {name: Interval(*limits) for name, *limits in measured.itertuples()}

    def layers_needed(self) -> pd.DataFrame:
        """After how many layers the last token depends on another; NaN if it never does.

        A column for each pattern, a row for each number of tokens before the last one, the
        farthest first.
        """
        distances = range(self.settings.reach_len - 1, -1, -1)
        columns = {each.name: each.layers_needed for each in self.patterns}
        return pd.DataFrame(columns, index=distances, dtype=float)


def example_patterns(seq_len: int, seed: int = 0) -> dict[str, AttentionPattern]:
    """The patterns of the tour, which grow with the length.

    A window spans a sixteenth of the sequence and a block half of that, and what is random keeps a
    tenth: their share of the pairs stays about the same. A stride is the root of the length (Child
    et al. 2019, arXiv:1904.10509, section 4.3), so that its share falls.
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


def survey_patterns(visit: Visit) -> PatternSurvey:
    """Draw, count, time and stack every example pattern, in its causal form."""
    settings = visit.settings
    visit.say(f"timing every pattern at {settings.measured_len:,} positions")
    measured = example_patterns(settings.measured_len, visit.seed)
    benchmark = benchmark_attention(
        list(measured.values()),
        [settings.measured_len],
        settings.n_heads,
        settings.head_dim,
        implementations=(DENSE, OURS),
        repeats=settings.repeats,
        seed=visit.seed,
    )
    # One row of dense SDPA, the same for all patterns, comes before the tiled kernel on each.
    dense, *timings = (MedianTime(*(row[name] for name in TIMES)) for row in benchmark.rows)

    visit.say("pictures, and what reaches the last token")
    pictures = example_patterns(settings.picture_len, visit.seed)
    reaching = example_patterns(settings.reach_len, visit.seed)
    surveyed = []
    for (name, pattern), timing in zip(measured.items(), timings, strict=True):
        cost = attention_cost(
            pattern, settings.measured_len, settings.n_heads, settings.head_dim, causal=True
        )
        picture = attention_cost(pictures[name], settings.picture_len, 1, 1, causal=True)
        surveyed.append(
            SurveyedPattern(
                name=name,
                picture=_picture(pictures[name], settings.picture_len),
                picture_density=picture.allowed_pairs / picture.dense_pairs,
                measured_pattern=repr(pattern),
                allowed_pairs=cost.allowed_pairs,
                computed_pairs=cost.computed_pairs,
                dense_pairs=cost.dense_pairs,
                timing=timing,
                layers_needed=_layers_needed(reaching[name] & Causal(), settings),
            )
        )
    return PatternSurvey(settings, dense, tuple(surveyed))


def _picture(pattern: AttentionPattern, seq_len: int) -> tuple[str, ...]:
    earlier = Causal().mask(seq_len)
    shown = np.where(pattern.mask(seq_len), ALLOWED, FORBIDDEN)
    return tuple("".join(row) for row in np.where(earlier, shown, FUTURE))


def _layers_needed(
    pattern: AttentionPattern, settings: PatternSurveySettings
) -> tuple[int | None, ...]:
    """After how many layers the last token depends on each position."""
    layers = range(settings.max_layers + 1)
    reached = torch.stack([pattern.reach(settings.reach_len, n)[-1] for n in layers])
    first, ever = reached.int().argmax(0).tolist(), reached.any(0).tolist()
    return tuple(n if is_reached else None for n, is_reached in zip(first, ever, strict=True))
