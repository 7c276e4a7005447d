"""Rows of tokens of several lengths as one tensor, padded on the right."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

PADDING = 0
"""The token id that fills up short rows."""


def pad_tokens(
    rows: Sequence[Sequence[int]], max_tokens: int
) -> tuple[Int[Tensor, "rows seq"], Bool[Tensor, "rows seq"]]:
    """Rows of tokens as one tensor, cut to `max_tokens`, padded on the right to the longest.

    Returns:
        The token ids, and the attention mask: True on real tokens, False on padding. Both are on
        the CPU.
    """
    longest = min(max_tokens, max(map(len, rows), default=1))
    ids = torch.full((len(rows), longest), PADDING, device="cpu")
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for nth, row in enumerate(rows):
        tokens = torch.tensor(row[:longest], device="cpu")
        ids[nth, : len(tokens)] = tokens
        mask[nth, : len(tokens)] = True
    return ids, mask
