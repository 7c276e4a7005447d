"""Sparse attention to learn from, teach with and experiment on: one position rule per pattern."""

from importlib.metadata import PackageNotFoundError, version

from sparse_transformers.efficiency.costs import AttentionCost, attention_cost
from sparse_transformers.interpretability.causality import LeakReport, find_future_leak
from sparse_transformers.models.attention_matrix import AttentionPatternGenerator
from sparse_transformers.models.attention_modules import LocalSparseAttention, SparseAttentionDemo
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
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_block import SparseTransformerBlock
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.models.truthfulness_head import TruthfulnessHead, TruthfulnessOutput
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.data import ByteCorpus
from sparse_transformers.training.next_byte import NextByteTask
from sparse_transformers.training.trainer import Trainer

__all__ = [
    "BACKENDS",
    "PATTERNS",
    "AttentionCost",
    "AttentionPattern",
    "AttentionPatternGenerator",
    "AttentionSinks",
    "BigBird",
    "BlockLayout",
    "BlockSparse",
    "ByteCorpus",
    "Causal",
    "Dense",
    "DilatedWindow",
    "Fixed",
    "GlobalTokens",
    "LeakReport",
    "LocalSparseAttention",
    "LocalWindow",
    "Longformer",
    "NextByteTask",
    "PerHead",
    "RandomSparse",
    "SparseAttentionDemo",
    "SparseTransformer",
    "SparseTransformerBlock",
    "SparseTransformerConfig",
    "Strided",
    "Trainer",
    "TrainingConfig",
    "TruthfulnessHead",
    "TruthfulnessOutput",
    "attention_cost",
    "find_future_leak",
    "make_pattern",
    "reference_attention",
    "sparse_attention",
]

try:
    __version__ = version("sparse-transformers")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0.0.0"
