"""Sparse attention to learn from, teach with and experiment on: one position rule per pattern."""

from importlib.metadata import PackageNotFoundError, version

from sparse_transformers.models.attention_matrix import AttentionPatternGenerator
from sparse_transformers.models.attention_ops import BACKENDS, sparse_attention
from sparse_transformers.models.attention_patterns import (
    PATTERNS,
    AttentionPattern,
    AttentionSinks,
    BigBird,
    BlockSparse,
    Causal,
    Dense,
    DilatedWindow,
    Fixed,
    GlobalTokens,
    LocalWindow,
    Longformer,
    PerHead,
    RandomSparse,
    Strided,
    make_pattern,
)
from sparse_transformers.models.attention_reference import reference_attention
from sparse_transformers.models.block_layout import BlockLayout

__all__ = [
    "BACKENDS",
    "PATTERNS",
    "AttentionPattern",
    "AttentionPatternGenerator",
    "AttentionSinks",
    "BigBird",
    "BlockLayout",
    "BlockSparse",
    "Causal",
    "Dense",
    "DilatedWindow",
    "Fixed",
    "GlobalTokens",
    "LocalWindow",
    "Longformer",
    "PerHead",
    "RandomSparse",
    "Strided",
    "make_pattern",
    "reference_attention",
    "sparse_attention",
]

try:
    __version__ = version("sparse-transformers")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0.0.0"
