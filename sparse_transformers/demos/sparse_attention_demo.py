"""Attention mechanisms side by side, on one layer with random weights and inputs."""

from typing import Any, TypedDict

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from sparse_transformers.demos.pattern_names import full_name, pattern_for_length
from sparse_transformers.models.checks import check_truth, check_whole
from sparse_transformers.models.initialization import seeded_on_cpu
from sparse_transformers.models.pattern_base import AttentionPattern, Causal, PerHead, PerSequence
from sparse_transformers.models.self_attention import SelfAttention


class Connectivity(TypedDict):
    """The distances of the allowed pairs of a mechanism.

    Attributes:
        local_ratio: share of the pairs at a distance of at most an eighth of the sequence.
        long_range_ratio: share of the pairs at a distance of more than half of the sequence.
        total_connections: number of allowed pairs.
    """

    local_ratio: float
    long_range_ratio: float
    total_connections: int


class MechanismReport(TypedDict):
    """The report of `SparseAttentionDemo` on one mechanism.

    Attributes:
        sparsity: share of all pairs that the mechanism skips, counted on its mask.
        connectivity: the distances of the allowed pairs.
        pattern_regularity: 1 minus the standard deviation over the queries of the share of allowed
            keys.
        attention_weights: weights of head 0, (seq_len, seq_len): a row for each query.
    """

    sparsity: float
    connectivity: Connectivity
    pattern_regularity: float
    attention_weights: NDArray[np.float32]


MECHANISMS = ("dense", "random", "local", "strided", "block", "dilated")
"""What a comparison shows, by the names of `PATTERNS`."""
SEEDED = ("random", "block")


class SparseAttentionDemo:
    """Sparse attention mechanisms side by side, on one layer with random weights and inputs.

    The mechanisms differ in their masks. The attention weights are those of an untrained layer, so
    they are nearly uniform over the allowed keys.

    >>> import sparse_transformers as st
    >>> demo = st.SparseAttentionDemo(d_model=32, n_heads=4)
    >>> report = demo.compute_attention("local", seq_len=16, window_size=3)
    >>> report["connectivity"]["total_connections"], report["attention_weights"].shape
    (74, (16, 16))
    >>> list(demo.compare_attention_mechanisms(seq_len=16))
    ['dense', 'random', 'local', 'strided', 'block', 'dilated']

    Args:
        d_model: width of the inputs.
        n_heads: number of heads.
        causal: whether later keys are masked; by default no mechanism is causal.
        seed: of the layer's weights, the inputs, and the random mechanisms.
    """

    def __init__(
        self, d_model: int = 512, n_heads: int = 8, *, causal: bool = False, seed: int = 0
    ) -> None:
        check_truth(causal=causal)
        self.d_model = d_model
        self.n_heads = n_heads
        self.causal = causal
        self.seed = seed

    def compare_attention_mechanisms(self, seq_len: int = 64) -> dict[str, MechanismReport]:
        """The report on every mechanism, with options that suit `seq_len`."""
        return {name: self.compute_attention(name, seq_len) for name in MECHANISMS}

    def compute_attention(
        self, attention_type: str | AttentionPattern, seq_len: int, **options: Any
    ) -> MechanismReport:
        """The report on one mechanism.

        Args:
            attention_type: a pattern, the same for all heads, or a name from `PATTERNS`; also
                sparse_random, local_window and block_sparse, for random, local and block.
            seq_len: number of tokens.
            **options: options of the mechanism's pattern; by default they depend on `seq_len`.

        Raises:
            ValueError: an unknown mechanism or option, or a value out of range.
        """
        check_whole(1, seq_len=seq_len)
        pattern = self._pattern(attention_type, seq_len, options)
        mask = (pattern & Causal() if self.causal else pattern).mask(seq_len)
        return MechanismReport(
            sparsity=1.0 - mask.float().mean().item(),
            connectivity=_connectivity(mask),
            pattern_regularity=max(0.0, 1.0 - mask.float().mean(1).std(correction=0).item()),
            attention_weights=self._weights(pattern, seq_len).numpy(),
        )

    def _pattern(
        self, attention_type: str | AttentionPattern, seq_len: int, options: dict[str, Any]
    ) -> AttentionPattern:
        if isinstance(attention_type, str) and full_name(attention_type) in SEEDED:
            options = {"seed": self.seed} | options
        pattern = pattern_for_length(attention_type, seq_len, **options)
        if isinstance(pattern, PerHead | PerSequence):
            raise ValueError(f"attention_type must be one rule for all heads, got {pattern!r}")
        return pattern

    def _weights(self, pattern: AttentionPattern, seq_len: int) -> Float[Tensor, "queries keys"]:
        with seeded_on_cpu(self.seed), torch.no_grad():
            layer = SelfAttention(self.d_model, self.n_heads, pattern, causal=self.causal)
            hidden = torch.randn(1, seq_len, self.d_model)
            return layer.attention_weights(hidden)[0, 0]


def _connectivity(mask: Bool[Tensor, "seq seq"]) -> Connectivity:
    seq_len = len(mask)
    query, key = mask.nonzero(as_tuple=True)
    distance = (query - key).abs()
    return Connectivity(
        local_ratio=(distance <= seq_len // 8).float().mean().item(),
        long_range_ratio=(distance > seq_len // 2).float().mean().item(),
        total_connections=len(distance),
    )
