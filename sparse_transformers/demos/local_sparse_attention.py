"""A window of attention by itself, without any projections."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from sparse_transformers.models.attention_ops import Backend, sparse_attention
from sparse_transformers.models.attention_patterns import AttentionPattern, LocalWindow
from sparse_transformers.models.checks import check_truth
from sparse_transformers.models.padding import check_mask


class LocalSparseAttention(nn.Module):
    """Attention of every query to the keys nearer than `window_size`.

    With `causal=True` a query sees `window_size` keys, itself included, and no later ones. With
    `causal=False` it sees `2 * window_size - 1` keys, as many on either side.

    >>> import sparse_transformers as st
    >>> import torch
    >>> query, key, value = torch.randn(3, 1, 2, 8, 4)
    >>> st.LocalSparseAttention(window_size=3)(query, key, value).shape
    torch.Size([1, 2, 8, 4])

    Args:
        window_size: Number of keys on one side, the query's own included; at least 1.
        pattern: Takes the place of the window.
        causal: Whether later keys are hidden.
        backend: "auto", "reference", "tiled" or "flex"; see `sparse_attention`.

    Raises:
        ValueError: A value of another type, or a window below 1.
    """

    def __init__(
        self,
        window_size: int = 3,
        *,
        pattern: AttentionPattern | None = None,
        causal: bool = True,
        backend: Backend = "auto",
    ) -> None:
        super().__init__()
        check_truth(causal=causal)
        if not isinstance(pattern, AttentionPattern | None):
            raise ValueError(f"pattern must be an AttentionPattern or None, got {pattern!r}")
        if isinstance(window_size, AttentionPattern):
            raise ValueError(
                f"window_size must be a whole number; write pattern={window_size!r} for a pattern"
            )
        self.pattern = LocalWindow(window_size) if pattern is None else pattern
        self.causal = causal
        self.backend = backend

    def forward(
        self,
        q: Float[Tensor, "batch heads queries dim"],
        k: Float[Tensor, "batch heads keys dim"],
        v: Float[Tensor, "batch heads keys value_dim"],
        mask: Bool[Tensor, "batch keys"] | None = None,
    ) -> Float[Tensor, "batch heads queries value_dim"]:
        """Attends within the window.

        Args:
            q: Queries (batch, heads, queries, dim).
            k: Keys (batch, heads, keys, dim).
            v: Values, with the shape of the keys.
            mask: True for real keys (batch, keys), False for padding. All are real by default.

        Raises:
            ValueError: Shapes that do not fit, or a mask of another form.
        """
        return sparse_attention(
            q,
            k,
            v,
            self.pattern,
            causal=self.causal,
            backend=self.backend,
            key_mask=None if mask is None else check_mask(mask, (k.shape[0], k.shape[2])),
        )
