"""The machine under a run: device, precision, randomness, environment, and files written whole."""

import os
import platform
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import torch

PRECISIONS = ("auto", "float32", "bfloat16")


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The device to compute on; "auto" takes CUDA, else Apple's MPS, else the CPU.

    A device that is asked for by name is never replaced by another.

    Raises:
        ValueError: the name is unknown, or this machine does not have that device.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f'device must be "auto", "cpu", "mps", "cuda" or "cuda:N", got {device!r}'
        ) from error
    available = {
        "cpu": 1,
        "mps": int(torch.backends.mps.is_available()),
        "cuda": torch.cuda.device_count(),
    }
    if (resolved.index or 0) >= available.get(resolved.type, 0):
        present = [name for name, count in available.items() if count]
        raise ValueError(
            f"device must be one that this machine has ({', '.join(present)}), got {device!r}"
        )
    return resolved


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of matrix products; "auto" is bfloat16 on CUDA hardware that has it, else float32.

    Raises:
        ValueError: the name is unknown, or bfloat16 is asked of CUDA hardware without it.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == "float32":
        return torch.float32
    on_cuda = device.type == "cuda"
    cuda_has_it = on_cuda and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "auto":
        return torch.bfloat16 if cuda_has_it else torch.float32
    if on_cuda and not cuda_has_it:
        raise ValueError(
            f"precision must be float32 on {torch.cuda.get_device_name(device)}, "
            "which has no bfloat16, got 'bfloat16'"
        )
    return torch.bfloat16


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators. For programs, not for libraries."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be in [0, 2**32), got {seed}")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the global state is what must be seeded)
    torch.manual_seed(seed)


@contextmanager
def reproducible_draws(seed: int, device: torch.device) -> Iterator[None]:
    """Make torch's draws inside a function of `seed`, and leave the global state as it was.

    MPS has no state that could be put back: there the global generator stays seeded.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def environment() -> dict[str, Any]:
    """What a measurement depends on: versions, threads, processor, accelerator, commit.

    `accelerator` is None without one; `commit` is None outside a git checkout, and ends in "+" when
    tracked files differ from it.
    """
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu": _cpu_name(),
        "accelerator": _accelerator_name(),
        "platform": f"{platform.system()} {platform.machine()}",
        "commit": _commit(),
    }


def make_writable_folder(path: str | Path) -> Path:
    """Make the folder if need be, and try to write in it: before measuring, not after.

    Raises:
        OSError: it cannot be made or written to.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise OSError(f"the output folder {folder} must be writable: {error}") from error


def atomic_write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text so that `path` holds all of it or what it held before."""
    atomic_write_bytes(path, text.encode())


def atomic_write_bytes(path: str | Path, data: bytes) -> None:
    """Write bytes so that `path` holds all of them or what it held before, even if killed."""
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # a rename must not reach the disk before the content does
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _accelerator_name() -> str | None:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "Apple MPS" if torch.backends.mps.is_available() else None


def _commit() -> str | None:
    """The commit of this package's own checkout, not of a repository that it is installed in."""
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists():
        return None
    try:
        head = _git(checkout, "rev-parse", "--short=12", "HEAD")
        changed = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return run.stdout.strip()


def forget_missing_backend() -> None:
    """Let matplotlib be imported where `MPLBACKEND` names a module that is not installed.

    A notebook sets that variable for all programs that are started from it, and matplotlib raises
    when it is imported without that module. Figures that go to files need none.
    """
    module = os.environ.get("MPLBACKEND", "").partition("module://")[2]
    if module and "matplotlib" not in sys.modules and find_spec(module.split(".")[0]) is None:
        del os.environ["MPLBACKEND"]
