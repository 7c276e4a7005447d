"""A window of attention by itself, without any projections."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from sparse_transformers.models.attention_ops import Backend, sparse_attention
from sparse_transformers.models.attention_patterns import LocalWindow
from sparse_transformers.models.padding import real_lengths


class LocalSparseAttention(nn.Module):
    """Attention of every query to the keys nearer than `window_size`.

    It is causal unless told otherwise: a query sees `window_size` keys, itself included, so that a
    model that predicts the next token cannot read the answer. With `causal=False` it sees
    `2 * window_size - 1` keys, as many on either side.
    """

    def __init__(
        self, window_size: int = 3, *, causal: bool = True, backend: Backend = "auto"
    ) -> None:
        super().__init__()
        self.pattern = LocalWindow(window_size)
        self.causal = causal
        self.backend = backend

    def forward(
        self,
        q: Float[Tensor, "batch heads queries dim"],
        k: Float[Tensor, "batch heads keys dim"],
        v: Float[Tensor, "batch heads keys dim"],
        mask: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch heads queries dim"]:
        """Attends within the window.

        Args:
            q: Queries.
            k: Keys.
            v: Values.
            mask: True for real keys, padding on the right.

        Raises:
            ValueError: Shapes that do not fit, or a mask of another form.
        """
        if mask is not None and mask.shape != (k.shape[0], k.shape[2]):
            raise ValueError(
                f"mask must be (batch, keys), {(k.shape[0], k.shape[2])}, got {tuple(mask.shape)}"
            )
        return sparse_attention(
            q,
            k,
            v,
            self.pattern,
            causal=self.causal,
            backend=self.backend,
            key_lengths=None if mask is None else real_lengths(mask),
        )
