"""Where a run stands, and what it came to."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparse_transformers.training.metrics import Row
from sparse_transformers.training.task import Evaluation


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        steps: optimiser steps made.
        tokens: real tokens trained on.
        train_seconds: wall time of the training steps; validating and saving are not in it.
        evaluations: the validations by step; step 0 is the untrained model.
        metrics: all rows of the metrics file.
        output_dir: where checkpoints, metrics and plot are; None if nothing was saved.
    """

    steps: int
    tokens: int
    train_seconds: float
    evaluations: dict[int, Evaluation]
    metrics: tuple[Row, ...]
    output_dir: Path | None

    @property
    def best_step(self) -> int:
        """The step with the lowest validation loss, the first of equals."""
        return min(self.evaluations, key=lambda step: self.evaluations[step].loss_nats)

    @property
    def best(self) -> Evaluation:
        """The validation at `best_step`."""
        return self.evaluations[self.best_step]

    @property
    def final(self) -> Evaluation:
        """The validation after the last step."""
        return self.evaluations[self.steps]

    @property
    def tokens_per_second(self) -> float:
        """Training speed over the whole run."""
        return self.tokens / self.train_seconds


@dataclass
class Progress:
    """Where a run stands: all that a resumed run needs besides weights and optimiser."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    evaluations: dict[int, Evaluation] = field(default_factory=dict)

    @property
    def validations_since_best(self) -> int:
        """How many validations came after the one with the lowest loss, the first of equals."""
        losses = [each.loss_nats for each in self.evaluations.values()]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> "Progress":
        evaluations = {step: Evaluation(**each) for step, each in saved["evaluations"].items()}
        return cls(**{**saved, "evaluations": evaluations})
