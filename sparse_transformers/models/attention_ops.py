"""`sparse_attention`: checks its arguments and hands them to a backend."""

import math
from typing import Literal, get_args, overload

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from sparse_transformers.models.attention_patterns import Dense
from sparse_transformers.models.attention_reference import reference_attention
from sparse_transformers.models.pattern_base import AttentionPattern, Causal, PerHead
from sparse_transformers.models.tiled.function import tiled_attention

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
    return_lse: Literal[True],
) -> tuple[Tensor, Tensor]: ...


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
    return_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Softmax attention over the pairs that `pattern` allows, at the cost of its tiles.

    A query that may attend to no key returns zeros. It is fastest with tensors stored as (batch,
    positions, heads, dim), that is, with the transposed view of what a projection returns.

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
        pattern: The rule; `PerHead` needs one pattern for every query head.
        causal: Forbid later keys as well: the same as `pattern & Causal()`.
        scale: Factor on the scores, 1 / sqrt(dim) by default.
        backend: "reference" makes all scores; "tiled" visits the tiles, on any device; "flex" runs
            compiled FlexAttention. "auto" takes PyTorch's dense kernel where the pattern allows
            everything, "flex" on CUDA where it applies, and else "tiled". A backend given by name
            never falls back to another.
        key_lengths: For padded batches, the number of real keys of each element (batch,); no
            query attends to the keys behind them.
        return_lse: Whether to return the log-sum-exp of the scores too, in nats; it is -inf for a
            query without a key.

    Returns:
        The output (batch, heads, queries, value_dim), with `return_lse` also the log-sum-exp
        (batch, heads, queries) in at least single precision.

    Raises:
        ValueError: Shapes, devices, types, lengths or names that do not fit.
    """
    _check(query, key, value, pattern, scale, backend, key_lengths)
    if causal:
        pattern = pattern & Causal()
    if backend == "auto":
        form = _dense_form(pattern, query, key)
        if form is not None and key_lengths is None and not return_lse:
            return scaled_dot_product_attention(
                query,
                key,
                value,
                is_causal=form == "earlier",
                scale=scale,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        backend = _choose_backend(query, key, value, pattern, key_lengths)
    if backend == "reference":
        output, lse, _ = reference_attention(
            query, key, value, pattern, scale=scale, key_lengths=key_lengths
        )
    elif backend == "tiled":
        lengths = None if key_lengths is None else tuple(key_lengths.tolist())
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        output, lse = tiled_attention(query, key, value, pattern, scale, lengths)
    else:
        from sparse_transformers.models.attention_flex import flex_backend

        output, lse = flex_backend(query, key, value, pattern, scale, key_lengths)
    return (output, lse) if return_lse else output


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
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pattern: AttentionPattern,
    key_lengths: Tensor | None,
) -> Backend:
    if query.device.type != "cuda":
        return "tiled"
    from sparse_transformers.models.attention_flex import flex_applies

    return "flex" if flex_applies(query, key, value, pattern, key_lengths) else "tiled"


def _check(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pattern: AttentionPattern,
    scale: float | None,
    backend: str,
    key_lengths: Tensor | None,
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
    if isinstance(pattern, PerHead) and len(pattern.patterns) != heads:
        raise ValueError(
            f"pattern must have one entry for each of the {heads} heads, "
            f"got {len(pattern.patterns)}"
        )
    if scale is not None and not math.isfinite(scale):
        raise ValueError(f"scale must be finite, got {scale}")
    if key_lengths is not None:
        whole_numbers = isinstance(key_lengths, Tensor) and key_lengths.dtype in _WHOLE_NUMBERS
        if not whole_numbers or key_lengths.shape != (batch,):
            raise ValueError(
                f"key_lengths must be a tensor of {batch} whole numbers, one for each batch "
                f"element, got {key_lengths!r}"
            )
        if int(key_lengths.min()) < 0 or int(key_lengths.max()) > key.shape[2]:
            raise ValueError(
                f"key_lengths must be between 0 and the {key.shape[2]} keys, "
                f"got {key_lengths.tolist()}"
            )
