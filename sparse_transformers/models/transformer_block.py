"""The block that transformers are stacked from: attention over a pattern, then feed-forward."""

from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor, nn

from sparse_transformers.models.attention_ops import Backend
from sparse_transformers.models.attention_patterns import LocalWindow
from sparse_transformers.models.checks import check_dropout
from sparse_transformers.models.experts.layer import MoELayer
from sparse_transformers.models.feed_forward import FeedForward
from sparse_transformers.models.key_value_cache import LayerCache
from sparse_transformers.models.pattern_base import AttentionPattern
from sparse_transformers.models.rotary import Rotation
from sparse_transformers.models.selectors import Selector
from sparse_transformers.models.self_attention import SelfAttention
from sparse_transformers.models.sequence_patterns import follows_previous
from sparse_transformers.models.token_shift import half_from_previous


class SparseTransformerBlock(nn.Module):
    """A pre-norm block: each sub-layer adds to the hidden states what it makes of their norm.

    `SparseTransformer` is a stack of these blocks.

    >>> import sparse_transformers as st
    >>> import torch
    >>> block = st.SparseTransformerBlock(d_model=64, window_size=8)
    >>> block(torch.randn(2, 100, 64)).shape
    torch.Size([2, 100, 64])

    Args:
        d_model: Width of the hidden states.
        n_heads: Number of query heads.
        window_size: Keys that a query sees, itself included (see `LocalWindow`).
        pattern: Takes the place of the window.
        n_kv_heads: Number of key and value heads; `n_heads` by default.
        d_ff: Width inside the feed-forward part; `4 * d_model` by default.
        causal: Whether later keys are hidden, whatever the pattern says.
        dropout: Share of each sub-layer's output that is dropped in training. Attention weights
            are never dropped: a sparse kernel does not hold them.
        norm_eps: Added to the variance in the norms.
        backend: See `sparse_attention`.
        feed_forward: A `MoELayer`, or a module from (batch, seq, d_model) to the same shape, that
            takes the place of the two linear maps.
        token_shift: Make the key of a token from the token before it, and half of the feed-forward
            part's input too. "What came after X?" then takes one layer instead of two.
        selector: Chooses among the allowed keys of each query, by content.

    Source: Xiong et al. 2020, arXiv:2002.04745 (pre-norm). The norms have a gain and no bias.
    """

    def __init__(
        self,
        d_model: int = 256,
        n_heads: int = 4,
        window_size: int = 3,
        *,
        pattern: AttentionPattern | None = None,
        n_kv_heads: int | None = None,
        d_ff: int | None = None,
        causal: bool = True,
        dropout: float = 0.0,
        norm_eps: float = 1e-5,
        backend: Backend = "auto",
        feed_forward: nn.Module | None = None,
        token_shift: bool = False,
        selector: Selector | None = None,
    ) -> None:
        super().__init__()
        check_dropout(dropout)
        if feed_forward is not None and d_ff is not None:
            raise ValueError(f"give either d_ff or feed_forward, got both (d_ff={d_ff})")
        # LayerNorm rather than RMSNorm: PyTorch has a fused CPU kernel for it.
        self.attention_norm = nn.LayerNorm(d_model, eps=norm_eps, bias=False)
        self.attention = SelfAttention(
            d_model,
            n_heads,
            LocalWindow(window_size) if pattern is None else pattern,
            n_kv_heads=n_kv_heads,
            causal=causal,
            backend=backend,
            token_shift=token_shift,
            selector=selector,
        )
        self.token_shift = token_shift
        self.feed_forward_norm = nn.LayerNorm(d_model, eps=norm_eps, bias=False)
        self.feed_forward = FeedForward(d_model, d_ff) if feed_forward is None else feed_forward
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        hidden: Float[Tensor, "batch seq d_model"],
        *,
        rotation: Rotation | None = None,
        key_lengths: Int[Tensor, "batch"] | None = None,
        cache: LayerCache | None = None,
        attention_mask: Bool[Tensor, "batch seq"] | None = None,
        input_ids: Integer[Tensor, "batch seq"] | None = None,
        pattern: AttentionPattern | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Applies the block.

        Args:
            hidden: Hidden states; with a cache, those of the new tokens only.
            rotation: Rotary positions of these tokens, if the model uses them.
            key_lengths: Number of real tokens in each sequence; the rest is padding on the right.
            cache: Keys and values of earlier tokens; grows by the new ones.
            attention_mask: True for real tokens; only experts use it, to leave out the padding.
            input_ids: Token ids; only experts use them, for routers that depend on them.
            pattern: A rule for this call; a query sees the keys that it and the block's pattern
                allow.
        """
        attended = self.attention(
            self.attention_norm(hidden),
            rotation=rotation,
            key_lengths=key_lengths,
            cache=cache,
            pattern=pattern,
        )
        hidden = hidden + self.dropout(attended)
        normed = self.feed_forward_norm(hidden)
        if self.token_shift:
            normed = half_from_previous(
                normed,
                None if cache is None else cache.feed_forward_input,
                follows_previous(pattern, normed),
            )
        if isinstance(self.feed_forward, MoELayer):
            update = self.feed_forward(normed, attention_mask, input_ids).hidden
        else:
            update = self.feed_forward(normed)
        return hidden + self.dropout(update)
