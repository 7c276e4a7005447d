"""What causal patterns cost by count, at several lengths. A model, not measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparse_transformers.efficiency.costs import attention_cost
from sparse_transformers.models.attention_patterns import AttentionPattern

SCORE_BYTES, KEY_NUMBER_BYTES = 4, 4  # float32 and int32


@dataclass(frozen=True)
class CountedCost:
    """What a causal pattern costs at one length, forward and backward. A model, not measured.

    Attributes:
        name: "local" with its window, or "block" with its sparsity.
        setting: the window or the sparsity.
        flops: of the matrix products that run, partial tiles in full, over all heads.
        dense_flops: the same for dense causal attention.
        tensor_bytes: inputs, output, gradients and the index of the tiles. This library keeps no
            scores, so it needs no more.
        allowed_score_bytes: the scores of allowed pairs as a sparse matrix, each with the number of
            its key, which is what a kernel would add that kept them.
        all_score_bytes: the scores of all pairs.
    """

    name: str
    setting: float
    seq_len: int
    flops: int
    dense_flops: int
    tensor_bytes: int
    allowed_score_bytes: int
    all_score_bytes: int

    @property
    def flop_reduction(self) -> float:
        """Dense operations per operation that runs."""
        return self.dense_flops / self.flops

    @property
    def memory_reduction_without_scores(self) -> float:
        """Bytes of attention that keeps all scores, per byte of one that keeps none."""
        return (self.tensor_bytes + self.all_score_bytes) / self.tensor_bytes

    @property
    def memory_reduction_with_scores(self) -> float:
        """Bytes of attention that keeps all scores, per byte of one that keeps the allowed ones."""
        return (self.tensor_bytes + self.all_score_bytes) / (
            self.tensor_bytes + self.allowed_score_bytes
        )


def count_costs(
    name: str,
    patterns: Mapping[float, AttentionPattern],
    lengths: Sequence[int],
    n_heads: int,
    head_dim: int,
) -> list[CountedCost]:
    """Count the causal form of each pattern at each length.

    Args:
        name: of the patterns.
        patterns: by what distinguishes them: the window or the sparsity.
        lengths: numbers of positions.
        n_heads: heads of queries and of keys.
        head_dim: of queries, keys and values.
    """
    costs = []
    for setting, pattern in patterns.items():
        for seq_len in lengths:
            cost = attention_cost(pattern, seq_len, n_heads, head_dim, causal=True)
            costs.append(
                CountedCost(
                    name=name,
                    setting=setting,
                    seq_len=seq_len,
                    flops=cost.forward_flops + cost.backward_flops,
                    dense_flops=cost.dense_forward_flops + cost.dense_backward_flops,
                    tensor_bytes=cost.backward_bytes,
                    allowed_score_bytes=cost.allowed_pairs * (SCORE_BYTES + KEY_NUMBER_BYTES),
                    all_score_bytes=cost.dense_score_bytes,
                )
            )
    return costs
