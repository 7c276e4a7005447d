"""The peak of the memory that a computation takes on top of what was there before."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate

import torch
from torch.autograd import profiler

MEMORY_EVENT = "[memory]"


def peak_extra_bytes(fn: Callable[[], object], device: torch.device | str = "cpu") -> int:
    """Run `fn` once and return the most bytes it held at a time, beyond those held before.

    On a CPU this follows every request to torch's allocator, the buffers inside an operator
    included (but not what a library such as MKL takes for itself, nor Python objects). Recording
    the requests costs time: do not time the same run.

    Args:
        fn: the computation; what it returns counts while it runs.
        device: where it allocates: a CPU or a CUDA device.

    Raises:
        ValueError: a device of another kind.
    """
    device = torch.device(device)
    gc.collect()  # garbage that goes away during the run would make room unnoticed
    if device.type == "cuda":
        return _cuda_peak_extra_bytes(fn, device)
    if device.type == "cpu":
        return max(accumulate(_allocations(fn), initial=0))
    raise ValueError(f"device must be a cpu or cuda device, got {device}")


def _cuda_peak_extra_bytes(fn: Callable[[], object], device: torch.device) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    fn()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _allocations(fn: Callable[[], object]) -> list[int]:
    """The bytes of every CPU allocation (positive) and release (negative), in order of time."""
    with _quiet_kineto(), profiler.profile(profile_memory=True) as profile:
        fn()
    events = [
        event
        for event in profile.kineto_results.events()
        if event.name() == MEMORY_EVENT and event.device_type() == torch.autograd.DeviceType.CPU
    ]
    events.sort(key=lambda event: event.start_ns())
    return [event.nbytes() for event in events]


@contextmanager
def _quiet_kineto() -> Iterator[None]:
    """Keep the profiler's library from announcing each start and stop on stderr."""
    before = os.environ.get("KINETO_LOG_LEVEL")
    os.environ["KINETO_LOG_LEVEL"] = before or "99"
    try:
        yield
    finally:
        if before is None:
            del os.environ["KINETO_LOG_LEVEL"]
