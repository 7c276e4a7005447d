"""Checkpoints that are always complete: a folder is written under another name, then renamed.

An existing folder cannot be replaced in one step, so the old one is renamed first. Whenever the
process is killed, one of the two is complete; `recover_checkpoint` gives it the right name.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

STATE_FILE = "trainer_state.pt"


@runtime_checkable
class SavableModel(Protocol):
    """A model that can be saved and loaded, as `SparseTransformer` can."""

    config: Any  # with `to_dict() -> dict` of JSON values

    def save_pretrained(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`."""

    @classmethod
    def from_pretrained(cls, folder: Path) -> "SavableModel":
        """Read what `save_pretrained` wrote."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Set the weights."""

    def state_dict(self) -> dict[str, Any]:
        """The weights."""


def save_checkpoint(folder: Path, model: SavableModel, state: dict[str, Any] | None = None) -> None:
    """Write the model, and the trainer's state if given, completely or not at all.

    Args:
        folder: holds the new checkpoint afterwards, or still the old one if the process is killed.
        model: saved by its `save_pretrained`.
        state: tensors, numbers, strings, lists and dicts, written to `STATE_FILE`.

    Raises:
        OSError: the disk is full, or the folder cannot be written to.
    """
    with replaced_folder(folder) as unfinished:
        try:
            model.save_pretrained(unfinished)
            if state is not None:
                _save_state(state, unfinished / STATE_FILE)
        except OSError as error:  # of a full disk, it names no file
            raise OSError(f"{folder} could not be written: {error}") from error


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A new folder to write files into; it replaces `folder` if the block raises no error."""
    unfinished, outdated = _beside(folder, "unfinished"), _beside(folder, "outdated")
    shutil.rmtree(unfinished, ignore_errors=True)  # left by a killed process
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        _flush_to_disk(unfinished)  # a rename must not reach the disk before the content does
        if folder.exists():
            shutil.rmtree(outdated, ignore_errors=True)
            folder.rename(outdated)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(outdated, ignore_errors=True)


def recover_checkpoint(folder: Path) -> bool:
    """Complete an interrupted replacement; whether `folder` then holds a checkpoint."""
    outdated = _beside(folder, "outdated")
    if not folder.exists() and outdated.exists():
        outdated.rename(folder)
    shutil.rmtree(outdated, ignore_errors=True)
    return folder.exists()


def load_state(folder: Path) -> dict[str, Any]:
    """The trainer's state, with all tensors on the CPU.

    Raises:
        FileNotFoundError: the folder holds no trainer state.
        ValueError: the file is damaged, or holds objects other than data.
    """
    path = folder / STATE_FILE
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a file of another kind ends the unpickling in any way, as KeyError
        raise ValueError(f"{path} is not a complete trainer state: {error!r}") from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} must hold a trainer state, got a {type(state).__name__}")
    return state


def _save_state(state: dict[str, Any], path: Path) -> None:
    try:
        torch.save(state, path)
    except RuntimeError as error:  # what PyTorch makes of a full disk
        raise OSError(str(error)) from error


def _flush_to_disk(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())


def _beside(folder: Path, mark: str) -> Path:
    return folder.with_name(f".{folder.name}.{mark}")
