"""Patterns as row-normalised matrices."""

from typing import Any

import numpy as np

from sparse_transformers.demos.pattern_names import pattern_for_length
from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.pattern_base import AttentionPattern


class AttentionPatternGenerator:
    """Makes the attention matrix that a pattern would give if all scores were equal.

    >>> import sparse_transformers as st
    >>> st.AttentionPatternGenerator().generate("local", seq_len=64, window_size=8).shape
    (64, 64)
    """

    def generate(self, pattern: str | AttentionPattern, seq_len: int, **options: Any) -> np.ndarray:
        """The pattern as a float32 matrix (seq_len, seq_len) whose rows sum to 1.

        A row without any allowed key is all zeros. A pattern for each head gives a matrix for each,
        (heads, seq_len, seq_len).

        Args:
            pattern: a pattern, or a name from `PATTERNS`; "sparse" means "random".
            seq_len: number of tokens.
            **options: options of the pattern, such as `window_size` or `sparsity`; by default they
                depend on `seq_len`.

        Raises:
            ValueError: an unknown name or option, or an option out of range.
        """
        check_whole(1, seq_len=seq_len)
        mask = pattern_for_length(pattern, seq_len, **options).mask(seq_len)
        allowed = mask.numpy().astype(np.float32)
        return allowed / np.maximum(allowed.sum(axis=-1, keepdims=True), 1)
