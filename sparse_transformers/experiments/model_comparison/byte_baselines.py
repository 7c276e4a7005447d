"""What counting alone predicts: the marks that a model of bytes has to beat."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

N_BYTES = 256
PRIOR_WEIGHT = 16.0
"""How many observations the frequencies of single bytes count for, beside those of pairs."""


@dataclass(frozen=True)
class ByteBaseline:
    """A model without parameters to train, measured on the same bytes as the others."""

    name: str
    bits_per_byte: float


def byte_baselines(
    train: UInt8[Tensor, "length"], windows: UInt8[Tensor, "windows seq_plus_1"]
) -> tuple[ByteBaseline, ...]:
    """Predict each byte of the windows but the first: by its frequency, and by the byte before it.

    Both count the training bytes. A byte's frequency is smoothed by one observation of each byte; a
    pair's by the frequency of its second byte (a Dirichlet prior, MacKay and Peto 1995).
    """
    text = train.numpy().astype(np.int64)
    singles = np.bincount(text, minlength=N_BYTES) + 1.0
    frequencies = singles / singles.sum()
    pairs = np.bincount(text[:-1] * N_BYTES + text[1:], minlength=N_BYTES**2)
    pairs = pairs.reshape(N_BYTES, N_BYTES) + PRIOR_WEIGHT * frequencies
    after = pairs / pairs.sum(axis=1, keepdims=True)

    held_out = windows.numpy().astype(np.int64)
    previous, targets = held_out[:, :-1], held_out[:, 1:]
    return (
        ByteBaseline("single bytes", float(-np.log2(frequencies[targets]).mean())),
        ByteBaseline("pairs of bytes", float(-np.log2(after[previous, targets]).mean())),
    )
