import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sparse_transformers.training.classification import ClassificationTask
from sparse_transformers.training.data import ByteCorpus, text_to_bytes
from sparse_transformers.training.next_byte import NextByteTask
from sparse_transformers.training.task import Batch


@dataclass(frozen=True)
class TinyConfig:
    d_model: int = 16
    dropout: float = 0.2

    def to_dict(self):
        return asdict(self)


class TinyByteModel(nn.Module):
    """Predicts each byte from the one before it; saves and loads itself as a real model does."""

    def __init__(self, config: TinyConfig | None = None) -> None:
        super().__init__()
        self.config = config or TinyConfig()
        generator = torch.Generator().manual_seed(0)
        self.embedding = nn.Embedding(256, self.config.d_model)
        self.dropout = nn.Dropout(self.config.dropout)
        self.norm = nn.LayerNorm(self.config.d_model)
        self.head = nn.Linear(self.config.d_model, 256)
        self.checkpointing = False
        with torch.no_grad():
            for parameter in self.parameters():
                if parameter.ndim == 2:
                    parameter.normal_(std=0.1, generator=generator)
            self.head.bias.zero_()

    def forward(self, input_ids, attention_mask=None):
        return self.head(self.dropout(self.norm(self.embedding(input_ids))))

    def set_gradient_checkpointing(self, enabled):
        self.checkpointing = enabled

    def save_pretrained(self, folder):
        folder = Path(folder)
        (folder / "config.json").write_text(json.dumps(self.config.to_dict()))
        save_file(self.state_dict(), folder / "model.safetensors")

    @classmethod
    def from_pretrained(cls, folder):
        folder = Path(folder)
        model = cls(TinyConfig(**json.loads((folder / "config.json").read_text())))
        model.load_state_dict(load_file(folder / "model.safetensors"))
        return model


class TinyClassifier(nn.Module):
    """Judges a row by the mean of its real tokens' embeddings."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.embedding = nn.Embedding(256, n_classes)
        with torch.no_grad():
            self.embedding.weight.normal_(std=0.1, generator=generator)

    def forward(self, input_ids, attention_mask=None):
        votes = self.embedding(input_ids)
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids, dtype=torch.bool)
        real = attention_mask[..., None]
        return SimpleNamespace(logits=(votes * real).sum(1) / real.sum(1))


def english_task():
    words = "the cat sat on the mat and saw the rat that ate the malt in the house "
    return NextByteTask(ByteCorpus(text_to_bytes(words * 20)), seq_len=16, max_valid_windows=4)


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors gain nothing from a second thread, and wait for it on a busy machine."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def make_model():
    return TinyByteModel


@pytest.fixture
def make_config():
    return TinyConfig


@pytest.fixture
def make_classifier():
    return TinyClassifier


@pytest.fixture
def byte_task():
    return english_task()


@pytest.fixture
def random_byte_corpus():
    content = np.random.default_rng(0).integers(0, 256, size=40_000, dtype=np.uint8)
    return ByteCorpus(torch.from_numpy(content), name="noise")


@pytest.fixture
def label_task():
    """Rows of the letters a and b; the label says which of the two is more frequent."""

    def rows(seed, n_rows):
        ids = torch.from_numpy(np.random.default_rng(seed).integers(97, 99, size=(n_rows, 9)))
        return Batch(ids, (ids == 98).sum(1).gt(4).long())

    return ClassificationTask(train=rows(0, 300), valid=rows(1, 100))
