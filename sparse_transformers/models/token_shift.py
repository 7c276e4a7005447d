"""Token shift: a token's hidden state is made from the token before, without an attention layer.

A query can find a token by its content, but not a token by its predecessor's content: that takes
one layer that copies each token to the next, and a second one that searches the copies. A shift by
one position copies at next to no cost.

Source: Olsson et al. 2022, arXiv:2209.11895 (keys that hold the previous token make induction
possible in one layer); Peng et al. 2023, arXiv:2305.13048, section 3.1 (token shift).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


class LastToken:
    """Stores the last token of one call: the predecessor of the first token of the next one."""

    def __init__(self) -> None:
        self._hidden: Float[Tensor, "batch 1 d_model"] | None = None
        self.lengths: Tensor | None = None
        """Real tokens of each sequence in the next call (batch,); None if all are real."""

    def swap(self, hidden: Float[Tensor, "batch seq d_model"]) -> Tensor | None:
        """Keeps the last token of `hidden`, and returns the one that was kept before."""
        before, self._hidden = self._hidden, self._last(hidden).clone()
        return before

    def _last(self, hidden: Tensor) -> Tensor:
        if self.lengths is None:
            return hidden[:, -1:]
        sequences = torch.arange(len(hidden), device=hidden.device)
        return hidden[sequences, self.lengths - 1][:, None]


def previous_tokens(
    hidden: Float[Tensor, "batch seq d_model"],
    memory: LastToken | None = None,
    follows: Bool[Tensor, "batch_or_1 seq"] | None = None,
) -> Float[Tensor, "batch seq d_model"]:
    """The token before each token; zeros before the first one.

    Args:
        hidden: The states of consecutive tokens.
        memory: Knows the token before the first of these, and learns the last of them.
        follows: False where a token does not follow the one before it, as at the beginning of a
            document; it gets zeros.
    """
    before = None if memory is None else memory.swap(hidden)
    if before is None:
        previous = F.pad(hidden[:, :-1], (0, 0, 1, 0))
    else:
        previous = torch.cat([before, hidden[:, :-1]], dim=1)
    return previous if follows is None else previous.masked_fill(~follows[..., None], 0.0)


def half_from_previous(
    hidden: Float[Tensor, "batch seq d_model"],
    memory: LastToken | None = None,
    follows: Bool[Tensor, "batch_or_1 seq"] | None = None,
) -> Float[Tensor, "batch seq d_model"]:
    """The first half of the channels from the token before, the second from the token itself."""
    half = hidden.shape[-1] // 2
    previous = previous_tokens(hidden, memory, follows)
    return torch.cat([previous[..., :half], hidden[..., half:]], dim=-1)
