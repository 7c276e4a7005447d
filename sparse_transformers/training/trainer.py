"""The training loop."""

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from tqdm.auto import tqdm

from sparse_transformers.models.experts.layer import (
    expert_loss,
    record_experts,
    update_routers,
)
from sparse_transformers.training.checkpoint import SavableModel
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.metrics import MetricsLog, Row
from sparse_transformers.training.optimizer import learning_rate_at, make_optimizer
from sparse_transformers.training.progress import Progress, TrainingResult
from sparse_transformers.training.run_folder import RunFolder
from sparse_transformers.training.task import Batch, Task, nats_to_bits
from sparse_transformers.utils.runtime import (
    reproducible_draws,
    resolve_device,
    resolve_precision,
)


class Trainer:
    """Trains a model on a task.

    Every batch and every dropout mask is a function of the seed and the step, so a run that was
    killed and resumed has the same losses as an uninterrupted one: bit for bit on a CPU with the
    same number of threads.

    >>> import torch
    >>> import sparse_transformers as st
    >>> corpus = st.ByteCorpus(torch.arange(200, dtype=torch.uint8).repeat(2))
    >>> model = st.SparseTransformer(st.SparseTransformerConfig(d_model=16, n_heads=2, n_layers=1))
    >>> config = st.TrainingConfig(steps=2, batch_size=4, device="cpu", progress=False)
    >>> result = st.Trainer(model, st.NextByteTask(corpus, seq_len=8), config).train()
    >>> result.steps, result.tokens, sorted(result.evaluations)
    (2, 64, [0, 2])
    >>> result.final.loss_bits < result.evaluations[0].loss_bits
    True

    Args:
        model: the model, which is trained in place.
        task: the batches, the loss and the validation.
        config: the settings of the run; None for the defaults.
        output_dir: folder for checkpoints, metrics and plot; needs a model with `save_pretrained`
            and `from_pretrained`. None saves nothing.

    Raises:
        ValueError: the device, the precision or gradient checkpointing is not available.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        config: TrainingConfig | None = None,
        output_dir: str | Path | None = None,
    ) -> None:
        self.model = model
        self.task = task
        self.config = config or TrainingConfig()
        self.device = resolve_device(self.config.device)
        self.dtype = resolve_precision(self.config.precision, self.device)
        self.folder = None if output_dir is None else RunFolder(Path(output_dir), self._settings())
        _set_gradient_checkpointing(model, self.config.gradient_checkpointing)

    def train(self, *, resume: bool = False) -> TrainingResult:
        """Train to the end, and put the model into evaluation mode.

        The model has the last weights, or with `patience` those of the lowest validation loss.

        Args:
            resume: continue from the last checkpoint in the output folder.

        Raises:
            OSError: the output folder cannot be written to, is in use by another run, already
                holds a run, or (when resuming) holds no checkpoint.
            ValueError: the checkpoint is damaged or belongs to a run with other settings.
            FloatingPointError: the loss or its gradient became infinite or NaN.
        """
        self.model.to(self.device).train()
        self.optimizer = make_optimizer(self.model, self.config)
        try:
            if resume:
                self._resume()
            else:
                self._start()
            self._run_steps()
            if self._best_weights is not None:
                self.model.load_state_dict(self._best_weights)
            self.model.eval()
            if self.folder is not None:
                self.folder.draw(self.metrics.rows)
        finally:
            if self.folder is not None:
                self.folder.release()
        return TrainingResult(
            steps=self.progress.step,
            tokens=self.progress.tokens,
            train_seconds=self.progress.seconds,
            evaluations=dict(self.progress.evaluations),
            metrics=tuple(self.metrics.rows),
            output_dir=None if self.folder is None else self.folder.path,
        )

    def _start(self) -> None:
        self.progress = Progress()
        self._best_weights: dict[str, Tensor] | None = None
        if self.folder is not None:
            self.folder.create()
        self.metrics = MetricsLog(None if self.folder is None else self.folder.metrics)
        self._validate()
        self._save_last()

    def _resume(self) -> None:
        if self.folder is None:
            raise ValueError("resuming needs an output_dir, got None")
        state = self.folder.load_last(_savable(self.model))
        try:
            self.optimizer.load_state_dict(state["optimizer"])
            self.progress = Progress.from_dict(state["progress"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"the trainer state in {self.folder.last} does not fit this run: {error!r}"
            ) from error
        self._best_weights = state.get("best_weights")
        self.metrics = MetricsLog(self.folder.metrics, last_step=self.progress.step)

    def _run_steps(self) -> None:
        config = self.config
        bar = tqdm(
            desc="training",
            unit="step",
            initial=self.progress.step,
            total=config.steps if config.time_limit_s is None else None,
            disable=not config.progress,
        )
        with bar:
            while not self._is_finished():
                row = self._train_step()
                out_of_steps = self._is_finished()
                is_logged = out_of_steps or row["step"] % config.log_every == 0
                if is_logged:
                    self.metrics.append(row)
                if out_of_steps or row["step"] % config.eval_every == 0:
                    self._validate()
                if self._is_finished() and not is_logged:  # the validation ended the run
                    self.metrics.append(row)
                if self._is_finished() or row["step"] % config.save_every == 0:
                    self._save_last()
                bits = nats_to_bits(row["train_loss_nats"])
                bar.set_postfix_str(f"{bits:.3f} bits/{self.task.target_unit}", refresh=False)
                bar.update()

    def _train_step(self) -> Row:
        """Make one optimiser step, and return its metrics."""
        started = time.perf_counter()
        config, step = self.config, self.progress.step
        learning_rate = learning_rate_at(self._share_of_run(), config)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate

        batch = self.task.batch(step, batch_size=config.batch_size, seed=config.seed)
        with reproducible_draws(_seed_of_draws(config.seed, step), self.device):
            loss = self._accumulate_gradients(batch)
        norm = clip_grad_norm_(self.model.parameters(), config.clip_norm or math.inf)
        loss_nats, grad_norm = float(loss), float(norm)
        if not (math.isfinite(loss_nats) and math.isfinite(grad_norm)):
            raise FloatingPointError(
                f"step {step + 1} has loss {loss_nats} and gradient norm {grad_norm}: "
                f"try a learning rate below {config.learning_rate}"
            )
        self.optimizer.step()
        update_routers(self.model)

        _wait_for(self.device)
        seconds = time.perf_counter() - started
        self.progress.step += 1
        self.progress.tokens += batch.n_tokens
        self.progress.seconds += seconds
        return {
            "step": self.progress.step,
            "train_loss_nats": loss_nats,
            f"train_bits_per_{self.task.target_unit}": nats_to_bits(loss_nats),
            "learning_rate": learning_rate,
            "grad_norm": grad_norm,
            "tokens_per_second": batch.n_tokens / seconds,
            "seconds": self.progress.seconds,
        }

    def _accumulate_gradients(self, batch: Batch) -> Float[Tensor, ""]:
        """Add up the gradients of the parts of a batch, and return the mean loss of the batch.

        The gradient includes the losses of the routers of experts; the returned loss does not.
        """
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.device)
        for part in batch.split(self.config.rows_per_part):
            with self._autocast(), record_experts(self.model) as expert_outputs:
                loss = self.task.loss(self.model, part.to(self.device))
            objective = loss + expert_loss(expert_outputs)
            (objective / self.config.grad_accumulation).backward()
            total += loss.detach() / self.config.grad_accumulation
        return total

    def _validate(self) -> None:
        with self._autocast():
            evaluation = self.task.evaluate(self.model, batch_size=self.config.rows_per_part)
        if not math.isfinite(evaluation.loss_nats):
            raise FloatingPointError(
                f"the validation loss after step {self.progress.step} is {evaluation.loss_nats}"
            )
        earlier = [each.loss_nats for each in self.progress.evaluations.values()]
        self.progress.evaluations[self.progress.step] = evaluation
        self.metrics.append(
            {
                "step": self.progress.step,
                "valid_loss_nats": evaluation.loss_nats,
                f"valid_bits_per_{self.task.target_unit}": evaluation.loss_bits,
                "valid_accuracy": evaluation.accuracy,
                "seconds": self.progress.seconds,
            }
        )
        if evaluation.loss_nats < min(earlier, default=math.inf):
            if self.config.patience is not None:
                weights = self.model.state_dict()
                self._best_weights = {name: each.clone() for name, each in weights.items()}
            if self.folder is not None:
                self.folder.save_best(_savable(self.model))

    def _save_last(self) -> None:
        if self.folder is not None:
            state = {
                "progress": asdict(self.progress),
                "optimizer": self.optimizer.state_dict(),
                "best_weights": self._best_weights,
            }
            self.folder.save_last(_savable(self.model), state)

    def _is_finished(self) -> bool:
        limit = self.config.time_limit_s
        out_of_time = limit is not None and self.progress.seconds >= limit
        patience = self.config.patience
        out_of_patience = patience is not None and self.progress.validations_since_best >= patience
        return out_of_time or out_of_patience or self.progress.step >= self.config.steps

    def _share_of_run(self) -> float:
        """The share of the run that is over after the next step; the schedule follows it."""
        of_steps = (self.progress.step + 1) / self.config.steps
        limit = self.config.time_limit_s
        return of_steps if limit is None else max(of_steps, self.progress.seconds / limit)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16
        )

    def _settings(self) -> dict[str, dict[str, Any]]:
        return {
            "training": self.config.to_dict(),
            "task": self.task.description(),
            "model": _savable(self.model).config.to_dict(),
        }


def _savable(model: nn.Module) -> SavableModel:
    if not isinstance(model, SavableModel):
        raise ValueError(
            "output_dir must be None for a model without config, save_pretrained and "
            f"from_pretrained, got a {type(model).__name__}"
        )
    return model


def _set_gradient_checkpointing(model: nn.Module, enabled: bool) -> None:
    switch = getattr(model, "set_gradient_checkpointing", None)
    if switch is not None:
        switch(enabled)
    elif enabled:
        raise ValueError(
            "gradient_checkpointing must be False for a model without "
            f"set_gradient_checkpointing, got a {type(model).__name__}"
        )


def _seed_of_draws(seed: int, step: int) -> int:
    """A seed for the dropout of a step, different from that of its batch."""
    return int(np.random.SeedSequence([seed, step, 1]).generate_state(1, np.uint64)[0])


def _wait_for(device: torch.device) -> None:
    """Wait until the device has finished, so that the time of a step is complete."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
