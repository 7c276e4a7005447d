"""What causal patterns cost at several lengths: counted from their rules, not measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import pandas as pd

from sparse_transformers.efficiency.costs import attention_cost
from sparse_transformers.models.attention_patterns import AttentionPattern
from sparse_transformers.utils.records import to_frame

SCORE_BYTES, KEY_NUMBER_BYTES = 4, 4  # float32 and int32


@dataclass(frozen=True)
class CountedCost:
    """What a causal pattern costs at one length, forward and backward.

    Attributes:
        attention: "local" with its window, or "block" with its sparsity.
        setting: the window or the sparsity.
        flops: of the matrix products that run, partial tiles in full, over all heads.
        dense_flops: the same for dense causal attention.
        tensor_bytes: inputs, output, gradients and the index of the tiles. This library keeps no
            scores, so it needs no more.
        allowed_score_bytes: the scores of allowed pairs as a sparse matrix, each with the number of
            its key, which is what a kernel would add that kept them.
        all_score_bytes: the scores of all pairs.
    """

    attention: str
    setting: float
    seq_len: int
    flops: int
    dense_flops: int
    tensor_bytes: int
    allowed_score_bytes: int
    all_score_bytes: int


def count_costs(
    attention: str,
    patterns: Mapping[float, AttentionPattern],
    lengths: Sequence[int],
    n_heads: int,
    head_dim: int,
) -> Iterator[CountedCost]:
    """Count the causal form of patterns, each given by its setting, at each length."""
    for (setting, pattern), seq_len in product(patterns.items(), lengths):
        cost = attention_cost(pattern, seq_len, n_heads, head_dim, causal=True)
        yield CountedCost(
            attention=attention,
            setting=setting,
            seq_len=seq_len,
            flops=cost.forward_flops + cost.backward_flops,
            dense_flops=cost.dense_forward_flops + cost.dense_backward_flops,
            tensor_bytes=cost.backward_bytes,
            allowed_score_bytes=cost.allowed_pairs * (SCORE_BYTES + KEY_NUMBER_BYTES),
            all_score_bytes=cost.dense_score_bytes,
        )


def cost_frame(costs: Sequence[CountedCost]) -> pd.DataFrame:
    """The costs by pattern and length, and how many times less they are than those of dense.

    `fewer_flops` compares what runs. The other columns compare attention that keeps all scores with
    one that keeps the allowed ones (`saving_allowed_scores`) or none (`saving_no_scores`).
    """
    rows = to_frame(costs)
    stored_bytes = rows.tensor_bytes + rows.all_score_bytes
    return rows.assign(
        pattern=list(map(pattern_label, rows.attention, rows.setting)),
        fewer_flops=rows.dense_flops / rows.flops,
        saving_allowed_scores=stored_bytes / (rows.tensor_bytes + rows.allowed_score_bytes),
        saving_no_scores=stored_bytes / rows.tensor_bytes,
    ).set_index(["pattern", "seq_len"])


def pattern_label(attention: str, setting: float) -> str:
    """What a pattern with its window or its sparsity is called."""
    return f"window of {setting:,.0f}" if attention == "local" else f"block sparse at {setting:.0%}"
