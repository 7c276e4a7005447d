"""Classification: predict one label for each row of tokens."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from sparse_transformers.training.task import (
    Batch,
    Evaluation,
    LogitsAndTargets,
    evaluate_predictions,
)
from sparse_transformers.utils.metrics.inverse_temperature import loss_when_calibrated


class ClassificationTask:
    """Predict one label per row, with a model whose output has `.logits` (batch, classes).

    Each epoch visits every training row once, in a random order.

    Args:
        train: all training rows.
        valid: all validation rows.
        class_weights: factors on the loss of the training rows of each class, such as
            `balanced_class_weights`; the validation is unweighted.
        steps_per_pool: the rows of so many consecutive steps, at most one epoch, are sorted by
            length before they are divided into batches. Rows of a batch then have similar lengths
            and little padding.
        calibrated: validate with the loss at the temperature that makes it lowest. Use it to stop
            early when the temperature is fitted after training: models become overconfident long
            before they stop learning, and the fitted temperature corrects that.

    Raises:
        ValueError: a part is empty, its shapes or dtypes do not fit together, or a class has no
            weight.
    """

    target_unit = "label"

    def __init__(
        self,
        train: Batch,
        valid: Batch,
        *,
        class_weights: Sequence[float] | None = None,
        steps_per_pool: int = 1,
        calibrated: bool = False,
    ) -> None:
        _check_labelled_rows("train", train)
        _check_labelled_rows("valid", valid)
        if steps_per_pool < 1:
            raise ValueError(f"steps_per_pool must be at least 1, got {steps_per_pool}")
        self.train = train
        self.valid = valid
        self.n_labels = int(max(train.targets.max(), valid.targets.max())) + 1
        self.class_weights = None if class_weights is None else tuple(map(float, class_weights))
        self.steps_per_pool = steps_per_pool
        self.calibrated = calibrated
        _check_class_weights(self.class_weights, self.n_labels)

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        n_steps = min(self.steps_per_pool, max(1, len(self.train) // batch_size))
        pool, nth = divmod(step, n_steps)
        index = self._rows_of_pool(pool, n_steps * batch_size, seed)
        if n_steps > 1 and self.train.attention_mask is not None:
            lengths = self.train.attention_mask[index].sum(1)
            index = index[lengths.argsort(stable=True)]
        nth = int(np.random.default_rng([seed, pool, 1]).permutation(n_steps)[nth])
        return self.train.rows(index[nth * batch_size : (nth + 1) * batch_size])

    def _rows_of_pool(self, pool: int, n_rows: int, seed: int) -> Int[Tensor, "rows"]:
        # All epochs one after the other are one endless sequence of indices, of which the pools are
        # consecutive pieces.
        n_train = len(self.train)
        places = range(pool * n_rows, (pool + 1) * n_rows)
        return torch.tensor(
            [_epoch_order(n_train, seed, place // n_train)[place % n_train] for place in places],
            device=self.train.targets.device,
        )

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        logits, targets = self._predict(model, batch)
        if self.class_weights is None:
            return F.cross_entropy(logits, targets)
        weights = logits.new_tensor(self.class_weights)[targets]
        # Not cross_entropy's `weight`: it divides by the sum of the weights of a part of the batch,
        # so the parts would not add up to the batch.
        return (F.cross_entropy(logits, targets, reduction="none") * weights).mean()

    def evaluate(self, model: nn.Module, *, batch_size: int) -> Evaluation:
        answers: list[LogitsAndTargets] = []

        def predict(model: nn.Module, batch: Batch) -> LogitsAndTargets:
            answers.append(self._predict(model, batch))
            return answers[-1]

        evaluation = evaluate_predictions(model, predict, self.valid.split(batch_size))
        if not (self.calibrated and math.isfinite(evaluation.loss_nats)):
            return evaluation
        logits, targets = (torch.cat(each).cpu().numpy() for each in zip(*answers, strict=True))
        return replace(evaluation, loss_nats=loss_when_calibrated(targets, logits))

    def description(self) -> dict[str, Any]:
        return {
            "task": "classification",
            "seq_len": self.train.input_ids.shape[1],
            "train_rows": len(self.train),
            "valid_rows": len(self.valid),
            "class_weights": None if self.class_weights is None else list(self.class_weights),
            "steps_per_pool": self.steps_per_pool,
            "calibrated": self.calibrated,
            "train_sha256": self.train.sha256(),
            "valid_sha256": self.valid.sha256(),
        }

    def _predict(self, model: nn.Module, batch: Batch) -> LogitsAndTargets:
        batch = batch.trimmed()
        logits = model(batch.input_ids, attention_mask=batch.attention_mask).logits
        if logits.shape[-1] < self.n_labels:
            raise ValueError(
                f"the model must have at least {self.n_labels} classes, as many as the labels of "
                f"the task, got {logits.shape[-1]}"
            )
        return logits.float(), batch.targets


def balanced_class_weights(targets: Int[Tensor, "rows"], n_classes: int) -> tuple[float, ...]:
    """Weights that give each class the same share of the loss; their mean over the rows is 1.

    Raises:
        ValueError: a class has no row.
    """
    counts = torch.bincount(targets, minlength=n_classes)
    if len(counts) > n_classes or not bool(counts.all()):
        raise ValueError(f"targets must hold each of {n_classes} classes, got {counts.tolist()}")
    return tuple((len(targets) / (n_classes * counts.double())).tolist())


@lru_cache(maxsize=2)  # a batch has rows of one epoch or of two consecutive ones
def _epoch_order(n_rows: int, seed: int, epoch: int) -> list[int]:
    return np.random.default_rng([seed, epoch]).permutation(n_rows).tolist()


def _check_class_weights(weights: tuple[float, ...] | None, n_labels: int) -> None:
    if weights is None:
        return
    if len(weights) < n_labels or not all(0 <= each < float("inf") for each in weights):
        raise ValueError(
            f"class_weights must be one number of at least 0 for each of the {n_labels} labels, "
            f"got {weights}"
        )


def _check_labelled_rows(name: str, rows: Batch) -> None:
    ids, targets, mask = rows.input_ids, rows.targets, rows.attention_mask
    if ids.ndim != 2 or ids.dtype.is_floating_point or not ids.numel():
        raise ValueError(
            f"{name}.input_ids must be token ids of shape (rows, seq), with at least one row, "
            f"got {ids.dtype} {tuple(ids.shape)}"
        )
    if targets.shape != ids.shape[:1] or targets.dtype != torch.long:
        raise ValueError(
            f"{name}.targets must be one int64 label per row, {tuple(ids.shape[:1])}, "
            f"got {targets.dtype} {tuple(targets.shape)}"
        )
    if targets.min() < 0:
        raise ValueError(f"{name}.targets must not be negative, got {int(targets.min())}")
    if mask is not None and (mask.shape != ids.shape or mask.dtype != torch.bool):
        raise ValueError(
            f"{name}.attention_mask must be bool of the shape of input_ids, {tuple(ids.shape)}, "
            f"got {mask.dtype} {tuple(mask.shape)}"
        )
