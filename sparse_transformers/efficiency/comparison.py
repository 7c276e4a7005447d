"""Implementations of the same thing, compared: those that are right take turns in one timed run.

A benchmark brings its workloads. Everything else happens here: each implementation's answer is
compared with an oracle, those that are right are timed, and the others get the reason why not.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from sparse_transformers.efficiency.timing import TIMES, quartiles, time_interleaved
from sparse_transformers.utils.runtime import environment

Direction = Literal["forward", "forward_backward"]
DIRECTIONS: tuple[Direction, ...] = ("forward", "forward_backward")

SPEEDUPS = ["lower_speedup", "speedup", "upper_speedup"]

TOLERANCE = 1e-3
"""Relative to the largest number. Rounding in single precision stays below a hundredth of this,
and one wrong key in a window, or one token at a wrong expert, goes beyond it a hundredfold."""


@dataclass(frozen=True)
class Benchmark:
    """What was measured in one direction, and what it depends on.

    Each row holds, by name, `implementation`, what was computed and at which sizes, `direction`,
    further numbers of the benchmark, and

    - `error`: the largest difference from the oracle, relative to the oracle's largest number; None
      if the check failed or was not recorded;
    - `median_ms`, `lower_quartile_ms`, `upper_quartile_ms`: of the times, in milliseconds;
    - `speedup`, `lower_speedup`, `upper_speedup`: the time of the baseline divided by this one in
      the same round, the median over the rounds and its quartiles. Where the quartiles are None, it
      is the ratio of the medians;
    - `not_measured`: the reason why there is no time, or None.

    Attributes:
        direction: what was timed.
        rows: one for each implementation and case, in the order measured.
        settings: sizes that all rows share, by name.
        repeats: timed calls of each implementation.
        seed: of all random numbers.
        device: where it was computed.
        environment: versions, processor and commit.
    """

    direction: Direction
    rows: tuple[dict[str, Any], ...]
    settings: dict[str, Any]
    repeats: int
    seed: int
    device: str
    environment: dict[str, Any]

    def table(self) -> pd.DataFrame:
        """The rows, to be queried."""
        return pd.DataFrame(self.rows)


@dataclass(frozen=True, kw_only=True)
class TimingOptions:
    """What is timed, how often and where.

    Attributes:
        implementations: names. Without the baseline there are no speed-ups.
        direction: "forward" without gradients, or "forward_backward" with those of all inputs and
            weights.
        repeats: timed calls of each implementation.
        warmup: untimed calls in the same run, after a first one that compiles.
        seed: of all random numbers.
        device: where to compute.
        progress: show bars.
    """

    implementations: Sequence[str]
    direction: Direction = "forward"
    repeats: int = 5
    warmup: int = 1
    seed: int = 0
    device: torch.device | str = "cpu"
    progress: bool = False


class CannotMeasureError(Exception):
    """Why an implementation has no time; the message goes into the table."""


class Workload(ABC):
    """A case to compute with each implementation, given by its name."""

    @abstractmethod
    def case(self, name: str) -> dict[str, Any]:
        """What is computed and at which sizes: what tells the row from the others."""

    @abstractmethod
    def prepare(self, name: str) -> Callable[[], dict[str, Tensor]]:
        """Make all that is made once, and return what is timed.

        What is timed returns the "output", or each "gradient of ...". Raises `CannotMeasureError`
        where the implementation does not apply.
        """

    @abstractmethod
    def expected(self, name: str) -> dict[str, Tensor]:
        """The right answers by the same names, from an oracle."""

    def checked(self) -> "Workload":
        """The workload that answers are checked with; a smaller one where this one is too large."""
        return self

    def numbers(self, name: str, median_ms: float | None, speedup: float | None) -> dict[str, Any]:
        """Further numbers of the row."""
        return {}


Candidate = tuple[str, Workload]
Outcomes = dict[Candidate, float | str]
"""The error of each candidate that can be timed, or the reason why it cannot."""


def run_benchmark(
    runs: Iterable[tuple[str, Sequence[Candidate]]],
    options: TimingOptions,
    *,
    baseline: str,
    settings: dict[str, Any],
) -> Benchmark:
    """Check all candidates and time those that are right, the candidates of a run taking turns.

    Args:
        runs: the title of each run and its candidates; made one after the other.
        options: how they are timed.
        baseline: the implementation that the others are compared with.
        settings: sizes that all rows share, for the record.

    Raises:
        ValueError: fewer than 1 repeat, or a negative warm-up.
    """
    rows: list[dict[str, Any]] = []
    checked: dict[tuple[Any, ...], float | str] = {}
    for title, candidates in runs:
        outcomes: Outcomes = {}
        torch.compiler.reset()  # kernels are compiled for a size; past a few the compiler gives up
        for name, workload in tqdm(candidates, f"{title}: checks", disable=not options.progress):
            small = workload.checked()
            identity = (name, *small.case(name).items())
            if identity not in checked:
                checked[identity] = _check(name, small)
            outcomes[name, workload] = checked[identity]
        torch.compiler.reset()
        rows += _time_run(title, outcomes, options, baseline)
    return Benchmark(
        direction=options.direction,
        rows=tuple(rows),
        settings=settings,
        repeats=options.repeats,
        seed=options.seed,
        device=str(options.device),
        environment=environment(),
    )


def check_choices(**choices: tuple[Collection[Any], Collection[Any]]) -> None:
    """Raises a `ValueError` unless each argument holds something, all of it among what is known.

    Args:
        choices: by the argument's name, what is given and what is known.
    """
    for name, (given, known) in choices.items():
        if not given:
            raise ValueError(f"{name} must hold at least one entry, got none")
        unknown = [str(each) for each in given if each not in known]
        if unknown:
            raise ValueError(f"{name} must be out of {', '.join(known)}, got {', '.join(unknown)}")


def _check(name: str, workload: Workload) -> float | str:
    try:
        answers = _prepare(name, workload)()
    except CannotMeasureError as error:
        return str(error)
    errors = [0.0]
    for what, right in workload.expected(name).items():
        errors.append(((answers[what] - right).abs().max() / right.abs().max()).item())
        if not errors[-1] <= TOLERANCE:  # NaN is wrong too
            case = ", ".join(f"{key} {value}" for key, value in workload.case(name).items())
            return f"wrong: {what} off by {errors[-1]:.2g} of the largest number ({case})"
    return max(errors)


def _prepare(name: str, workload: Workload) -> Callable[[], dict[str, Tensor]]:
    """What is timed, called once already, so that everything is compiled.

    Raises:
        CannotMeasureError: it does not run, for the reason in the message.
    """
    try:
        call = workload.prepare(name)
        call()
    except CannotMeasureError:
        raise
    except Exception as error:  # a peer or a compiler may raise anything, and it is the reason
        raise CannotMeasureError(_root_cause(error)) from error
    return call


def _root_cause(error: BaseException) -> str:
    """Type and first line of the exception at the bottom of the chain."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    message = (str(error).strip() or "no message").splitlines()[0]
    # torch.compile replaces what the traced code raised by an exception that quotes it.
    quoted = re.fullmatch(r"raised exception (\w+)\(['\"](.*)['\"]\)", message)
    name, message = quoted.groups() if quoted else (type(error).__name__, message)
    return shorten(f"{name}: {message}", width=160)


def _time_run(
    title: str, outcomes: Outcomes, options: TimingOptions, baseline: str
) -> list[dict[str, Any]]:
    """The rows of one run, in which all candidates that are right take turns."""
    calls: dict[Candidate, Callable[[], object]] = {}
    timings: dict[Candidate, tuple[float, ...]] = {}
    with tqdm(desc=title, disable=not options.progress) as bar:
        for candidate, outcome in outcomes.items():
            if isinstance(outcome, float):
                try:
                    calls[candidate] = _prepare(*candidate)
                except CannotMeasureError as error:
                    outcomes[candidate] = str(error)
        bar.reset(total=len(calls) * (options.warmup + options.repeats))
        if calls:
            timings = time_interleaved(
                calls,
                options.repeats,
                options.warmup,
                device=options.device,
                progress=lambda _: bar.update(),
            )
    reference = next((timings[each] for each in timings if each[0] == baseline), None)
    rows = []
    for (name, workload), outcome in outcomes.items():
        times = _times(timings.get((name, workload)), reference)
        rows.append(
            {
                "implementation": name,
                **workload.case(name),
                "direction": options.direction,
                "error": outcome if isinstance(outcome, float) else None,
                **times,
                **workload.numbers(name, times["median_ms"], times["speedup"]),
                "not_measured": outcome if isinstance(outcome, str) else None,
            }
        )
    return rows


def _times(
    samples: Sequence[float] | None, baseline: Sequence[float] | None
) -> dict[str, float | None]:
    """The columns of a row that follow from its times."""
    columns: dict[str, float | None] = dict.fromkeys([*TIMES, *SPEEDUPS])
    if samples is not None:
        columns |= zip(TIMES, quartiles(samples), strict=True)
        if baseline is not None:
            # Within a round the machine is the same for both; over the rounds it may change.
            columns |= zip(SPEEDUPS, quartiles(np.divide(baseline, samples)), strict=True)
    return columns
