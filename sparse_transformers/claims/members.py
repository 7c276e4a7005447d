"""The members of a claim classifier: small readers of two kinds, each trained on most of the rows.

The rows are dealt into folds. For each fold and each kind, one reader learns from the other folds,
and stops when it no longer gets better on this one. So every row is judged by readers that have not
learned from it.
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
    NGramReader,
    TransformerReader,
)
from sparse_transformers.claims.ngram_classifier import NGramClassifier, NGramClassifierConfig
from sparse_transformers.claims.tokenizer import TextTokenizer
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.training.classification import ClassificationTask, balanced_class_weights
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.task import Batch
from sparse_transformers.training.trainer import Trainer
from sparse_transformers.utils.arrays import Codes, Logits

Reader = TransformerReader | NGramReader

STEPS_PER_POOL = 16
VALIDATIONS_PER_EPOCH = 2
ROWS_PER_QUESTION = 256


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Judgements on the training rows, each by readers that have not learned from the row.

    Attributes:
        targets: the class number of each row, (rows,).
        folds: the fold of each row, (rows,).
        logits: by kind of reader, (rows, classes).
    """

    targets: Codes
    folds: Codes
    logits: dict[str, Logits]


def untrained_readers(
    config: ClaimClassifierConfig, tokenizer: TextTokenizer, n_classes: int
) -> nn.ModuleDict:
    """The readers of each kind, one for each fold, as they are before they learn.

    Raises:
        ValueError: a size is out of range.
    """
    return nn.ModuleDict(
        {
            kind: nn.ModuleList(
                _make_reader(reader, tokenizer, n_classes, seed=_seed(config, nth))
                for nth in range(config.folds)
            )
            for kind, reader in config.readers.items()
        }
    )


def train_readers(
    readers: nn.ModuleDict,
    config: ClaimClassifierConfig,
    rows: Batch,
    folds: Codes,
    *,
    n_classes: int,
    device: str = "auto",
    say: Callable[[str], object] = lambda step: None,
    progress: bool = False,
) -> OutOfFold:
    """Train every reader in place on all folds but its own, and let it judge that one.

    They end on the CPU, each with the weights that validated best.
    """
    logits = {kind: np.zeros((len(rows), n_classes)) for kind in readers}
    for kind, reader in config.readers.items():
        for nth, model in enumerate(readers_of(readers, kind)):
            say(f"training {kind} reader {nth + 1} of {config.folds}")
            judged = np.flatnonzero(folds == nth)
            train = rows.rows(torch.from_numpy(np.flatnonzero(folds != nth)))
            valid = rows.rows(torch.from_numpy(judged))
            task = ClassificationTask(
                train,
                valid.rows(_short_rows_first(valid)),
                class_weights=(
                    balanced_class_weights(train.targets, n_classes) if config.balanced else None
                ),
                steps_per_pool=STEPS_PER_POOL,
                calibrated=True,
            )
            settings = _training_config(
                config,
                reader,
                len(train),
                seed=_seed(config, nth),
                device=device,
                progress=progress,
            )
            Trainer(model, task, settings).train()
            model.cpu()
            logits[kind][judged] = ask_reader(model, valid)
    return OutOfFold(rows.targets.numpy(), folds, logits)


@torch.no_grad()
def ask_reader(model: nn.Module, rows: Batch) -> Logits:
    """The logits of every row, (rows, classes), without dropout."""
    model.eval()
    order = _short_rows_first(rows)
    parts = [part.trimmed() for part in rows.rows(order).split(ROWS_PER_QUESTION)]
    logits = torch.cat([model(part.input_ids, part.attention_mask).logits for part in parts])
    answers: Logits = logits[order.argsort()].double().numpy()
    return answers


def readers_of(readers: nn.ModuleDict, kind: str) -> Iterator[nn.Module]:
    """The readers of one kind, by fold."""
    return iter(cast("nn.ModuleList", readers[kind]))


def deal_folds(
    targets: Codes, n_folds: int, *, groups: Sequence[object] | None = None, seed: int = 0
) -> Codes:
    """The fold of each row: classes are shared out evenly, groups stay whole.

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
    for nth, (_, judged) in enumerate(splitter.split(targets, targets, groups)):
        folds[judged] = nth
    return folds


def _make_reader(
    reader: Reader, tokenizer: TextTokenizer, n_classes: int, *, seed: int
) -> nn.Module:
    if isinstance(reader, NGramReader):
        return NGramClassifier(
            NGramClassifierConfig(
                vocab_size=tokenizer.vocab_size,
                num_classes=n_classes,
                field_starts=tokenizer.field_starts,
                max_n=reader.max_n,
                n_buckets=reader.n_buckets,
                dropout=reader.dropout,
            )
        )
    config = reader.model_config(vocab_size=tokenizer.vocab_size, num_classes=n_classes)
    return SparseTransformer(config, seed=seed)


def _training_config(
    config: ClaimClassifierConfig,
    reader: Reader,
    n_rows: int,
    *,
    seed: int,
    device: str,
    progress: bool,
) -> TrainingConfig:
    steps_per_epoch = -(-n_rows // config.batch_size)
    return TrainingConfig(
        steps=reader.epochs * steps_per_epoch,
        batch_size=config.batch_size,
        learning_rate=reader.learning_rate,
        warmup_fraction=0.1,
        final_lr_fraction=0.05,
        weight_decay=reader.weight_decay,
        betas=(0.9, 0.98),
        eval_every=max(1, steps_per_epoch // VALIDATIONS_PER_EPOCH),
        patience=config.patience,
        seed=seed,
        device=device,
        progress=progress,
    )


def _seed(config: ClaimClassifierConfig, nth: int) -> int:
    return config.seed * config.folds + nth


def _short_rows_first(rows: Batch) -> Int[Tensor, "rows"]:
    """The order in which neighbours need little padding."""
    if rows.attention_mask is None:
        return torch.arange(len(rows))
    return rows.attention_mask.sum(1).argsort(stable=True)
