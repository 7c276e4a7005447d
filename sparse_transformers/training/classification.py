"""Classification: predict one label for each row of tokens."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sparse_transformers.training.task import (
    Batch,
    Evaluation,
    LogitsAndTargets,
    evaluate_predictions,
)


class ClassificationTask:
    """Predict one label per row, by a model that answers with `.logits` (batch, classes).

    Each epoch visits every training row once, in an order of its own.

    Args:
        train: all rows to train on.
        valid: all rows to validate on.

    Raises:
        ValueError: a part is empty, or its shapes or dtypes do not fit together.
    """

    target_unit = "label"

    def __init__(self, train: Batch, valid: Batch) -> None:
        _check_labelled_rows("train", train)
        _check_labelled_rows("valid", valid)
        self.train = train
        self.valid = valid
        self.n_labels = int(max(train.targets.max(), valid.targets.max())) + 1

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        # Epoch after epoch makes one endless row of indices; the step says which stretch to take.
        n_rows = len(self.train)
        places = range(step * batch_size, (step + 1) * batch_size)
        index = [_epoch_order(n_rows, seed, place // n_rows)[place % n_rows] for place in places]
        return self.train.rows(torch.tensor(index))

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        return F.cross_entropy(*self._predict(model, batch))

    def evaluate(self, model: nn.Module, *, batch_size: int) -> Evaluation:
        return evaluate_predictions(model, self._predict, self.valid.split(batch_size))

    def description(self) -> dict[str, Any]:
        return {
            "task": "classification",
            "seq_len": self.train.input_ids.shape[1],
            "train_rows": len(self.train),
            "valid_rows": len(self.valid),
            "train_sha256": self.train.sha256(),
            "valid_sha256": self.valid.sha256(),
        }

    def _predict(self, model: nn.Module, batch: Batch) -> LogitsAndTargets:
        logits = model(batch.input_ids, attention_mask=batch.attention_mask).logits
        if logits.shape[-1] < self.n_labels:
            raise ValueError(
                f"the model must have at least {self.n_labels} classes, as many as the labels of "
                f"the task, got {logits.shape[-1]}"
            )
        return logits.float(), batch.targets


@lru_cache(maxsize=2)  # a batch takes rows of one epoch, or of two that meet in it
def _epoch_order(n_rows: int, seed: int, epoch: int) -> list[int]:
    return np.random.default_rng([seed, epoch]).permutation(n_rows).tolist()


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
