"""What attention costs by count: pairs, floating-point operations and bytes, from the rule alone.

The counts follow the tiled kernel: all heads, every pair inside a visited tile whether allowed or
not, and the tile index. They are a model, which complements measurements and does not replace them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

from sparse_transformers.models.block_layout import CPU_BLOCK_SIZE, BlockLayout
from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.pattern_base import AttentionPattern, Causal, PerHead, PerSequence
from sparse_transformers.models.rule_values import content_of
from sparse_transformers.utils.html_tables import html_table

FORWARD_MATRIX_PRODUCTS = 2
"""Scores, and weighted values."""
BACKWARD_MATRIX_PRODUCTS = 5
"""Scores again; gradients of weights, values, queries and keys."""
FORWARD_SOFTMAX_OPERATIONS = 5
"""On each computed pair: scale, maximum, subtract it, exponential, sum."""
BACKWARD_SOFTMAX_OPERATIONS = 6
"""On each computed pair: scale, subtract log-sum-exp, exponential; subtract, multiply, scale."""
LSE_BYTES = 4
"""Log-sum-exps are kept in at least single precision."""


@dataclass(frozen=True)
class AttentionCost:
    """Counts for one sequence (batch 1), over all heads.

    FLOPs are those of the matrix products, a multiplication and an addition counting as two. Those
    of the softmax are counted apart, because they run at another speed.

    >>> import sparse_transformers as st
    >>> cost = st.attention_cost(st.LocalWindow(256), 8192, n_heads=8, head_dim=64, causal=True)
    >>> round(cost.theoretical_speedup, 1), round(cost.fill, 2)
    (16.3, 0.89)

    Attributes:
        allowed_pairs: pairs of a query and a key that the rule allows.
        computed_pairs: pairs in the visited tiles.
        dense_pairs: pairs of dense attention; of dense causal attention if the pattern is causal.
        all_pairs: every query with every key.
        forward_flops: of the forward pass.
        backward_flops: of the backward pass, which computes the scores a second time.
        forward_softmax_flops: of the softmax in the forward pass.
        backward_softmax_flops: of the softmax in the backward pass.
        dense_forward_flops: of the forward pass of dense attention.
        dense_backward_flops: of the backward pass of dense attention.
        index_bytes: of the index of the tiles to visit.
        mask_bytes: of the distinct masks of partial tiles.
        saved_bytes: what the backward pass needs: query, key, value, output, log-sum-exp.
        forward_bytes: what the forward pass reads and writes at least once: `saved_bytes`, index
            and masks.
        backward_bytes: what the backward pass reads and writes at least once: `forward_bytes`, and
            four gradients.
        dense_score_bytes: all scores of an attention that keeps them, for comparison: they grow
            with the square of the length.
    """

    allowed_pairs: int
    computed_pairs: int
    dense_pairs: int
    all_pairs: int
    forward_flops: int
    backward_flops: int
    forward_softmax_flops: int
    backward_softmax_flops: int
    dense_forward_flops: int
    dense_backward_flops: int
    index_bytes: int
    mask_bytes: int
    saved_bytes: int
    forward_bytes: int
    backward_bytes: int
    dense_score_bytes: int

    def _repr_html_(self) -> str:
        """What a notebook shows: each count with its name."""
        shares = ("fill", "density", "theoretical_speedup", "tile_speedup")
        names = [*(field.name for field in fields(self)), *shares]
        rows = ({"": name.replace("_", " "), "count": getattr(self, name)} for name in names)
        return html_table(rows, caption="attention cost of one sequence")

    @property
    def fill(self) -> float:
        """Allowed pairs per computed pair; 1 means that no work is wasted."""
        return self.allowed_pairs / self.computed_pairs if self.computed_pairs else 1.0

    @property
    def density(self) -> float:
        """Allowed pairs per pair of a query and a key."""
        return self.allowed_pairs / self.all_pairs

    @property
    def theoretical_speedup(self) -> float:
        """Dense pairs per allowed pair: the rule's limit, which no kernel can pass."""
        return self.dense_pairs / self.allowed_pairs if self.allowed_pairs else math.inf

    @property
    def tile_speedup(self) -> float:
        """Dense pairs per computed pair: the limit that the tiles leave of it."""
        return self.dense_pairs / self.computed_pairs if self.computed_pairs else math.inf


def attention_cost(
    pattern: AttentionPattern,
    seq_len: int,
    n_heads: int,
    head_dim: int,
    *,
    causal: bool = False,
    block_size: int = CPU_BLOCK_SIZE,
    dtype_bytes: int = 4,
    n_kv_heads: int | None = None,
) -> AttentionCost:
    """Count pairs, FLOPs and bytes of `sparse_attention` with the tiled backend.

    A pattern that allows no later key is compared with dense causal attention, whether `causal`
    says so or the pattern itself.

    >>> import sparse_transformers as st
    >>> cost = st.attention_cost(st.LocalWindow(4), 100, n_heads=1, head_dim=8, causal=True)
    >>> cost.allowed_pairs, cost.dense_pairs
    (394, 5050)

    Args:
        pattern: the rule; `PerHead` needs one pattern for every head.
        seq_len: number of queries and of keys.
        n_heads: number of query heads.
        head_dim: of queries, keys and values.
        causal: forbid later keys as well, the same as `pattern & Causal()`.
        block_size: edge of a tile; the default is the kernel's on a CPU, 32. On a GPU it is 64.
        dtype_bytes: bytes of one number.
        n_kv_heads: key heads; fewer than `n_heads` for grouped queries, which saves bytes only.

    Raises:
        ValueError: a size below 1, or a number of heads that does not fit.
    """
    n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
    check_whole(1, seq_len=seq_len, n_heads=n_heads, head_dim=head_dim)
    check_whole(1, dtype_bytes=dtype_bytes, n_kv_heads=n_kv_heads)
    if n_heads % n_kv_heads:
        raise ValueError(f"n_kv_heads must divide n_heads ({n_heads}), got {n_kv_heads}")

    heads = _pattern_of_each_head(pattern & Causal() if causal else pattern, n_heads)
    visits = [visit for head in heads for visit in _visits(head, seq_len, block_size)]
    allowed_pairs = sum(layout.allowed_pairs * count for layout, count in visits)
    computed_pairs = sum(layout.computed_pairs * count for layout, count in visits)
    is_causal = causal or all(
        _is_causal(head, seq_len) for head in {content_of(head): head for head in heads}.values()
    )
    pairs_per_head = seq_len * (seq_len + 1) // 2 if is_causal else seq_len**2
    dense_pairs = n_heads * pairs_per_head

    layouts = {layout for layout, _ in visits}  # heads and phases share theirs
    index_bytes = sum(
        x.nbytes for layout in layouts for x in (layout.row_starts, layout.columns, layout.mask_ids)
    )
    mask_bytes = sum(layout.masks.nbytes for layout in layouts if layout.masks is not None)
    query_bytes = seq_len * n_heads * head_dim * dtype_bytes  # the same for output and gradients
    key_bytes = seq_len * n_kv_heads * head_dim * dtype_bytes
    lse_bytes = seq_len * n_heads * max(LSE_BYTES, dtype_bytes)
    saved_bytes = 2 * query_bytes + 2 * key_bytes + lse_bytes
    forward_bytes = saved_bytes + index_bytes + mask_bytes

    product = 2 * head_dim  # a matrix product multiplies and adds head_dim times for each pair
    return AttentionCost(
        allowed_pairs=allowed_pairs,
        computed_pairs=computed_pairs,
        dense_pairs=dense_pairs,
        all_pairs=n_heads * seq_len**2,
        forward_flops=FORWARD_MATRIX_PRODUCTS * product * computed_pairs,
        backward_flops=BACKWARD_MATRIX_PRODUCTS * product * computed_pairs,
        forward_softmax_flops=FORWARD_SOFTMAX_OPERATIONS * computed_pairs,
        backward_softmax_flops=BACKWARD_SOFTMAX_OPERATIONS * computed_pairs,
        dense_forward_flops=FORWARD_MATRIX_PRODUCTS * product * dense_pairs,
        dense_backward_flops=BACKWARD_MATRIX_PRODUCTS * product * dense_pairs,
        index_bytes=index_bytes,
        mask_bytes=mask_bytes,
        saved_bytes=saved_bytes,
        forward_bytes=forward_bytes,
        backward_bytes=forward_bytes + 2 * query_bytes + 2 * key_bytes,
        dense_score_bytes=n_heads * seq_len**2 * dtype_bytes,
    )


def _pattern_of_each_head(pattern: AttentionPattern, n_heads: int) -> list[AttentionPattern]:
    if isinstance(pattern, PerSequence):
        raise ValueError("a cost is that of one sequence: use one of the patterns of PerSequence")
    if not isinstance(pattern, PerHead):
        return [pattern] * n_heads
    if len(pattern.patterns) != n_heads:
        raise ValueError(
            f"n_heads must be the number of patterns in PerHead ({len(pattern.patterns)}), "
            f"got {n_heads}"
        )
    return list(pattern.patterns)


def _visits(
    pattern: AttentionPattern, seq_len: int, block_size: int
) -> Iterator[tuple[BlockLayout, int]]:
    """The layouts that one head visits, and how often each.

    An interleaved part visits a layout for each of its phases, and these have one of two lengths.
    """
    for part in pattern.parts():
        for (length, _), count in part.subsequences(seq_len, seq_len).items():
            yield part.pattern.layout(length, block_size=block_size), count


def _is_causal(pattern: AttentionPattern, seq_len: int) -> bool:
    earlier = pattern & Causal()
    return earlier.allowed_pairs(seq_len) == pattern.allowed_pairs(seq_len)
