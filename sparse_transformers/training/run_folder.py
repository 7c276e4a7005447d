"""The files of a run, in one folder.

.lock            locked while a run writes into the folder
run.json         settings of training, task and model, and the environment
metrics.jsonl    one row per logged step and per validation
best/, last/     checkpoints: config.json and model.safetensors; last/ also trainer_state.pt
training.png     the losses over the run, drawn at the end
"""

import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sparse_transformers.training.checkpoint import (
    SavableModel,
    load_state,
    recover_checkpoint,
    save_checkpoint,
)
from sparse_transformers.training.metrics import Row
from sparse_transformers.utils.runtime import atomic_write_bytes, atomic_write_text, environment

logger = logging.getLogger(__name__)

Settings = dict[str, dict[str, Any]]

LOCK_FILE = ".lock"

# Neither changes the results, except for the rounding of a device.
MAY_CHANGE_ON_RESUME = ("training.device", "training.progress")


class RunFolder:
    """The files of one run.

    Args:
        path: the folder.
        settings: groups of JSON values that a resumed run must share with the one it continues.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.settings: Settings = json.loads(json.dumps(settings))  # as it comes back from a file
        self.last = path / "last"
        self.best = path / "best"
        self.metrics = path / "metrics.jsonl"
        self._lock = FileLock(path / LOCK_FILE)

    def create(self) -> None:
        """Make the folder for a new run.

        Raises:
            OSError: the folder cannot be written to, or already holds a run.
        """
        about = {**self.settings, "environment": environment()}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._acquire()
            holds_run = recover_checkpoint(self.last)
            if not holds_run:
                atomic_write_text(self.path / "run.json", json.dumps(about, indent=2) + "\n")
        except BlockingIOError:
            raise
        except OSError as error:
            raise OSError(f"the output folder {self.path} must be writable: {error}") from error
        if holds_run:
            raise FileExistsError(
                f"{self.path} already holds a run: resume it, or choose another folder"
            )

    def _acquire(self) -> None:
        """Keep other runs out of the folder. The system frees it when the process ends.

        It comes before everything that changes the folder: what looks like an interrupted
        replacement of a checkpoint may be one that another run is just at.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise BlockingIOError(f"{self.path} is in use by another run that writes it") from error

    def release(self) -> None:
        """Let other runs use the folder.

        The file stays: one that is deleted could still be locked by a run that has just opened it,
        and a third run would lock a new one.
        """
        self._lock.release()

    def save_last(self, model: SavableModel, state: dict[str, Any]) -> None:
        """Write the checkpoint that a resumed run starts from."""
        save_checkpoint(self.last, model, {**state, "settings": self.settings})

    def save_best(self, model: SavableModel) -> None:
        """Write the model with the lowest validation loss so far."""
        save_checkpoint(self.best, model)

    def load_last(self, model: SavableModel) -> dict[str, Any]:
        """Give `model` the weights of the last checkpoint, and return the state saved with it.

        Raises:
            FileNotFoundError: there is no checkpoint.
            BlockingIOError: another run writes into the folder.
            ValueError: the checkpoint is damaged, or belongs to a run with other settings.
        """
        if self.path.is_dir():
            self._acquire()
        if not recover_checkpoint(self.last):
            raise FileNotFoundError(
                f"{self.path} holds no checkpoint to resume from: start the run without resuming"
            )
        recover_checkpoint(self.best)
        state = load_state(self.last)
        missing = {"settings", "optimizer", "progress"} - set(state)
        if missing:
            raise ValueError(
                f"{self.last} must hold the state of a training run, which has "
                f"{', '.join(sorted(missing))}; it was written by something else"
            )
        differences = _differences(state["settings"], self.settings)
        if differences:
            raise ValueError(
                f"a resumed run must have the settings it began with, but in {self.path} "
                + "; ".join(differences)
            )
        model.load_state_dict(type(model).from_pretrained(self.last).state_dict())
        return state

    def draw(self, rows: Sequence[Row]) -> None:
        """Draw the training plot. A plot that fails does not fail the run that is complete."""
        try:
            # Imported on use: matplotlib takes long to import.
            from sparse_transformers.utils.plots.style import new_figure
            from sparse_transformers.utils.plots.training import plot_training

            figure, ax = new_figure(height=5)
            plot_training(rows, ax=ax)
            image = io.BytesIO()
            figure.savefig(image, format="png", dpi=120)
            atomic_write_bytes(self.path / "training.png", image.getvalue())
        except Exception as error:
            logger.warning("the run is complete, but its plot could not be drawn: %s", error)


def _differences(before: Settings, now: Settings) -> list[str]:
    """A phrase for each setting that differs."""
    found = []
    for group in sorted(before.keys() | now.keys()):
        was, is_now = before.get(group, {}), now.get(group, {})
        for name in sorted(was.keys() | is_now.keys()):
            setting = f"{group}.{name}"
            if was.get(name) != is_now.get(name) and setting not in MAY_CHANGE_ON_RESUME:
                found.append(f"{setting} was {was.get(name)!r} and is {is_now.get(name)!r}")
    return found
