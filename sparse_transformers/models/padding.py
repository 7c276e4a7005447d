"""Padded batches: sequences of several lengths in one tensor, filled up on the right."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def real_lengths(attention_mask: Bool[Tensor, "batch seq"]) -> Int[Tensor, "batch"]:
    """The number of real tokens of each sequence.

    Args:
        attention_mask: True (or 1) for real tokens, False (or 0) for padding, which stands on the
            right of the real tokens.

    Raises:
        ValueError: The mask is not of that form, or a sequence has no real token.
    """
    if attention_mask.ndim != 2:
        raise ValueError(
            f"attention_mask must be (batch, seq), got shape {tuple(attention_mask.shape)}"
        )
    real = attention_mask.bool()
    if attention_mask.is_floating_point() or not bool((attention_mask == real).all()):
        raise ValueError("attention_mask must hold True for real tokens and False for padding")
    lengths = real.sum(1)
    if bool((lengths == 0).any()):
        raise ValueError("attention_mask must leave at least one real token in every sequence")
    if not bool(real[:, 0].all()):
        raise ValueError("attention_mask must pad on the right, got padding on the left")
    positions = torch.arange(real.shape[1], device=real.device)
    if not torch.equal(real, positions < lengths[:, None]):
        raise ValueError("attention_mask must pad on the right, got padding between real tokens")
    return lengths
