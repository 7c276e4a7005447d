"""Patterns as row-normalised matrices."""

from typing import Any

import numpy as np

from sparse_transformers.models.attention_patterns import PATTERNS, make_pattern


class AttentionPatternGenerator:
    """Makes the attention matrix that a pattern would give if all scores were equal.

    >>> import sparse_transformers as st
    >>> st.AttentionPatternGenerator().generate("local", seq_len=64, window_size=8).shape
    (64, 64)
    """

    def generate(self, name: str, seq_len: int, **options: Any) -> np.ndarray:
        """The pattern called `name` as a float32 matrix (seq_len, seq_len) whose rows sum to 1.

        A row without any allowed key is all zeros.

        Args:
            name: a name from `PATTERNS`, or "sparse", which means "random".
            seq_len: number of tokens.
            **options: options of the pattern, such as `window_size` or `sparsity`; by default they
                depend on `seq_len`.

        Raises:
            ValueError: an unknown name or option, or an option out of range.
        """
        name = {"sparse": "random"}.get(name, name)
        if name in PATTERNS:
            options = options_for_length(name, seq_len) | options
        allowed = make_pattern(name, **options).mask(seq_len).numpy().astype(np.float32)
        return allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1)


def options_for_length(name: str, seq_len: int) -> dict[str, Any]:
    """Options with which the structure of a pattern is visible in `seq_len` tokens."""
    eighth = max(1, seq_len // 8)
    defaults: dict[str, dict[str, Any]] = {
        "local": {"window_size": eighth},
        "dilated": {"window_size": eighth, "dilation": 2},
        "strided": {"stride": eighth},
        "fixed": {"block_size": eighth},
        "block": {"block_size": eighth, "sparsity": 0.5},
        "random": {"sparsity": 0.8},
        "global": {"positions": (0,)},
        "sinks": {"count": min(4, seq_len)},
        "longformer": {"window_size": eighth},
        "bigbird": {"block_size": max(1, seq_len // 16)},
    }
    return defaults.get(name, {})
