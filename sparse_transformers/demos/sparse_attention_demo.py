"""Attention mechanisms side by side, on one layer with random weights and inputs."""

from typing import Any, TypedDict

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from sparse_transformers.demos.attention_pattern_generator import options_for_length
from sparse_transformers.models.attention_patterns import make_pattern
from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.initialization import seeded_on_cpu
from sparse_transformers.models.pattern_base import AttentionPattern, Causal
from sparse_transformers.models.self_attention import SelfAttention


class Connectivity(TypedDict):
    """Where the allowed pairs of a mechanism lie."""

    local_ratio: float
    """Share of the pairs at a distance of at most an eighth of the sequence."""
    long_range_ratio: float
    """Share of the pairs at a distance of more than half of the sequence."""
    total_connections: int
    """Number of allowed pairs."""


class MechanismReport(TypedDict):
    """What `SparseAttentionDemo` finds out about one mechanism."""

    sparsity: float
    """Share of all pairs that the mechanism skips: counted on its mask."""
    connectivity: Connectivity
    pattern_regularity: float
    """1 minus the standard deviation of the shares of keys that the queries see."""
    attention_weights: NDArray[np.float32]
    """(seq_len, seq_len): row i is how query i of head 0 spreads its attention."""


PATTERN_OF_MECHANISM = {
    "dense": "dense",
    "sparse_random": "random",
    "local_window": "local",
    "strided": "strided",
    "block_sparse": "block",
    "dilated": "dilated",
}


class SparseAttentionDemo:
    """Sparse attention mechanisms side by side, on one layer with random weights and inputs.

    The masks are what differs; the weights are those of an untrained layer, hence nearly uniform.

    Args:
        d_model: Width of the inputs.
        n_heads: Number of heads.
        causal: Whether later keys are hidden. By default every mechanism looks to both sides.
        seed: Of the layer's weights, the inputs, and the random mechanisms.
    """

    def __init__(
        self, d_model: int = 512, n_heads: int = 8, *, causal: bool = False, seed: int = 0
    ) -> None:
        self.d_model = d_model
        self.n_heads = n_heads
        self.causal = causal
        self.seed = seed

    def compare_attention_mechanisms(self, seq_len: int = 64) -> dict[str, MechanismReport]:
        """The report on every mechanism, with options that suit `seq_len`."""
        return {name: self.compute_attention(name, seq_len) for name in PATTERN_OF_MECHANISM}

    def compute_attention(
        self, attention_type: str, seq_len: int, **options: Any
    ) -> MechanismReport:
        """The report on one mechanism.

        Args:
            attention_type: dense, sparse_random, local_window, strided, block_sparse or dilated.
            seq_len: Number of tokens.
            **options: Of the mechanism's pattern; the others follow from `seq_len`.

        Raises:
            ValueError: An unknown mechanism or option, or a value out of range.
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
        self, attention_type: str, seq_len: int, options: dict[str, Any]
    ) -> AttentionPattern:
        if attention_type not in PATTERN_OF_MECHANISM:
            raise ValueError(
                f"unknown attention_type {attention_type!r}; "
                f"known are {', '.join(PATTERN_OF_MECHANISM)}"
            )
        name = PATTERN_OF_MECHANISM[attention_type]
        defaults = options_for_length(name, seq_len)
        if name in ("random", "block"):
            defaults["seed"] = self.seed
        return make_pattern(name, **(defaults | options))

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
