"""The members of a claim classifier: small models of two kinds, each trained on most of the rows.

The rows are divided into folds. For each fold and each kind, one member learns from the other
folds, and stops when its loss on this fold no longer falls. Every row thus gets predictions by
members that have not learned from it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Int
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from torch import Tensor, nn

from sparse_transformers.claims.config import (
    ClaimClassifierConfig,
    NGramMember,
    TransformerMember,
)
from sparse_transformers.claims.ngram_classifier import NGramClassifier, NGramClassifierConfig
from sparse_transformers.claims.tokenizer import TextTokenizer
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.training.classification import ClassificationTask, balanced_class_weights
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.task import Batch
from sparse_transformers.training.trainer import Trainer
from sparse_transformers.utils.arrays import Codes, Logits

STEPS_PER_POOL = 16
VALIDATIONS_PER_EPOCH = 2
ROWS_PER_BATCH = 256
"""How many rows are predicted at once."""


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions for the training rows, each by members that have not learned from the row.

    Attributes:
        targets: the class number of each row, (rows,).
        folds: the fold of each row, (rows,).
        logits: by kind of member, (rows, classes).
    """

    targets: Codes
    folds: Codes
    logits: dict[str, Logits]


def assign_folds(
    targets: Codes, n_folds: int, *, groups: Sequence[object] | None = None, seed: int = 0
) -> Codes:
    """The fold of each row: each fold gets an equal share of each class, and groups stay whole.

    Raises:
        ValueError: there are fewer groups than folds, or not as many groups as rows.
    """
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    if groups is not None:
        codes = {group: code for code, group in enumerate(dict.fromkeys(groups))}
        if len(groups) != len(targets) or len(codes) < n_folds:
            raise ValueError(
                f"groups must be one for each of the {len(targets)} rows, and at least {n_folds} "
                f"different ones, got {len(groups)} and {len(codes)}"
            )
        groups = [codes[group] for group in groups]
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    folds = np.empty(len(targets), dtype=np.intp)
    for fold, (_, held_out) in enumerate(splitter.split(targets, targets, groups)):
        folds[held_out] = fold
    return folds


def untrained_members(
    config: ClaimClassifierConfig, tokenizer: TextTokenizer, n_classes: int
) -> nn.ModuleDict:
    """The members of each kind, one for each fold, with their initial weights.

    Raises:
        ValueError: a size is out of range.
    """
    return nn.ModuleDict(
        {
            kind: nn.ModuleList(
                _make_member(settings, tokenizer, n_classes, seed=_seed(config, fold))
                for fold in range(config.folds)
            )
            for kind, settings in config.members.items()
        }
    )


def train_members(
    members: nn.ModuleDict,
    config: ClaimClassifierConfig,
    rows: Batch,
    folds: Codes,
    *,
    n_classes: int,
    device: str = "auto",
    say: Callable[[str], object] = lambda step: None,
    progress: bool = False,
) -> OutOfFold:
    """Train every member in place on all folds but its own, and predict that one.

    They end on the CPU, each with the weights that validated best.
    """
    logits = {kind: np.zeros((len(rows), n_classes)) for kind in members}
    for kind, settings in config.members.items():
        for fold, model in enumerate(members_of(members, kind)):
            say(f"training {kind} member {fold + 1} of {config.folds}")
            held_out = np.flatnonzero(folds == fold)
            train = rows.rows(torch.from_numpy(np.flatnonzero(folds != fold)))
            valid = rows.rows(torch.from_numpy(held_out))
            task = ClassificationTask(
                train,
                valid.rows(_short_rows_first(valid)),
                class_weights=(
                    balanced_class_weights(train.targets, n_classes) if config.balanced else None
                ),
                steps_per_pool=STEPS_PER_POOL,
                calibrated=True,
            )
            training = _training_config(
                config,
                settings,
                len(train),
                seed=_seed(config, fold),
                device=device,
                progress=progress,
            )
            Trainer(model, task, training).train()
            model.cpu()
            logits[kind][held_out] = predict_logits(model, valid)
    return OutOfFold(rows.targets.numpy(), folds, logits)


@torch.no_grad()
def predict_logits(model: nn.Module, rows: Batch) -> Logits:
    """The logits of every row, (rows, classes), without dropout."""
    model.eval()
    order = _short_rows_first(rows)
    parts = [part.trimmed() for part in rows.rows(order).split(ROWS_PER_BATCH)]
    logits = torch.cat([model(part.input_ids, part.attention_mask).logits for part in parts])
    in_order: Logits = logits[order.argsort()].double().numpy()
    return in_order


def members_of(members: nn.ModuleDict, kind: str) -> Iterator[nn.Module]:
    """The members of one kind, by fold."""
    return iter(cast("nn.ModuleList", members[kind]))


def _make_member(
    settings: TransformerMember | NGramMember,
    tokenizer: TextTokenizer,
    n_classes: int,
    *,
    seed: int,
) -> nn.Module:
    if isinstance(settings, NGramMember):
        return NGramClassifier(
            NGramClassifierConfig(
                vocab_size=tokenizer.vocab_size,
                num_classes=n_classes,
                field_starts=tokenizer.field_starts,
                max_n=settings.max_n,
                n_buckets=settings.n_buckets,
                dropout=settings.dropout,
            )
        )
    config = settings.model_config(vocab_size=tokenizer.vocab_size, num_classes=n_classes)
    return SparseTransformer(config, seed=seed)


def _training_config(
    config: ClaimClassifierConfig,
    settings: TransformerMember | NGramMember,
    n_rows: int,
    *,
    seed: int,
    device: str,
    progress: bool,
) -> TrainingConfig:
    steps_per_epoch = -(-n_rows // config.batch_size)
    return TrainingConfig(
        steps=settings.epochs * steps_per_epoch,
        batch_size=config.batch_size,
        learning_rate=settings.learning_rate,
        warmup_fraction=0.1,
        final_lr_fraction=0.05,
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.98),
        eval_every=max(1, steps_per_epoch // VALIDATIONS_PER_EPOCH),
        patience=config.patience,
        seed=seed,
        device=device,
        progress=progress,
    )


def _seed(config: ClaimClassifierConfig, fold: int) -> int:
    return config.seed * config.folds + fold


def _short_rows_first(rows: Batch) -> Int[Tensor, "rows"]:
    """The order of length, in which rows of one batch need little padding."""
    if rows.attention_mask is None:
        return torch.arange(len(rows), device=rows.targets.device)
    return rows.attention_mask.sum(1).argsort(stable=True)
