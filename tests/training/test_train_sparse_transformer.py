"""The real model, from end to end."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.training.classification import ClassificationTask
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.data import (
    ByteCorpus,
    default_text,
    text_to_bytes,
)
from sparse_transformers.training.next_byte import NextByteTask
from sparse_transformers.training.padding import pad_tokens
from sparse_transformers.training.task import Batch
from sparse_transformers.training.trainer import Trainer

MODEL = SparseTransformerConfig(
    d_model=32,
    n_heads=2,
    n_layers=2,
    attention=("local", "strided"),
    attention_options={"window_size": 16, "stride": 8},
    dropout=0.1,
)
TRAINING = TrainingConfig(
    steps=24,
    batch_size=8,
    learning_rate=5e-3,
    log_every=1,
    eval_every=6,
    save_every=9,
    progress=False,
    device="cpu",
)


@pytest.fixture(scope="module")
def task():
    return NextByteTask(ByteCorpus(text_to_bytes(default_text())), 48, max_valid_windows=8)


def losses(result):
    return [row["train_loss_nats"] for row in result.metrics if "train_loss_nats" in row]


def test_language_model_learns_resumes_exactly_and_comes_back_from_its_checkpoint(task, tmp_path):
    class Killed(Exception):
        pass

    class KilledAtStep20(NextByteTask):
        def batch(self, step, *, batch_size, seed):
            if step == 20:
                raise Killed
            return super().batch(step, batch_size=batch_size, seed=seed)

    unbroken = Trainer(SparseTransformer(MODEL), task, TRAINING).train()
    assert unbroken.evaluations[0].loss_bits == pytest.approx(8, abs=0.3)
    assert unbroken.final.loss_bits < 6

    fragile = KilledAtStep20(task.corpus, 48, max_valid_windows=8)
    with pytest.raises(Killed):
        Trainer(SparseTransformer(MODEL), fragile, TRAINING, tmp_path).train()
    resumed = Trainer(SparseTransformer(MODEL, seed=5), task, TRAINING, tmp_path).train(resume=True)
    assert losses(resumed) == losses(unbroken)
    assert resumed.evaluations == unbroken.evaluations

    best = SparseTransformer.from_pretrained(tmp_path / "best")
    assert task.evaluate(best, batch_size=8) == resumed.best


def test_gradient_checkpointing_changes_memory_and_not_the_losses(task):
    plain, checkpointed = (
        Trainer(
            SparseTransformer(MODEL),
            task,
            replace(TRAINING, steps=4, gradient_checkpointing=checkpointing),
        ).train()
        for checkpointing in (False, True)
    )
    assert losses(plain) == losses(checkpointed)


def test_classifier_learns_from_padded_texts():
    """Every second text has a "y" at some place, the others an "x": chance is one half."""
    random = np.random.default_rng(0)

    def rows(n_rows):
        texts = []
        for row in range(n_rows):
            letters = random.choice(list("abcdefgh"), size=random.integers(4, 20))
            letters[random.integers(len(letters))] = "y" if row % 2 else "x"
            texts.append("".join(letters))
        ids, mask = pad_tokens([list(text.encode()) for text in texts], max_tokens=24)
        return Batch(ids, torch.arange(n_rows) % 2, mask)

    config = replace(MODEL, causal=False, num_classes=2)
    task = ClassificationTask(train=rows(200), valid=rows(60))
    training = replace(TRAINING, steps=80, batch_size=16, eval_every=80)
    result = Trainer(SparseTransformer(config), task, training).train()
    assert result.evaluations[0].accuracy < 0.75
    assert result.final.accuracy > 0.95
