"""Layers of experts timed beside a dense layer and their peers: taking turns in one run.

The dense layer does as many multiplications for each token. Every arm first has to give the right
output, or in the direction "forward_backward" the right gradients. One that gives others is named
and not timed; so is one that is not installed or does not run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from sparse_transformers.efficiency.comparison import (
    DIRECTIONS,
    CannotMeasureError,
    Direction,
    root_cause,
)
from sparse_transformers.efficiency.expert_arms import ARMS, DENSE
from sparse_transformers.efficiency.expert_results import ExpertBenchmark, ExpertRow
from sparse_transformers.efficiency.expert_workload import ExpertArm, ExpertShape, ExpertWorkload
from sparse_transformers.efficiency.timing import Timing, time_interleaved
from sparse_transformers.models.checks import check_whole
from sparse_transformers.utils.runtime import environment

KINDS = ("plain", "gated")
TOLERANCE = 1e-3
"""Relative to the largest number. Rounding in single precision stays below a hundredth of this,
and one token at a wrong expert goes beyond it a hundredfold."""


def benchmark_experts(
    d_models: Sequence[int],
    kinds: Sequence[str] = KINDS,
    *,
    expansion: int = 2,
    num_experts: int = 8,
    top_k: int = 2,
    batch: int = 8,
    seq_len: int = 512,
    direction: Direction = "forward",
    arms: Sequence[str] = tuple(ARMS),
    repeats: int = 15,
    warmup: int = 2,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> ExpertBenchmark:
    """Time the arms on the same tokens and with the same weights, side by side.

    For each kind and width all arms take turns in one run, on standard normal tokens in single
    precision. Tokens choose by the softmax over the logits that they have selected, as in Mixtral.

    Args:
        d_models: widths of the tokens.
        kinds: "plain" (GELU) or "gated" (SwiGLU) experts.
        expansion: width inside an expert over the width of the tokens; the dense layer is `top_k`
            times as wide.
        num_experts: how many there are.
        top_k: how many of them read a token.
        batch: number of sequences.
        seq_len: tokens of each.
        direction: "forward" without gradients, or "forward_backward" with those of the tokens and
            of all weights.
        arms: names out of `ARMS`. Without "dense feed-forward" there are no relative speeds.
        repeats: timed calls of each arm.
        warmup: untimed calls in the same run.
        seed: of tokens and weights.
        device: where to compute.
        progress: show a bar.

    Raises:
        ValueError: nothing to measure, an unknown arm, kind or direction, or a size out of range.
    """
    _check_request(d_models, kinds, direction, arms)
    for d_model in d_models:
        check_whole(1, d_model=d_model)
    check_whole(
        1, expansion=expansion, num_experts=num_experts, top_k=top_k, batch=batch, seq_len=seq_len
    )
    if top_k > num_experts:
        raise ValueError(f"top_k must be at most num_experts ({num_experts}), got {top_k}")
    rows: list[ExpertRow] = []
    for kind in kinds:
        for d_model in d_models:
            shape = ExpertShape(d_model, expansion * d_model, kind == "gated", num_experts, top_k)
            workload = ExpertWorkload.draw(
                shape, batch, seq_len, direction, seed=seed, device=device
            )
            rows += _time_arms(arms, workload, repeats, warmup, progress=progress)
    return ExpertBenchmark(
        direction=direction,
        rows=tuple(rows),
        batch=batch,
        seq_len=seq_len,
        num_experts=num_experts,
        top_k=top_k,
        repeats=repeats,
        seed=seed,
        device=str(device),
        environment=environment(),
    )


def _time_arms(
    names: Sequence[str], workload: ExpertWorkload, repeats: int, warmup: int, *, progress: bool
) -> list[ExpertRow]:
    """One run at one size, in which all arms that are right take turns."""
    calls: dict[str, Callable[[], object]] = {}
    failures: dict[str, str] = {}
    expected = cache(workload.expected)
    for name in names:
        try:
            arm = _prepare(name, workload)
            _check_answer(arm, workload, expected(arm.gates))
        except CannotMeasureError as error:
            failures[name] = str(error)
        else:
            calls[name] = partial(workload.run, arm)
    description = f"{workload.direction}, d_model {workload.shape.d_model}"
    total = len(calls) * (warmup + repeats)
    timings: dict[str, Timing] = {}
    with tqdm(desc=description, total=total, disable=not progress) as bar:
        if calls:
            device = workload.hidden.device
            timings = time_interleaved(
                calls, repeats, warmup, device=device, progress=lambda _: bar.update()
            )
    return [
        _row(name, workload, timings.get(name), timings.get(DENSE), failures.get(name))
        for name in names
    ]


def _prepare(name: str, workload: ExpertWorkload) -> ExpertArm:
    """The arm, which has run once.

    Raises:
        CannotMeasureError: it does not run, for the reason in the message.
    """
    try:
        arm = ARMS[name](workload.shape, workload.weights)
        workload.run(arm)
    except CannotMeasureError:
        raise
    except Exception as error:  # a peer may raise anything, and it is the reason
        raise CannotMeasureError(root_cause(error)) from error
    return arm


def _check_answer(arm: ExpertArm, workload: ExpertWorkload, expected: Mapping[str, Tensor]) -> None:
    """Compare what the arm computes with what it should.

    Raises:
        CannotMeasureError: it computes something else.
    """
    for name, found in workload.found(arm).items():
        right = expected[name][: len(found)]  # a dense layer has the first experts only
        error = ((found - right).abs().max() / right.abs().max()).item()
        if not error <= TOLERANCE:  # NaN is wrong too
            of_what = "output" if name == "output" else f"gradient of {name}"
            raise CannotMeasureError(f"wrong: {of_what} off by {error:.2g} of the largest number")


def _row(
    name: str,
    workload: ExpertWorkload,
    timing: Timing | None,
    dense: Timing | None,
    failure: str | None,
) -> ExpertRow:
    shape = workload.shape
    row = ExpertRow(
        arm=name,
        d_model=shape.d_model,
        d_ff=shape.d_ff,
        gated=shape.gated,
        direction=workload.direction,
        not_measured=failure,
    )
    if timing is None:
        return row
    n_tokens = workload.hidden.shape[0] * workload.hidden.shape[1]
    row = replace(
        row,
        median_ms=timing.median_ms,
        lower_quartile_ms=timing.lower_quartile_ms,
        upper_quartile_ms=timing.upper_quartile_ms,
        tokens_per_second=n_tokens / timing.median_ms * 1000,
    )
    if dense is None:
        return row
    # Within a round the machine is the same for both; over the rounds it may change.
    ratios = np.divide(dense.samples_ms, timing.samples_ms)
    lower, median, upper = (float(each) for each in np.quantile(ratios, (0.25, 0.5, 0.75)))
    return replace(
        row, relative_speed=median, lower_relative_speed=lower, upper_relative_speed=upper
    )


def _check_request(
    d_models: Sequence[int], kinds: Sequence[str], direction: str, arms: Sequence[str]
) -> None:
    if not d_models or not kinds or not arms:
        raise ValueError(
            "d_models, kinds and arms must hold at least one entry each, "
            f"got {len(d_models)}, {len(kinds)} and {len(arms)}"
        )
    for name, given, known in (
        ("kinds", kinds, KINDS),
        ("direction", [direction], DIRECTIONS),
        ("arms", arms, ARMS),
    ):
        unknown = [each for each in given if each not in known]
        if unknown:
            raise ValueError(f"{name} must be out of {', '.join(known)}, got {', '.join(unknown)}")
