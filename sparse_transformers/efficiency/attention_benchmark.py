"""Sparse attention timed beside its peers, on the same tensors."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sparse_transformers.efficiency.attention_implementations import (
    DENSE,
    IMPLEMENTATIONS,
    AttentionWorkload,
)
from sparse_transformers.efficiency.benchmark_report import Report
from sparse_transformers.efficiency.comparison import (
    DIRECTIONS,
    Benchmark,
    Candidate,
    TimingOptions,
    check_choices,
    run_benchmark,
)
from sparse_transformers.efficiency.costs import attention_cost
from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.pattern_base import AttentionPattern
from sparse_transformers.utils.plots.attention_speed import plot_attention_times

CHECKED_POSITIONS = 1024
"""The oracle makes all scores, so longer sequences are checked at this length."""


def benchmark_attention(
    patterns: Sequence[AttentionPattern],
    seq_lens: Sequence[int],
    n_heads: int = 8,
    head_dim: int = 64,
    **options: Any,
) -> Benchmark:
    """Time all implementations on the causal form of each pattern, side by side.

    For each length all implementations take turns in one run, on one sequence of standard normal
    numbers in single precision. Masks, layouts and compiled kernels are made before the clock
    starts. A row is about a `pattern`, the one that the implementation computes, at a `seq_len`.
    Its further numbers are

    - `theoretical_speedup`: dense pairs per allowed pair, by count;
    - `fill`: allowed pairs per pair that our kernel computes, by count; None for the others;
    - `sparse_efficiency`: `speedup` divided by `theoretical_speedup`. At 1.0 an allowed pair costs
      as much as a pair of dense attention.

    Args:
        patterns: rules; each is composed with `Causal`.
        seq_lens: numbers of positions.
        n_heads: heads of queries and of keys.
        head_dim: of queries, keys and values.
        options: fields of `TimingOptions`; the baseline is "dense SDPA".

    Raises:
        ValueError: nothing to measure, an unknown name, or a size below 1.
    """
    timing = TimingOptions(**{"implementations": tuple(IMPLEMENTATIONS)} | options)
    check_choices(
        patterns=(patterns, patterns),
        seq_lens=(seq_lens, seq_lens),
        direction=([timing.direction], DIRECTIONS),
        implementations=(timing.implementations, IMPLEMENTATIONS),
    )
    check_whole(1, seq_lens=min(seq_lens))
    for pattern in patterns:
        attention_cost(pattern, min(seq_lens), n_heads, head_dim)  # raises if they do not fit

    def runs() -> Iterator[tuple[str, list[Candidate]]]:
        draw = partial(
            AttentionWorkload.draw,
            patterns[0],
            n_heads=n_heads,
            head_dim=head_dim,
            direction=timing.direction,
            seed=timing.seed,
            device=timing.device,
        )
        small = draw(seq_len=min(CHECKED_POSITIONS, max(seq_lens)))
        for seq_len in seq_lens:
            workload = draw(seq_len=seq_len, small=small)
            workloads = [replace(workload, pattern=pattern) for pattern in patterns]
            candidates: list[Candidate] = [
                (name, each)
                for name in timing.implementations
                # Dense attention is the same for every pattern.
                for each in (workloads if name != DENSE else workloads[:1])
            ]
            yield f"{timing.direction}, {seq_len:,} positions", candidates

    settings = {"n_heads": n_heads, "head_dim": head_dim}
    return run_benchmark(runs(), timing, baseline=DENSE, settings=settings)


ATTENTION = Report(
    subject="an attention benchmark",
    file_name="attention_benchmark",
    settings="1 × {n_heads} heads × {head_dim}",
    columns={
        "positions": "{seq_len:,}",
        "implementation": "{implementation}",
        "causal pattern": "`{pattern}`",
        "fill": "{fill:.2f}",
        "ms": "{median_ms:,.0f} ({lower_quartile_ms:,.0f}–{upper_quartile_ms:,.0f})",
        "speed-up": "{speedup:.1f}× of {theoretical_speedup:.1f}×",
        "sparse efficiency": "{sparse_efficiency:.2f}",
    },
    plot=plot_attention_times,
    growths=("memory", "layouts"),
)
"""Tables and files of `bench attention`."""
