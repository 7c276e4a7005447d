"""Multi-head self-attention over a pattern: projections, rotary positions, cache, sparse core."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from sparse_transformers.models.attention_ops import BACKENDS, Backend, sparse_attention
from sparse_transformers.models.attention_reference import reference_attention
from sparse_transformers.models.checks import check_heads
from sparse_transformers.models.feed_forward import ResidualProjection
from sparse_transformers.models.key_value_cache import LayerCache
from sparse_transformers.models.pattern_base import AttentionPattern, PerHead
from sparse_transformers.models.rotary import Rotation


class SelfAttention(nn.Module):
    """Projects hidden states to queries, keys and values, attends over `pattern`, projects back.

    With `n_kv_heads` below `n_heads`, several query heads share one head of keys and values.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2; Ainslie et al. 2023,
    arXiv:2305.13245 (grouped queries).

    Raises:
        ValueError: Heads that do not divide, a `PerHead` pattern of another number of heads, or an
            unknown backend.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        pattern: AttentionPattern,
        *,
        n_kv_heads: int | None = None,
        causal: bool = True,
        backend: Backend = "auto",
    ) -> None:
        super().__init__()
        check_heads(d_model, n_heads, n_kv_heads)
        if isinstance(pattern, PerHead) and len(pattern.patterns) != n_heads:
            raise ValueError(
                f"a pattern for each head must hold n_heads ({n_heads}) patterns, "
                f"got {len(pattern.patterns)}"
            )
        if backend not in BACKENDS:
            raise ValueError(f"unknown backend {backend!r}; known are {', '.join(BACKENDS)}")
        self.pattern = pattern
        self.causal = causal
        self.backend = backend
        self.n_heads = n_heads
        self.n_kv_heads = n_kv_heads or n_heads
        self.head_dim = d_model // n_heads
        self.q_proj = nn.Linear(d_model, n_heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(d_model, self.n_kv_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(d_model, self.n_kv_heads * self.head_dim, bias=False)
        self.out_proj = ResidualProjection(n_heads * self.head_dim, d_model, bias=False)

    def forward(
        self,
        hidden: Float[Tensor, "batch seq d_model"],
        *,
        rotation: Rotation | None = None,
        key_lengths: Int[Tensor, "batch"] | None = None,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Attends from every token of `hidden`, which with a cache are the latest ones."""
        query, key, value = self._project(hidden, rotation, cache)
        attended = sparse_attention(
            query,
            key,
            value,
            self.pattern,
            causal=self.causal,
            backend=self.backend,
            key_lengths=key_lengths,
        )
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def attention_weights(
        self,
        hidden: Float[Tensor, "batch seq d_model"],
        *,
        rotation: Rotation | None = None,
        key_lengths: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch heads queries keys"]:
        """The weights that `forward` applies to the values, through the full score matrix."""
        query, key, value = self._project(hidden, rotation, cache=None)
        return reference_attention(
            query, key, value, self.pattern, causal=self.causal, key_lengths=key_lengths
        )[2]

    def _project(
        self, hidden: Tensor, rotation: Rotation | None, cache: LayerCache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values as (batch, heads, positions, dim), stored by position."""
        query = self.q_proj(hidden).unflatten(-1, (self.n_heads, self.head_dim))
        key = self.k_proj(hidden).unflatten(-1, (self.n_kv_heads, self.head_dim))
        value = self.v_proj(hidden).unflatten(-1, (self.n_kv_heads, self.head_dim))
        if rotation is not None:
            query, key = rotation(query), rotation(key)
        if cache is not None:
            key, value = cache.append(key, value)
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
