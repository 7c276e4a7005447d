"""Token shift: a token's hidden state is made from the token before, without an attention layer.

A query can find a token by its content, but not a token by its predecessor's content: that takes
one layer that copies each token to the next, and a second one that searches the copies. A shift by
one position copies at next to no cost.

Source: Olsson et al. 2022, arXiv:2209.11895 (keys that hold the previous token make induction
possible in one layer); Peng et al. 2023, arXiv:2305.13048, section 3.1 (token shift).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


class LastToken:
    """Stores the last token of one call: the predecessor of the first token of the next one."""

    def __init__(self) -> None:
        self._hidden: Float[Tensor, "batch 1 d_model"] | None = None

    def swap(self, hidden: Float[Tensor, "batch seq d_model"]) -> Tensor | None:
        """Keeps the last token of `hidden`, and returns the one that was kept before."""
        before, self._hidden = self._hidden, hidden[:, -1:].clone()
        return before


def previous_tokens(
    hidden: Float[Tensor, "batch seq d_model"], memory: LastToken | None = None
) -> Float[Tensor, "batch seq d_model"]:
    """The token before each token; zeros before the first one.

    Args:
        hidden: The states of consecutive tokens.
        memory: Knows the token before the first of these, and learns the last of them.
    """
    before = None if memory is None else memory.swap(hidden)
    if before is None:
        return F.pad(hidden[:, :-1], (0, 0, 1, 0))
    return torch.cat([before, hidden[:, :-1]], dim=1)


def half_from_previous(
    hidden: Float[Tensor, "batch seq d_model"], memory: LastToken | None = None
) -> Float[Tensor, "batch seq d_model"]:
    """The first half of the channels from the token before, the second from the token itself."""
    half = hidden.shape[-1] // 2
    return torch.cat([previous_tokens(hidden, memory)[..., :half], hidden[..., half:]], dim=-1)
