"""The settings of a training run."""

from dataclasses import asdict, dataclass
from typing import Any

from sparse_transformers.models.checks import check_types
from sparse_transformers.utils.runtime import PRECISIONS


@dataclass(frozen=True)
class TrainingConfig:
    """How to train: the optimiser, the learning rate, and when to validate, save and stop.

    >>> import sparse_transformers as st
    >>> st.TrainingConfig(steps=200, batch_size=32, grad_accumulation=4).rows_per_part
    8

    Attributes:
        steps: optimiser steps.
        batch_size: rows per step.
        grad_accumulation: compute a step in so many equal parts, one after the other. It saves
            memory; the step is the same except for rounding and for the dropout. With experts it
            is another step by some percent: balance losses and capacities are those of a part.
        learning_rate: the largest of the schedule, reached at the end of the warm-up.
        warmup_fraction: the share of the run in which the learning rate rises linearly.
        final_lr_fraction: the cosine falls to this share of `learning_rate`.
        weight_decay: of AdamW, on matrices (embeddings included), not on biases and norms.
        betas: of AdamW, the decay rates of its two moving averages.
        clip_norm: scale gradients down to this global norm; None for no clipping.
        precision: "float32", "bfloat16" (autocast; weights and optimiser stay float32) or "auto",
            which is bfloat16 on CUDA hardware that has it.
        gradient_checkpointing: recompute activations in the backward pass: less memory, more time.
        log_every: steps between rows of training metrics.
        eval_every: steps between validations; there is also one at the start and one at the end.
        save_every: steps between checkpoints; there is also one at the start and one at the end.
        seed: of the batches and the dropout.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        time_limit_s: seconds of training after which the run stops, at the end of a step; None for
            no limit. Validating and saving do not count. The learning rate then follows the share
            of the time (or of the steps, if that is larger), so that every run gets its whole
            schedule. Such a run depends on the machine's speed and cannot be repeated bit for bit.
        patience: stop after so many validations in a row without a new lowest loss; the model ends
            with the weights of the lowest loss, however the run ends. None trains to the end and
            keeps the last weights. The schedule of the learning rate is the same either way.
        progress: show a progress bar.

    Raises:
        ValueError: a value is out of range.
    """

    steps: int = 1000
    batch_size: int = 16
    grad_accumulation: int = 1
    learning_rate: float = 1e-3
    warmup_fraction: float = 0.05
    final_lr_fraction: float = 0.1
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float | None = 1.0
    precision: str = "auto"
    gradient_checkpointing: bool = False
    log_every: int = 10
    eval_every: int = 100
    save_every: int = 100
    seed: int = 0
    device: str = "auto"
    time_limit_s: float | None = None
    patience: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        counts = "steps batch_size grad_accumulation log_every eval_every save_every"
        for name in counts.split():
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1, or None, got {self.patience}")
        for name in ("learning_rate", "clip_norm", "time_limit_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        for name in ("warmup_fraction", "final_lr_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        for name in ("weight_decay", "seed"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.batch_size % self.grad_accumulation:
            raise ValueError(
                f"batch_size must be a multiple of grad_accumulation ({self.grad_accumulation}), "
                f"got {self.batch_size}"
            )
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}"
            )

    @property
    def rows_per_part(self) -> int:
        """Rows per forward pass: `batch_size` divided by `grad_accumulation`."""
        return self.batch_size // self.grad_accumulation

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {**asdict(self), "betas": list(self.betas)}
