"""The feed-forward part of a block, which is applied to each token by itself."""

from jaxtyping import Float
from torch import Tensor, nn

from sparse_transformers.models.checks import check_whole


class ResidualProjection(nn.Linear):
    """The last linear map of a sub-layer, whose output is added to the residual stream.

    A class of its own because a model initialises these smaller than its other weights.
    """


class FeedForward(nn.Module):
    """Two linear maps with a GELU between them, applied to each token by itself.

    Any module that maps (batch, seq, d_model) to the same shape can take its place in a block.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.3; Hendrycks and Gimpel 2016,
    arXiv:1606.08415.
    """

    def __init__(self, d_model: int, d_ff: int | None = None) -> None:
        super().__init__()
        d_ff = 4 * d_model if d_ff is None else d_ff
        check_whole(1, d_model=d_model, d_ff=d_ff)
        self.up = nn.Linear(d_model, d_ff, bias=False)
        self.activation = nn.GELU()
        self.down = ResidualProjection(d_ff, d_model, bias=False)

    def forward(self, hidden: Float[Tensor, "*tokens d_model"]) -> Float[Tensor, "*tokens d_model"]:
        return self.down(self.activation(self.up(hidden)))
