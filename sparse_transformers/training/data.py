"""Bytes to train on: any file, or the text that ships with Python, cut into windows."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from sparse_transformers.utils.texts import utf8


def load_bytes(path: str | Path) -> UInt8[Tensor, "length"]:
    """The bytes of any file, text or not.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: the file is empty.
    """
    content = Path(path).read_bytes()
    if not content:
        raise ValueError(f"{path} must hold at least one byte, got an empty file")
    return _as_tensor(content)


def default_text() -> str:
    """English that needs no download: Python's own help topics, in alphabetical order.

    About 470,000 characters; the exact text depends on the version of Python.
    """
    from pydoc_data.topics import topics  # imported on use: 0.7 MB of source

    return "\n\n".join(topics[name] for name in sorted(topics))


def text_to_bytes(text: str) -> UInt8[Tensor, "length"]:
    """The UTF-8 bytes of `text`."""
    return _as_tensor(utf8(text, "text"))


class ByteCorpus:
    """A sequence of bytes, split by position: the end of it is for validation.

    A window of `seq_len` predictions takes `seq_len + 1` bytes: each byte is predicted from those
    before it, and the first has no prediction.

    >>> import torch
    >>> import sparse_transformers as st
    >>> corpus = st.ByteCorpus(torch.arange(200, dtype=torch.uint8), valid_fraction=0.1)
    >>> len(corpus.train), len(corpus.valid)
    (180, 20)
    >>> corpus.random_windows(0, n_windows=4, seq_len=8, seed=0).shape
    torch.Size([4, 9])

    `ByteCorpus.from_file` reads any file.

    Args:
        content: the bytes, as such or as one row of dtype uint8.
        name: the name of the corpus in error messages, such as the file's path.
        valid_fraction: the share at the end that is never trained on, between 0 and 1.

    Raises:
        ValueError: the content has another shape or dtype, or the fraction is out of range.
    """

    def __init__(
        self,
        content: UInt8[Tensor, "length"] | bytes,
        *,
        name: str = "corpus",
        valid_fraction: float = 0.1,
    ) -> None:
        if isinstance(content, bytes | bytearray):
            content = _as_tensor(bytes(content))
        if not isinstance(content, Tensor):
            raise ValueError(
                f"content must be bytes (for a text, text.encode()), got {type(content).__name__}"
            )
        if content.ndim != 1 or content.dtype != torch.uint8:
            raise ValueError(
                f"content must be one row of uint8, got {content.dtype} {tuple(content.shape)}"
            )
        if not 0 < valid_fraction < 1:
            raise ValueError(f"valid_fraction must be between 0 and 1, got {valid_fraction}")
        n_train = len(content) - round(len(content) * valid_fraction)
        self.name = name
        self.content = content
        self.train = content[:n_train]
        self.valid = content[n_train:]

    def __repr__(self) -> str:
        return f"ByteCorpus({self.name!r}, {len(self.train):,} + {len(self.valid):,} bytes)"

    @classmethod
    def from_file(cls, path: str | Path, *, valid_fraction: float = 0.1) -> "ByteCorpus":
        """The bytes of any file, text or not.

        Args:
            path: the file.
            valid_fraction: the share at the end that is never trained on, between 0 and 1.

        Raises:
            OSError: the file is missing or cannot be read.
            ValueError: the file is empty, or the fraction is out of range.
        """
        return cls(load_bytes(path), name=str(path), valid_fraction=valid_fraction)

    def check_holds_windows(self, seq_len: int) -> None:
        """Raise a ValueError unless both parts hold a window of `seq_len` predictions."""
        if seq_len < 1:
            raise ValueError(f"seq_len must be at least 1, got {seq_len}")
        for part, content in (("training", self.train), ("validation", self.valid)):
            if len(content) <= seq_len:
                raise ValueError(
                    f"{self.name} is too short for seq_len={seq_len}: its {part} part must hold "
                    f"at least {seq_len + 1} bytes, got {len(content)} of {len(self.content)}"
                )

    def random_windows(
        self, step: int, *, n_windows: int, seq_len: int, seed: int
    ) -> UInt8[Tensor, "windows {seq_len}+1"]:
        """Windows from random positions of the training part: a function of (seed, step)."""
        last_start = len(self.train) - seq_len - 1
        starts = np.random.default_rng([seed, step]).integers(0, last_start + 1, size=n_windows)
        return _cut_windows(self.train, torch.from_numpy(starts), seq_len)

    def valid_windows(
        self, *, max_windows: int, seq_len: int
    ) -> UInt8[Tensor, "windows {seq_len}+1"]:
        """The same windows every time, spread evenly over the validation part.

        If `max_windows` is enough for the whole part, the windows tile it without overlap, so each
        byte is predicted at most once.
        """
        n_windows = min(max_windows, (len(self.valid) - 1) // seq_len)
        last_start = len(self.valid) - seq_len - 1
        starts = torch.arange(n_windows, device=self.valid.device) * last_start
        starts = starts // max(n_windows - 1, 1)
        return _cut_windows(self.valid, starts, seq_len)

    def sha256(self) -> str:
        """The hash by which a resumed run recognises its corpus."""
        return hashlib.sha256(self.content.numpy().data).hexdigest()


def _as_tensor(content: bytes) -> UInt8[Tensor, "length"]:
    # A tensor needs a writable copy. NumPy makes it on the CPU, whatever the default device is.
    return torch.from_numpy(np.frombuffer(bytearray(content), dtype=np.uint8))


def _cut_windows(
    content: UInt8[Tensor, "length"], starts: Int[Tensor, "windows"], seq_len: int
) -> UInt8[Tensor, "windows {seq_len}+1"]:
    return content[starts[:, None] + torch.arange(seq_len + 1, device=starts.device)]
