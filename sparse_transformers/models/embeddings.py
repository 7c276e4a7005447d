"""From token ids to the vectors that enter the first block."""

import math

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor, nn

POSITIONS = ("rotary", "learned", "sinusoidal", "none")
"""Kinds of positions: rotary ones act inside attention, the next two are added to embeddings."""

FirstPosition = int | Int[Tensor, "batch"]
"""The position of the first of several tokens: the same for all sequences, or that of each."""


class TokenEmbedding(nn.Module):
    """A vector for every token, with its position added for learned and sinusoidal `positions`.

    Learned positions end at `max_seq_len`; the other kinds have no end. In training, `dropout`
    drops single channels, and `token_dropout` whole tokens but not their positions (Gal and
    Ghahramani 2016, arXiv:1512.05287, section 4, do so for each word type).

    Raises:
        ValueError: An unknown kind of position, or sinusoidal positions of an odd width.
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        *,
        positions: str = "none",
        max_seq_len: int = 1024,
        dropout: float = 0.0,
        token_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_positions(positions, d_model)
        self.positions = positions
        self.max_seq_len = max_seq_len
        self.token = nn.Embedding(vocab_size, d_model)
        self.position = nn.Embedding(max_seq_len, d_model) if positions == "learned" else None
        self.dropout = nn.Dropout(dropout)
        self.token_dropout = nn.Dropout(token_dropout)

    def forward(
        self, input_ids: Integer[Tensor, "batch seq"], first_position: FirstPosition = 0
    ) -> Float[Tensor, "batch seq d_model"]:
        """Embeds tokens whose first one is at `first_position`."""
        hidden = self.token(input_ids)
        if self.training and self.token_dropout.p:
            hidden = hidden * self.token_dropout(torch.ones_like(hidden[..., :1]))
        positions = consecutive_positions(first_position, input_ids.shape[1])
        if self.position is not None:
            self.check_length(_furthest(first_position) + input_ids.shape[1])
            hidden = hidden + self.position(positions.to(hidden.device))
        elif self.positions == "sinusoidal":
            # The factor makes the embeddings as large as the waves, whose amplitude is 1 (Vaswani
            # et al. 2017, arXiv:1706.03762, section 3.4).
            hidden = hidden * math.sqrt(hidden.shape[-1])
            hidden = hidden + sinusoids(hidden.shape[-1], positions).to(hidden)
        return self.dropout(hidden)

    def check_length(self, seq_len: int) -> None:
        """Raises a `ValueError` if there is no position for token number `seq_len`."""
        if self.position is not None and seq_len > self.max_seq_len:
            raise ValueError(
                f"learned positions end at max_seq_len ({self.max_seq_len}), "
                f"got a sequence of {seq_len}; rotary or sinusoidal positions have no end"
            )


def check_positions(positions: str, d_model: int) -> None:
    """Raises a `ValueError` if there are no such positions, or none of this width."""
    if positions not in POSITIONS:
        raise ValueError(f"unknown positions {positions!r}; known are {', '.join(POSITIONS)}")
    if positions == "sinusoidal" and d_model % 2:
        raise ValueError(f"d_model must be even for sinusoidal positions, got {d_model}")


def _furthest(first_position: FirstPosition) -> int:
    return first_position if isinstance(first_position, int) else int(first_position.max())


def sinusoids(
    d_model: int, positions: Int[Tensor, "*batch seq"]
) -> Float[Tensor, "*batch seq d_model"]:
    """Positions as waves: sines in even dimensions, cosines in odd ones.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    with torch.device("cpu"):
        frequency = 10_000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    angle = positions[..., None].double() * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def consecutive_positions(first_position: FirstPosition, n: int) -> Int[Tensor, "*batch seq"]:
    """The `n` positions from the first on, on the CPU: (seq,), or (batch, seq) if each has its own.

    On the CPU, because they are few, and not every device has the float64 that waves need.
    """
    positions = torch.arange(n, device="cpu")
    if isinstance(first_position, int):
        return positions + first_position
    return positions + first_position.cpu()[:, None]
