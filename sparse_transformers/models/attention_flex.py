"""FlexAttention on the tiles of our layouts: PyTorch's compiled block-sparse kernel for GPUs.

Source: Dong et al. 2024, arXiv:2412.05496.
"""

from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from sparse_transformers.models.byte_cache import ByteCache
from sparse_transformers.models.pattern_base import AttentionPattern, PerHead, PerSequence
from sparse_transformers.models.rule_values import content_of

BLOCK_SIZE = 128  # FlexAttention's own default; its kernels are tuned for it


def flex_applies(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pattern: AttentionPattern,
) -> bool:
    """Whether FlexAttention's CUDA kernel supports such a problem."""
    return (
        query.is_cuda
        and not isinstance(pattern, PerHead | PerSequence)
        and query.dtype in (torch.float32, torch.bfloat16, torch.float16)
        and all(dim >= 16 and dim & (dim - 1) == 0 for dim in (query.shape[-1], value.shape[-1]))
    )


def flex_backend(
    query: Float[Tensor, "batch heads queries dim"],
    key: Float[Tensor, "batch kv_heads keys dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    pattern: AttentionPattern,
    scale: float | None,
    *,
    return_lse: bool,
) -> tuple[
    Float[Tensor, "batch heads queries value_dim"],
    Float[Tensor, "batch heads queries"] | None,
]:
    """Output, and log-sum-exp if it is asked for, from compiled FlexAttention.

    Raises:
        ValueError: Patterns of their own for single heads or sequences, padded batches among them,
            which "tiled" offers, or gradients on a device where FlexAttention has none.
    """
    if isinstance(pattern, PerHead | PerSequence):
        raise ValueError(
            "backend 'flex' takes one pattern for all heads and sequences, without padding; "
            f"use 'tiled' for {type(pattern).__name__}"
        )
    needs_grad = torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value))
    if needs_grad and not query.is_cuda:
        raise ValueError(f"backend 'flex' has no gradients on {query.device.type}; use 'tiled'")
    block_mask = _block_mask(pattern, query.shape[2], key.shape[2], query.device)
    result = _compiled()(
        query,
        key,
        value,
        block_mask=block_mask,
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
        return_lse=return_lse,
    )
    return result if return_lse else (result, None)


@lru_cache
def _compiled() -> Any:
    return torch.compile(flex_attention)


_BLOCK_MASKS: ByteCache[BlockMask] = ByteCache(
    256 << 20,
    lambda mask: sum(x.nbytes for x in mask.as_tuple() if isinstance(x, Tensor)),
)


def _block_mask(
    pattern: AttentionPattern, q_len: int, k_len: int, device: torch.device
) -> BlockMask:
    return _BLOCK_MASKS.get(
        (content_of(pattern), q_len, k_len, device),
        lambda: pattern.layout(q_len, k_len, BLOCK_SIZE).to_block_mask(device),
    )
