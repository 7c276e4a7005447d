"""Language modelling on bytes: predict each byte from those before it."""

from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sparse_transformers.training.data import ByteCorpus
from sparse_transformers.training.task import (
    Batch,
    Evaluation,
    evaluate_predictions,
    next_token_batch,
    predict_next_tokens,
)


class NextByteTask:
    """Predict each byte of a corpus from those before it.

    >>> import torch
    >>> import sparse_transformers as st
    >>> corpus = st.ByteCorpus(torch.arange(200, dtype=torch.uint8))
    >>> batch = st.NextByteTask(corpus, seq_len=8).batch(0, batch_size=4, seed=0)
    >>> bool((batch.targets == batch.input_ids + 1).all())
    True

    Args:
        corpus: the bytes to train and to validate on.
        seq_len: input bytes, and predictions, per row.
        max_valid_windows: the largest number of rows to validate on. The first bytes of a row have
            little context, so compare bits per byte at equal `seq_len` only.

    Raises:
        ValueError: a part of the corpus is shorter than one window, or a number is below 1.
    """

    target_unit = "byte"

    def __init__(self, corpus: ByteCorpus, seq_len: int, *, max_valid_windows: int = 64) -> None:
        corpus.check_holds_windows(seq_len)
        if max_valid_windows < 1:
            raise ValueError(f"max_valid_windows must be at least 1, got {max_valid_windows}")
        self.corpus = corpus
        self.seq_len = seq_len
        self.max_valid_windows = max_valid_windows

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        windows = self.corpus.random_windows(
            step, n_windows=batch_size, seq_len=self.seq_len, seed=seed
        )
        return next_token_batch(windows.long())

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        return F.cross_entropy(*predict_next_tokens(model, batch))

    def evaluate(self, model: nn.Module, *, batch_size: int) -> Evaluation:
        windows = self.corpus.valid_windows(
            max_windows=self.max_valid_windows, seq_len=self.seq_len
        )
        batches = next_token_batch(windows.long()).split(batch_size)
        return evaluate_predictions(model, predict_next_tokens, batches)

    def description(self) -> dict[str, Any]:
        return {
            "task": "next byte",
            "seq_len": self.seq_len,
            "max_valid_windows": self.max_valid_windows,
            "train_bytes": len(self.corpus.train),
            "valid_bytes": len(self.corpus.valid),
            "corpus_sha256": self.corpus.sha256(),
        }
