"""`sparse_attention`: checks its arguments and hands them to a backend."""

import math
from typing import Literal, cast, get_args, overload

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from sparse_transformers.models.attention_patterns import Dense
from sparse_transformers.models.attention_reference import reference_attention
from sparse_transformers.models.checks import check_truth
from sparse_transformers.models.pattern_base import (
    AttentionPattern,
    Causal,
    PerHead,
    PerSequence,
)
from sparse_transformers.models.sequence_patterns import real_keys
from sparse_transformers.models.tiled.function import tiled_attention
from sparse_transformers.models.tracing import is_exporting, run_untraced

Backend = Literal["auto", "reference", "tiled", "flex"]
BACKENDS: tuple[str, ...] = get_args(Backend)

_WHOLE_NUMBERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@overload
def sparse_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pattern: AttentionPattern,
    *,
    causal: bool = ...,
    scale: float | None = ...,
    backend: Backend = ...,
    key_lengths: Tensor | None = ...,
    key_mask: Tensor | None = ...,
    return_lse: Literal[False] = ...,
) -> Tensor: ...


@overload
def sparse_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pattern: AttentionPattern,
    *,
    causal: bool = ...,
    scale: float | None = ...,
    backend: Backend = ...,
    key_lengths: Tensor | None = ...,
    key_mask: Tensor | None = ...,
    return_lse: Literal[True],
) -> tuple[Tensor, Tensor]: ...


@run_untraced
def sparse_attention(
    query: Float[Tensor, "batch heads queries dim"],
    key: Float[Tensor, "batch kv_heads keys dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    pattern: AttentionPattern,
    *,
    causal: bool = False,
    scale: float | None = None,
    backend: Backend = "auto",
    key_lengths: Int[Tensor, "batch"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
    return_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Softmax attention over the pairs that `pattern` allows, at the cost of its tiles.

    A query that may attend to no key returns zeros, and what a query may not attend to does not
    touch it, be it NaN. It is fastest with tensors stored as (batch, positions, heads, dim), that
    is, with the transposed view of what a projection returns. Second derivatives compute all
    scores.

    >>> import sparse_transformers as st
    >>> import torch
    >>> query, key, value = torch.randn(3, 1, 2, 8, 4)
    >>> st.sparse_attention(query, key, value, st.LocalWindow(3), causal=True).shape
    torch.Size([1, 2, 8, 4])

    Args:
        query: (batch, heads, queries, dim). Fewer queries than keys means that the queries are the
            last positions.
        key: (batch, kv_heads, keys, dim). Fewer key heads than query heads means grouped queries:
            each key head belongs to `heads / kv_heads` neighbouring query heads.
        value: (batch, kv_heads, keys, value_dim). `value_dim` may differ from `dim`.
        pattern: The rule; `PerHead` needs one pattern for every query head, `PerSequence` one for
            every element of the batch.
        causal: Forbid later keys as well: the same as `pattern & Causal()`.
        scale: Factor on the scores, 1 / sqrt(dim) by default.
        backend: "reference" makes all scores; "tiled" visits the tiles, on any device; "flex" runs
            compiled FlexAttention. "auto" takes PyTorch's dense kernel where the pattern allows
            everything, "flex" on CUDA where it applies, and else "tiled". A backend given by name
            never falls back to another, but in `torch.export`, which records the reference.
        key_lengths: For padded batches, the number of real keys of each element (batch,); no
            query attends to the keys behind them.
        key_mask: For padding anywhere, True for the real keys (batch, keys); no query attends to
            the others. Positions count the padding too.
        return_lse: Whether to return the log-sum-exp of the scores too, in nats; it is -inf for a
            query without a key.

    Returns:
        The output (batch, heads, queries, value_dim), with `return_lse` also the log-sum-exp
        (batch, heads, queries) in at least single precision.

    Raises:
        ValueError: Shapes, devices, types, lengths or names that do not fit.
    """
    _check(query, key, value, pattern, scale, backend)
    check_truth(causal=causal, return_lse=return_lse)
    _check_padding(query.shape[0], key.shape[2], key_lengths, key_mask)
    padding = real_keys(key.shape[2], key_lengths, key_mask)
    if padding is not None:
        pattern = pattern & padding
    if causal:
        pattern = pattern & Causal()
    if is_exporting():
        backend = "reference"
    if backend == "auto":
        form = _dense_form(pattern, query, key)
        if form is not None and not return_lse:
            return scaled_dot_product_attention(
                query,
                key,
                value,
                is_causal=form == "earlier",
                scale=scale,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        backend = _choose_backend(query, key, value, pattern)
    lse: Tensor | None
    if backend == "reference":
        output, lse, _ = reference_attention(query, key, value, pattern, scale=scale)
    elif backend == "tiled":
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        output, lse = tiled_attention(query, key, value, pattern, scale)
    else:
        from sparse_transformers.models.attention_flex import flex_backend

        output, lse = flex_backend(query, key, value, pattern, scale, return_lse=return_lse)
    return (output, cast(Tensor, lse)) if return_lse else output


def _dense_form(
    pattern: AttentionPattern, query: Tensor, key: Tensor
) -> Literal["all", "earlier"] | None:
    """How PyTorch's dense kernel computes the pattern; None if it cannot."""
    q_len, k_len = query.shape[2], key.shape[2]
    if pattern in (Dense(), Dense() & Dense()):
        return "all"
    if pattern in (Causal(), Causal() & Causal(), Dense() & Causal()):
        # The last query sees every key. Several at the end of more keys are not PyTorch's "causal".
        return "all" if q_len == 1 else "earlier" if q_len == k_len else None
    return None


def _choose_backend(
    query: Tensor, key: Tensor, value: Tensor, pattern: AttentionPattern
) -> Backend:
    if query.device.type != "cuda":
        return "tiled"
    from sparse_transformers.models.attention_flex import flex_applies

    return "flex" if flex_applies(query, key, value, pattern) else "tiled"


def _check(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pattern: AttentionPattern,
    scale: float | None,
    backend: str,
) -> None:
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if not isinstance(pattern, AttentionPattern):
        raise ValueError(f"pattern must be an AttentionPattern (see make_pattern), got {pattern!r}")
    named = {"query": query, "key": key, "value": value}
    for name, x in named.items():
        if x.ndim != 4:
            raise ValueError(
                f"{name} must have the shape (batch, heads, positions, dim), got {tuple(x.shape)}"
            )
        if x.device != query.device or x.dtype != query.dtype:
            raise ValueError(
                f"{name} must be on {query.device} as {query.dtype} like query, "
                f"got {x.device} and {x.dtype}"
            )
    if not query.is_floating_point():
        raise ValueError(f"query must be of a floating-point type, got {query.dtype}")
    if min(query.shape) == 0 or min(value.shape) == 0:
        raise ValueError(
            "query and value must not be empty, "
            f"got the shapes {tuple(query.shape)} and {tuple(value.shape)}"
        )
    batch, heads, q_len, dim = query.shape
    if key.shape[0] != batch or key.shape[3] != dim:
        raise ValueError(
            f"key must have the batch ({batch}) and dim ({dim}) of query, got {tuple(key.shape)}"
        )
    if key.shape[:3] != value.shape[:3]:
        raise ValueError(
            "value must have the batch, heads and positions of key, "
            f"got {tuple(value.shape)} for {tuple(key.shape)}"
        )
    if heads % key.shape[1]:
        raise ValueError(
            f"the {heads} heads of query must be a multiple of the heads of key, got {key.shape[1]}"
        )
    if q_len > key.shape[2]:
        raise ValueError(
            f"query must not have more positions than key ({key.shape[2]}), got {q_len}"
        )
    single = pattern
    if isinstance(pattern, PerSequence):
        single = pattern.patterns[0]
        if len(pattern.patterns) != batch:
            raise ValueError(
                f"pattern must have one entry for each of the {batch} sequences, "
                f"got {len(pattern.patterns)}"
            )
    if isinstance(single, PerHead) and len(single.patterns) != heads:
        raise ValueError(
            f"pattern must have one entry for each of the {heads} heads, got {len(single.patterns)}"
        )
    if scale is not None and not math.isfinite(scale):
        raise ValueError(f"scale must be finite, got {scale}")


def _check_padding(
    batch: int, k_len: int, key_lengths: Tensor | None, key_mask: Tensor | None
) -> None:
    if key_mask is not None:
        is_mask = isinstance(key_mask, Tensor) and key_mask.dtype == torch.bool
        if not is_mask or key_mask.shape != (batch, k_len):
            raise ValueError(
                "key_mask must be a tensor of truth values for the batch and the keys, "
                f"{(batch, k_len)}, got {key_mask!r}"
            )
    if key_lengths is not None:
        whole_numbers = isinstance(key_lengths, Tensor) and key_lengths.dtype in _WHOLE_NUMBERS
        if not whole_numbers or key_lengths.shape != (batch,):
            raise ValueError(
                f"key_lengths must be a tensor of {batch} whole numbers, one for each batch "
                f"element, got {key_lengths!r}"
            )
        if int(key_lengths.min()) < 0 or int(key_lengths.max()) > k_len:
            raise ValueError(
                f"key_lengths must be between 0 and the {k_len} keys, got {key_lengths.tolist()}"
            )
