"""What a section of the tour is run with, where only its settings matter."""

from collections.abc import Callable
from typing import Any

import torch

from sparse_transformers.experiments.section import Visit
from sparse_transformers.training.data import ByteCorpus

NO_TEXT = ByteCorpus(torch.zeros(2, dtype=torch.uint8), name="no text")


def visit(
    settings: Any,
    corpus: ByteCorpus = NO_TEXT,
    tables: Any = None,
    *,
    seed: int = 0,
    say: Callable[[str], object] = lambda step: None,
) -> Visit:
    """A visit with these settings."""
    return Visit(settings, corpus, tables or {}, seed, say)
