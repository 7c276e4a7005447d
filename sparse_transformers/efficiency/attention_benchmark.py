"""Sparse attention timed beside its peers: the same tensors, taking turns in one run.

Every arm first has to give the right answer at a small length. One that gives another is named and
not timed; so is one that is not installed, does not compile, or has no backward pass.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from sparse_transformers.efficiency.attention_arms import ARMS, DENSE, OURS, Workload
from sparse_transformers.efficiency.attention_results import AttentionBenchmark, AttentionRow
from sparse_transformers.efficiency.comparison import (
    DIRECTIONS,
    CannotMeasureError,
    Direction,
    root_cause,
)
from sparse_transformers.efficiency.costs import attention_cost
from sparse_transformers.efficiency.timing import Timing, time_interleaved
from sparse_transformers.models.attention_ops import sparse_attention
from sparse_transformers.models.pattern_base import AttentionPattern
from sparse_transformers.utils.runtime import environment

CHECKED_POSITIONS = 1024
TOLERANCE = 1e-3
"""Relative to the largest number. Rounding in single precision stays below a hundredth of this,
and a window that is wrong by one key goes beyond it a hundredfold."""


def benchmark_attention(
    patterns: Sequence[AttentionPattern],
    seq_lens: Sequence[int],
    n_heads: int = 8,
    head_dim: int = 64,
    *,
    direction: Direction = "forward",
    arms: Sequence[str] = tuple(ARMS),
    repeats: int = 5,
    warmup: int = 1,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> AttentionBenchmark:
    """Time the arms on the causal form of each pattern, side by side.

    For each length all arms take turns in one run, on one sequence of standard normal numbers in
    single precision. Masks, layouts and compiled kernels are made before the clock starts.

    Args:
        patterns: rules; each is composed with `Causal`.
        seq_lens: numbers of positions.
        n_heads: heads of queries and of keys.
        head_dim: of queries, keys and values.
        direction: "forward" without gradients, or "forward_backward" with those of query, key and
            value.
        arms: names out of `ARMS`. Without "dense SDPA" there are no speedups.
        repeats: timed calls of each arm.
        warmup: untimed calls in the same run, after a first one that compiles.
        seed: of the tensors.
        device: where to compute.
        progress: show a bar.

    Raises:
        ValueError: nothing to measure, an unknown arm or direction, or a size below 1.
    """
    _check_request(patterns, seq_lens, direction, arms)
    for pattern in patterns:
        attention_cost(pattern, min(seq_lens), n_heads, head_dim)  # raises if they do not fit
    device = torch.device(device)
    # Dense attention is the same for every pattern.
    candidates = [
        _Candidate(arm, pattern)
        for arm in arms
        for pattern in (patterns if arm != DENSE else patterns[:1])
    ]

    def draw(seq_len: int) -> Workload:
        return Workload.draw(seq_len, n_heads, head_dim, direction, seed=seed, device=device)

    small = draw(min(CHECKED_POSITIONS, max(seq_lens)))
    failures: dict[_Candidate, str] = {}
    torch.compiler.reset()
    for candidate in tqdm(candidates, desc="checking the arms", disable=not progress):
        try:
            _check_answer(candidate, small)
        except CannotMeasureError as error:
            failures[candidate] = str(error)

    rows: list[AttentionRow] = []
    for seq_len in seq_lens:
        workload = draw(seq_len)
        rows += _time_arms(candidates, failures, workload, repeats, warmup, progress=progress)
    return AttentionBenchmark(
        direction=direction,
        rows=tuple(rows),
        n_heads=n_heads,
        head_dim=head_dim,
        repeats=repeats,
        seed=seed,
        device=str(device),
        environment=environment(),
    )


@dataclass(frozen=True)
class _Candidate:
    """An arm that is asked for a pattern."""

    arm: str
    pattern: AttentionPattern

    @property
    def computes(self) -> AttentionPattern:
        """What it gives the causal attention of."""
        return ARMS[self.arm].computes(self.pattern)

    def prepare(self, workload: Workload) -> Callable[[], tuple[Tensor, ...]]:
        """The call to be timed, made once already, so that everything is compiled.

        Raises:
            CannotMeasureError: it does not run, for the reason in the message.
        """
        try:
            attend = ARMS[self.arm].build(
                self.pattern, workload.query.shape[2], workload.query.device
            )
            workload.run(attend)
        except CannotMeasureError:
            raise
        except Exception as error:  # a peer or a compiler may raise anything, and it is the reason
            raise CannotMeasureError(root_cause(error)) from error
        return lambda: workload.run(attend)


def _check_answer(candidate: _Candidate, workload: Workload) -> None:
    """Compare output or gradients with the dense reference.

    Raises:
        CannotMeasureError: the arm does not run, or computes something else.
    """
    answers = candidate.prepare(workload)()
    expected = workload.run(
        lambda query, key, value: sparse_attention(
            query, key, value, candidate.computes, causal=True, backend="reference"
        )
    )
    error = max(
        ((answer - right).abs().max() / right.abs().max()).item()
        for answer, right in zip(answers, expected, strict=True)
    )
    if not error <= TOLERANCE:  # NaN is wrong too
        raise CannotMeasureError(
            f"wrong: off by {error:.2g} of the largest number, "
            f"compared with causal {candidate.computes!r} at {workload.query.shape[2]:,} positions"
        )


def _time_arms(
    candidates: Sequence[_Candidate],
    failures: Mapping[_Candidate, str],
    workload: Workload,
    repeats: int,
    warmup: int,
    *,
    progress: bool,
) -> list[AttentionRow]:
    """One run at one length, in which all arms without a failure take turns."""
    # FlexAttention is compiled for a length. Past a few variants the compiler gives up.
    torch.compiler.reset()
    failures = dict(failures)
    calls: dict[_Candidate, Callable[[], object]] = {}
    seq_len = workload.query.shape[2]
    with tqdm(desc=f"{workload.direction}, {seq_len:,} positions", disable=not progress) as bar:
        for candidate in candidates:
            if candidate not in failures:
                try:
                    calls[candidate] = candidate.prepare(workload)
                except CannotMeasureError as error:
                    failures[candidate] = str(error)
        bar.reset(total=len(calls) * (warmup + repeats))
        timings = {}
        if calls:
            device = workload.query.device
            timings = time_interleaved(
                calls, repeats, warmup, device=device, progress=lambda _: bar.update()
            )
    dense = next((timing for arm, timing in timings.items() if arm.arm == DENSE), None)
    return [
        _row(candidate, workload, timings.get(candidate), dense, failures.get(candidate))
        for candidate in candidates
    ]


def _row(
    candidate: _Candidate,
    workload: Workload,
    timing: Timing | None,
    dense: Timing | None,
    failure: str | None,
) -> AttentionRow:
    _, n_heads, seq_len, head_dim = workload.query.shape
    cost = attention_cost(candidate.computes, seq_len, n_heads, head_dim, causal=True)
    row = AttentionRow(
        arm=candidate.arm,
        pattern=repr(candidate.computes),
        seq_len=seq_len,
        direction=workload.direction,
        theoretical_speedup=cost.theoretical_speedup,
        fill=cost.fill if candidate.arm == OURS else None,
        not_measured=failure,
    )
    if timing is None:
        return row
    speedup = dense.median_ms / timing.median_ms if dense else None
    return replace(
        row,
        median_ms=timing.median_ms,
        lower_quartile_ms=timing.lower_quartile_ms,
        upper_quartile_ms=timing.upper_quartile_ms,
        speedup=speedup,
        sparse_efficiency=speedup / cost.theoretical_speedup if speedup else None,
    )


def _check_request(
    patterns: Sequence[AttentionPattern],
    seq_lens: Sequence[int],
    direction: str,
    arms: Sequence[str],
) -> None:
    if not patterns or not seq_lens or not arms:
        raise ValueError(
            "patterns, seq_lens and arms must hold at least one entry each, "
            f"got {len(patterns)}, {len(seq_lens)} and {len(arms)}"
        )
    if min(seq_lens) < 1:
        raise ValueError(f"seq_lens must be at least 1, got {min(seq_lens)}")
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}")
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown:
        raise ValueError(f"arms must be out of {', '.join(ARMS)}, got {', '.join(unknown)}")
