"""Padded batches: sequences of several lengths in one tensor, filled up on any side.

A model moves the real tokens of each sequence to its beginning, computes, and moves the results
back. A padded sequence therefore gives what it would give alone, whatever depends on positions:
patterns, embeddings, and the token before.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Integer, Shaped
from torch import Tensor

from sparse_transformers.models.tracing import is_exporting, run_untraced


@dataclass(frozen=True, eq=False)
class Padding:
    """Where the real tokens of a batch stand.

    Attributes:
        lengths: Number of real tokens of each sequence; 0 for a sequence of padding alone.
        is_token: True for real tokens after they have been moved to the beginning.
        order: The place that each token comes from, real ones first; None if they stand there.
    """

    lengths: Int[Tensor, "batch"]
    is_token: Bool[Tensor, "batch seq"]
    order: Int[Tensor, "batch seq"] | None

    def to_front(self, x: Shaped[Tensor, "batch seq *rest"]) -> Shaped[Tensor, "batch seq *rest"]:
        """The tokens with the real ones at the beginning."""
        return x if self.order is None else _take(x, self.order)

    def last_places(self) -> Int[Tensor, "batch"]:
        """The place of each sequence's last real token, before the tokens are moved."""
        last = self.lengths - 1
        return last if self.order is None else self.order.gather(1, last[:, None])[:, 0]

    def restore(self, x: Shaped[Tensor, "batch seq *rest"]) -> Shaped[Tensor, "batch seq *rest"]:
        """The tokens at the places they came from."""
        return x if self.order is None else _take(x, self.order.argsort(1))

    def restore_pairs(
        self, x: Shaped[Tensor, "batch heads queries keys"]
    ) -> Shaped[Tensor, "batch heads queries keys"]:
        """The same for pairs of tokens."""
        queries = self.restore(x.transpose(1, 2)).transpose(1, 2)
        return self.restore(queries.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@run_untraced
def find_padding(
    input_ids: Integer[Tensor, "batch seq"], attention_mask: Bool[Tensor, "batch seq"] | None
) -> Padding | None:
    """Where the padding is; None if all tokens are real.

    Args:
        input_ids: The tokens; only their shape and their device are used.
        attention_mask: True (or 1) for real tokens, False (or 0) for padding, anywhere.

    Raises:
        ValueError: The mask is not of that form.
    """
    if attention_mask is None:
        return None
    if is_exporting():
        raise ValueError("torch.export takes sequences without padding, got an attention_mask")
    real = check_mask(attention_mask, tuple(input_ids.shape)).to(input_ids.device)
    if bool(real.all()):
        return None
    lengths = real.sum(1)
    is_token = torch.arange(real.shape[1], device=real.device) < lengths[:, None]
    if torch.equal(real, is_token):
        return Padding(lengths, is_token, None)
    return Padding(lengths, is_token, (~real).byte().argsort(dim=1, stable=True))


def check_mask(
    attention_mask: Bool[Tensor, "batch seq"], shape: tuple[int, ...]
) -> Bool[Tensor, "batch seq"]:
    """The mask as truth values.

    Raises:
        ValueError: It has another shape, or holds more than two values.
    """
    if tuple(attention_mask.shape) != shape:
        raise ValueError(
            f"attention_mask must have the shape of the tokens, {shape}, "
            f"got {tuple(attention_mask.shape)}"
        )
    real = attention_mask.bool()
    if attention_mask.is_floating_point() or not bool((attention_mask == real).all()):
        raise ValueError("attention_mask must hold True for real tokens and False for padding")
    return real


@run_untraced
def mean_over_real_tokens(
    hidden: Float[Tensor, "batch seq d_model"],
    attention_mask: Bool[Tensor, "batch seq"] | None,
) -> Float[Tensor, "batch d_model"]:
    """The mean state of each sequence, padding left out; zeros for a sequence of padding alone."""
    if attention_mask is None:
        return hidden.mean(1)
    real = check_mask(attention_mask, tuple(hidden.shape[:2]))
    # Zeroed rather than multiplied: padding may hold anything, and 0 times inf is not 0.
    total = hidden.masked_fill(~real[..., None], 0.0).sum(1)
    return total / real.sum(1, keepdim=True).clamp(min=1)


def _take(x: Tensor, places: Int[Tensor, "batch seq"]) -> Tensor:
    return x.gather(1, places.view(*places.shape, *[1] * (x.ndim - 2)).expand_as(x))
