"""The progress of a run, and its result."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparse_transformers.training.metrics import Row
from sparse_transformers.training.task import Evaluation
from sparse_transformers.utils.html_tables import html_table


@dataclass(frozen=True, repr=False)
class TrainingResult:
    """The result of a run.

    Attributes:
        steps: number of optimiser steps.
        tokens: number of real tokens trained on.
        train_seconds: wall time of the training steps, without validating and saving.
        evaluations: the validations by step; step 0 is the untrained model.
        metrics: all rows of the metrics file.
        output_dir: folder of checkpoints, metrics and plot; None if nothing was saved.
    """

    steps: int
    tokens: int
    train_seconds: float
    evaluations: dict[int, Evaluation]
    metrics: tuple[Row, ...]
    output_dir: Path | None

    def __repr__(self) -> str:
        where = "" if self.output_dir is None else f", output_dir={str(self.output_dir)!r}"
        return (
            f"TrainingResult(steps={self.steps:,}, train_seconds={self.train_seconds:.1f}, "
            f"best={self.best.loss_bits:.3f} bits after step {self.best_step:,}, "
            f"final={self.final.loss_bits:.3f} bits{where})"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the validations."""
        rows = (
            {"step": step, "loss (bits)": each.loss_bits, "accuracy": each.accuracy}
            for step, each in self.evaluations.items()
        )
        return html_table(rows, caption=repr(self))

    @property
    def best_step(self) -> int:
        """The step with the lowest validation loss; of equal ones the first."""
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
        """Training speed over the whole run: tokens per second of training."""
        return self.tokens / self.train_seconds


@dataclass
class Progress:
    """What a resumed run needs besides the weights and the state of the optimiser."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    evaluations: dict[int, Evaluation] = field(default_factory=dict)

    @property
    def validations_since_best(self) -> int:
        """Number of validations after the one with the lowest loss; of equal ones the first."""
        losses = [each.loss_nats for each in self.evaluations.values()]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> "Progress":
        evaluations = {step: Evaluation(**each) for step, each in saved["evaluations"].items()}
        return cls(**{**saved, "evaluations": evaluations})
