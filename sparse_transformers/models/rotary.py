"""Rotary positions: queries and keys are rotated by an angle that grows with their position.

The product of a rotated query and a rotated key depends on their distance only, so that nothing is
learned about absolute positions and there is no maximal length.

Source: Su et al. 2021, arXiv:2104.09864, section 3.2.2.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_transformers.models.embeddings import FirstPosition, consecutive_positions

BASE = 10_000.0  # the slowest pair of dimensions turns once in about 2π · BASE positions


@dataclass(frozen=True, eq=False)
class Rotation:
    """The angles of consecutive positions, as cosine and sine, for each pair of dimensions.

    They are the same for all sequences, or each sequence has its own.
    """

    cos: Float[Tensor, "*batch seq pairs"]
    sin: Float[Tensor, "*batch seq pairs"]

    def __call__(self, x: Float[Tensor, "batch seq heads dim"]) -> Float[Tensor, "..."]:
        """Turns the first `2 * pairs` dimensions of every head and leaves the others alone.

        Dimension i is paired with dimension `pairs` + i, as in GPT-NeoX and Llama.
        """
        n_pairs = self.cos.shape[-1]
        cos, sin = self.cos[..., None, :], self.sin[..., None, :]
        first, second, rest = x.split([n_pairs, n_pairs, x.shape[-1] - 2 * n_pairs], dim=-1)
        turned = (first * cos - second * sin, second * cos + first * sin)
        # Under autocast `x` is narrower than the angles, and the values beside it are as narrow.
        return torch.cat([*(half.to(x.dtype) for half in turned), rest], dim=-1)


def rotation(
    n_dims: int,
    n_positions: int,
    *,
    first_position: FirstPosition = 0,
    like: Tensor | None = None,
) -> Rotation:
    """The rotation of `n_positions` positions from `first_position` on.

    Args:
        n_dims: How many dimensions of a head are turned, an even number.
        n_positions: Number of consecutive positions.
        first_position: The first of them; with a key/value cache, the number of cached tokens, or
            that of each sequence (batch,).
        like: The angles get this tensor's device, and its precision if that is more than float32.
    """
    # In float64, because far positions times a frequency lose their fraction in float32. On the
    # CPU, because not every device has float64.
    with torch.device("cpu"):
        frequency = BASE ** (-torch.arange(0, n_dims, 2, dtype=torch.float64) / n_dims)
    position = consecutive_positions(first_position, n_positions)
    angle = position[..., None].double() * frequency
    dtype = torch.float32 if like is None else torch.promote_types(like.dtype, torch.float32)
    device = None if like is None else like.device
    return Rotation(angle.cos().to(device, dtype), angle.sin().to(device, dtype))
