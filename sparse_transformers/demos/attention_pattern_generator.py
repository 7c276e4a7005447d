"""Patterns as row-normalised matrices."""

from typing import Any

import numpy as np

from sparse_transformers.demos.pattern_names import pattern_for_length


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
            name: a name from `PATTERNS`; "sparse" means "random".
            seq_len: number of tokens.
            **options: options of the pattern, such as `window_size` or `sparsity`; by default they
                depend on `seq_len`.

        Raises:
            ValueError: an unknown name or option, or an option out of range.
        """
        allowed = (
            pattern_for_length(name, seq_len, **options).mask(seq_len).numpy().astype(np.float32)
        )
        return allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1)
