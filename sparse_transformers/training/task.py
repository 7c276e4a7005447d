"""The interface of a task: the batch of a step, the loss of a batch, and the validation.

Only the task knows the arguments and outputs of the model; the trainer calls the task.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor, nn

from sparse_transformers.models.evaluation_mode import evaluation_mode

LogitsAndTargets = tuple[Float[Tensor, "targets classes"], Int[Tensor, "targets"]]


@dataclass(frozen=True)
class Batch:
    """Rows of tokens and their targets.

    Attributes:
        input_ids: token ids.
        targets: one class per token, or one per row.
        attention_mask: True on real tokens, padding on the right; None if there is no padding.
    """

    input_ids: Integer[Tensor, "batch seq"]
    targets: Int[Tensor, "batch seq"] | Int[Tensor, "batch"]
    attention_mask: Bool[Tensor, "batch seq"] | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def n_tokens(self) -> int:
        """Number of real tokens."""
        if self.attention_mask is None:
            return self.input_ids.numel()
        return int(self.attention_mask.sum())

    def rows(self, index: slice | Int[Tensor, "rows"] | Bool[Tensor, "batch"]) -> "Batch":
        """The batch of some of the rows: a slice, their numbers, or a mask."""
        mask = self.attention_mask
        return Batch(
            self.input_ids[index], self.targets[index], None if mask is None else mask[index]
        )

    def split(self, n_rows: int) -> Iterator["Batch"]:
        """Batches of `n_rows` rows, in order; the last one may have fewer."""
        for start in range(0, len(self), n_rows):
            yield self.rows(slice(start, start + n_rows))

    def trimmed(self) -> "Batch":
        """The same batch without the columns in which every row of it is padded."""
        if self.attention_mask is None:
            return self
        longest = int(self.attention_mask.sum(1).max())
        targets = self.targets[:, :longest] if self.targets.ndim == 2 else self.targets
        return Batch(self.input_ids[:, :longest], targets, self.attention_mask[:, :longest])

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        mask = self.attention_mask
        return Batch(
            self.input_ids.to(device),
            self.targets.to(device),
            None if mask is None else mask.to(device),
        )

    def sha256(self) -> str:
        """The hash of the content, by which a resumed run recognises its data."""
        tensors = (self.input_ids, self.targets, self.attention_mask)
        return hashlib.sha256(
            b"".join(tensor.numpy().tobytes() for tensor in tensors if tensor is not None)
        ).hexdigest()


@dataclass(frozen=True)
class Evaluation:
    """How well a model predicts targets that it was not trained on.

    Attributes:
        loss_nats: mean cross-entropy per target.
        accuracy: share of targets that have the largest logit.
        n_targets: number of targets that both are averaged over.
    """

    loss_nats: float
    accuracy: float
    n_targets: int

    @property
    def loss_bits(self) -> float:
        """The same loss in bits: bits per byte where the targets are bytes."""
        return nats_to_bits(self.loss_nats)


@runtime_checkable
class Task(Protocol):
    """What the trainer needs of a task.

    Attributes:
        target_unit: what one target is, such as "byte" or "label"; part of the metrics' names.
    """

    target_unit: str

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        """The batch of a step. It must depend on the arguments only: runs are resumed."""

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Mean loss in nats. Batches with equally many rows must have equally many targets."""

    def evaluate(self, model: nn.Module, *, batch_size: int) -> Evaluation:
        """Validate on the same targets every time; the model's mode is restored afterwards."""

    def description(self) -> dict[str, Any]:
        """JSON values that must be equal for a run to be resumed, by the name in error messages."""


def next_token_batch(rows: Int[Tensor, "batch length"]) -> Batch:
    """Rows to predict each token from those before it; the first token has no prediction."""
    return Batch(input_ids=rows[:, :-1], targets=rows[:, 1:])


def predict_next_tokens(model: nn.Module, batch: Batch) -> LogitsAndTargets:
    """The logits and the targets of all tokens of a batch, for a model that returns logits."""
    logits = model(batch.input_ids)  # (batch, seq, vocab)
    return logits.flatten(0, 1).float(), batch.targets.flatten()


def nats_to_bits(nats: float) -> float:
    """Convert a cross-entropy from nats to bits."""
    return nats / math.log(2)


@torch.no_grad()  # not inference_mode: tensors that a model caches here must be usable in training
def evaluate_predictions(
    model: nn.Module,
    predict: Callable[[nn.Module, Batch], LogitsAndTargets],
    batches: Iterable[Batch],
) -> Evaluation:
    """Mean cross-entropy and accuracy over all targets of the batches.

    Args:
        model: evaluated in evaluation mode; its mode is restored afterwards.
        predict: a function from the model and a batch to logits and targets.
        batches: on any device; they are moved to that of the model.
    """
    device = next(model.parameters()).device
    nats, hits, n_targets = 0.0, 0, 0
    with evaluation_mode(model):
        for batch in batches:
            logits, targets = predict(model, batch.to(device))
            nats += float(F.cross_entropy(logits, targets, reduction="sum"))
            hits += int((logits.argmax(-1) == targets).sum())
            n_targets += len(targets)
    return Evaluation(nats / n_targets, hits / n_targets, n_targets)
