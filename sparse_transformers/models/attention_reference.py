"""Dense masked attention: slow and plain. It defines what the other backends must compute.

It computes all scores, so it is the only backend that can return the attention weights, and it is
never timed as sparse.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sparse_transformers.models.checks import check_truth
from sparse_transformers.models.pattern_base import (
    AttentionPattern,
    Causal,
    PerHead,
    PerSequence,
)
from sparse_transformers.models.sequence_patterns import real_keys
from sparse_transformers.models.tracing import is_exporting


def reference_attention(
    query: Float[Tensor, "batch heads queries dim"],
    key: Float[Tensor, "batch kv_heads keys dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    pattern: AttentionPattern,
    *,
    causal: bool = False,
    scale: float | None = None,
    key_lengths: Int[Tensor, "batch"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
    selected: Bool[Tensor, "batch heads queries keys"] | None = None,
) -> tuple[
    Float[Tensor, "batch heads queries value_dim"],
    Float[Tensor, "batch heads queries"],
    Float[Tensor, "batch heads queries keys"],
]:
    """Softmax attention over the pairs that `pattern` allows, through the full score matrix.

    >>> import sparse_transformers as st
    >>> import torch
    >>> query, key, value = torch.randn(3, 1, 2, 8, 4)
    >>> output, lse, weights = st.reference_attention(query, key, value, st.LocalWindow(3))
    >>> weights.shape
    torch.Size([1, 2, 8, 8])
    >>> torch.allclose(weights.sum(-1), torch.ones(1, 2, 8))
    True

    Args:
        query: (batch, heads, queries, dim). Fewer queries than keys means that the queries are the
            last positions.
        key: (batch, kv_heads, keys, dim). Fewer heads than `query` means grouped queries.
        value: (batch, kv_heads, keys, value_dim).
        pattern: The rule; `PerHead` needs one pattern for every query head.
        causal: Forbid later keys as well: the same as `pattern & Causal()`.
        scale: Factor on the scores, 1 / sqrt(dim) by default.
        key_lengths: For padded batches, the number of real keys of each element (batch,).
        key_mask: True for real keys (batch, keys), wherever the padding is.
        selected: Mask (batch, heads, queries, keys); False forbids a pair that the pattern allows
            (see `selection_mask`). None forbids nothing.

    Returns:
        The output, the log-sum-exp of each query's scores (-inf without any allowed key), and the
        weights (all zero for such a query).

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1.
    """
    check_truth(causal=causal)
    q_len, k_len, dim = query.shape[2], key.shape[2], query.shape[3]
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    rule = pattern & Causal() if causal else pattern
    allowed = visible_pairs(rule, q_len, k_len, key_lengths, key_mask).to(query.device)
    if selected is not None:
        allowed = allowed & selected

    dtype = value.dtype
    query, key, value = (
        x.to(torch.promote_types(dtype, torch.float32)) for x in (query, key, value)
    )
    finite = is_exporting() or all(bool(x.isfinite().all()) for x in (query, key, value))
    if finite:
        scores = query @ key.transpose(-1, -2)
    else:  # pair by pair: in a product, 0 times the infinity or NaN of a hidden key is NaN
        pairs = allowed[..., None]
        scores = query[..., :, None, :].where(pairs, 0.0) * key[..., None, :, :].where(pairs, 0.0)
        scores = scores.sum(-1)
    scores = scores * (dim**-0.5 if scale is None else scale)
    scores = scores.masked_fill(~allowed, -torch.inf)
    # A row without any allowed key would be 0/0 in a softmax: it is given finite scores, and its
    # weights are cleared afterwards.
    has_key = allowed.any(-1, keepdim=True)
    weights = torch.softmax(scores.masked_fill(~has_key, 0.0), dim=-1)
    weights = weights.masked_fill(~allowed, 0.0)
    lse = torch.logsumexp(scores.masked_fill(~has_key, 0.0), dim=-1)
    lse = lse.masked_fill(~has_key[..., 0], -torch.inf)
    if finite:
        output = weights @ value
    else:
        output = (weights[..., None] * value[..., None, :, :].where(pairs, 0.0)).sum(-2)
    return output.to(dtype), lse, weights.to(dtype)


def visible_pairs(
    pattern: AttentionPattern,
    q_len: int,
    k_len: int,
    key_lengths: Int[Tensor, "batch"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
) -> Bool[Tensor, "batch heads queries keys"]:
    """The mask as (batch or 1, heads or 1, queries, keys), without padding."""
    padding = real_keys(k_len, key_lengths, key_mask)
    pattern = pattern if padding is None else pattern & padding
    allowed = pattern.mask(q_len, k_len)
    single = pattern.patterns[0] if isinstance(pattern, PerSequence) else pattern
    if not isinstance(pattern, PerSequence):
        allowed = allowed[None]
    return allowed if isinstance(single, PerHead) else allowed[:, None]
