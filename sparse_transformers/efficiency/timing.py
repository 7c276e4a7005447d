"""Wall-clock times that may be compared: all that is compared takes turns in one run.

Clock speed, caches and other processes change over seconds. Functions timed one after the other run
under different conditions; functions that take turns run under the same.
"""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch

Name = TypeVar("Name")


TIMES = ["lower_quartile_ms", "median_ms", "upper_quartile_ms"]
"""The columns of a table of timings, in the order of `quartiles`."""


def time_interleaved(
    variants: Mapping[Name, Callable[[], object]],
    repeats: int = 5,
    warmup: int = 1,
    *,
    device: torch.device | str | None = None,
    progress: Callable[[Name], object] | None = None,
) -> dict[Name, tuple[float, ...]]:
    """Time every variant `repeats` times, the variants taking turns.

    Every round starts with another variant, so that none always finds the caches as the same
    neighbour left them. The garbage collector is off meanwhile. The time of a variant includes
    freeing what it returns.

    Args:
        variants: what to call, by name.
        repeats: timed calls of each variant.
        warmup: untimed calls of each variant before that.
        device: an accelerator whose queue is awaited before and after each call.
        progress: called with the variant's name after each call, the untimed ones included.

    Returns:
        Wall-clock times in milliseconds, by variant, in the order of the rounds.

    Raises:
        ValueError: no variants, fewer than 1 repeat, or a negative warm-up.
    """
    if not variants:
        raise ValueError("variants must name at least one callable, got none")
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    if warmup < 0:
        raise ValueError(f"warmup must not be negative, got {warmup}")

    names = list(variants)
    samples: dict[Name, list[float]] = {name: [] for name in names}
    with _garbage_collector_off():
        for round_number in range(warmup + repeats):
            start = round_number % len(names)
            for name in names[start:] + names[:start]:
                elapsed = _time_once_ms(variants[name], device)
                if round_number >= warmup:
                    samples[name].append(elapsed)
                if progress is not None:
                    progress(name)
    return {name: tuple(samples[name]) for name in names}


def quartiles(samples: Sequence[float] | np.ndarray) -> list[float]:
    """The lower quartile, the median and the upper quartile."""
    return np.quantile(samples, (0.25, 0.5, 0.75)).tolist()


def _time_once_ms(variant: Callable[[], object], device: torch.device | str | None) -> float:
    _synchronize(device)
    start = time.perf_counter()
    variant()
    _synchronize(device)
    return (time.perf_counter() - start) * 1000


def _synchronize(device: torch.device | str | None) -> None:
    kind = "cpu" if device is None else torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


@contextmanager
def _garbage_collector_off() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
