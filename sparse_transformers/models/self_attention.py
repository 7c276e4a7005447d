"""Multi-head self-attention over a pattern: projections, rotary positions, cache, sparse core."""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sparse_transformers.models.attention_ops import BACKENDS, Backend, sparse_attention
from sparse_transformers.models.attention_reference import reference_attention, visible_pairs
from sparse_transformers.models.attention_selected import selected_attention
from sparse_transformers.models.checks import check_heads, check_truth
from sparse_transformers.models.feed_forward import ResidualProjection
from sparse_transformers.models.key_value_cache import LayerCache
from sparse_transformers.models.pattern_base import AttentionPattern, Causal, PerHead
from sparse_transformers.models.rotary import Rotation
from sparse_transformers.models.selectors import Selector, allowed_selection, selection_mask
from sparse_transformers.models.sequence_patterns import follows_previous
from sparse_transformers.models.token_shift import previous_tokens


class SelfAttention(nn.Module):
    """Projects hidden states to queries, keys and values, attends over `pattern`, projects back.

    With `n_kv_heads` below `n_heads`, several query heads share one head of keys and values. With
    `token_shift`, the key of a token is made from the token before it. With a `selector`, a query
    attends only to those allowed keys that the selector chooses for it.

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
        token_shift: bool = False,
        selector: Selector | None = None,
    ) -> None:
        super().__init__()
        check_heads(d_model, n_heads, n_kv_heads)
        check_truth(causal=causal, token_shift=token_shift)
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
        self.token_shift = token_shift
        self.selector = selector
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
        pattern: AttentionPattern | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Attends from every token of `hidden`, which with a cache are the latest ones.

        `pattern` is a rule for this call, on top of that of the layer.
        """
        rule = self._rule(pattern, cache)
        query, key, value = self._project(hidden, rotation, cache, pattern)
        if self.selector is None:
            attended = sparse_attention(
                query,
                key,
                value,
                rule,
                backend=self.backend,
                key_lengths=key_lengths,
            )
        else:
            selected = self._select(hidden, query, key, rule, key_lengths)
            attended = selected_attention(query, key, value, selected)
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def attention_weights(
        self,
        hidden: Float[Tensor, "batch seq d_model"],
        *,
        rotation: Rotation | None = None,
        key_lengths: Int[Tensor, "batch"] | None = None,
        pattern: AttentionPattern | None = None,
    ) -> Float[Tensor, "batch heads queries keys"]:
        """The weights that `forward` applies to the values, through the full score matrix."""
        rule = self._rule(pattern)
        query, key, value = self._project(hidden, rotation, None, pattern)
        selected = None
        if self.selector is not None:
            chosen = self._select(hidden, query, key, rule, key_lengths)
            selected = selection_mask(chosen, key.shape[2])
        return reference_attention(
            query,
            key,
            value,
            rule,
            key_lengths=key_lengths,
            selected=selected,
        )[2]

    def visible_keys(
        self,
        hidden: Float[Tensor, "batch seq d_model"],
        *,
        rotation: Rotation | None = None,
        key_lengths: Int[Tensor, "batch"] | None = None,
        pattern: AttentionPattern | None = None,
    ) -> Bool[Tensor, "batch heads queries keys"]:
        """Which keys each query may attend to, as a mask."""
        batch, seq_len, _ = hidden.shape
        rule = self._rule(pattern)
        if self.selector is not None:
            query, key, _ = self._project(hidden, rotation, None, pattern)
            return selection_mask(self._select(hidden, query, key, rule, key_lengths), seq_len)
        visible = visible_pairs(rule, seq_len, seq_len, key_lengths).to(hidden.device)
        return visible.expand(batch, self.n_heads, seq_len, seq_len)

    def _select(
        self,
        hidden: Tensor,
        query: Tensor,
        key: Tensor,
        rule: AttentionPattern,
        key_lengths: Tensor | None,
    ) -> Int[Tensor, "batch heads queries selected"]:
        """The selector's choice, less what the rule forbids."""
        assert self.selector is not None
        selected = self.selector.select(hidden, query, key, rule, key_lengths)
        return allowed_selection(selected, rule, key.shape[2], key_lengths)

    def _rule(
        self, pattern: AttentionPattern | None, cache: LayerCache | None = None
    ) -> AttentionPattern:
        """The rule of the layer, for the positions that a cache stores, and that of the call."""
        rule = self.pattern if cache is None else cache.rule(self.pattern)
        rule = rule if pattern is None else rule & pattern
        return rule & Causal() if self.causal else rule

    def _project(
        self,
        hidden: Tensor,
        rotation: Rotation | None,
        cache: LayerCache | None,
        pattern: AttentionPattern | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values as (batch, heads, positions, dim), stored by position."""
        query = self.q_proj(hidden).unflatten(-1, (self.n_heads, self.head_dim))
        key_source = hidden
        if self.token_shift:
            memory = None if cache is None else cache.attention_input
            key_source = previous_tokens(hidden, memory, follows_previous(pattern, hidden))
        key = self.k_proj(key_source).unflatten(-1, (self.n_kv_heads, self.head_dim))
        value = self.v_proj(hidden).unflatten(-1, (self.n_kv_heads, self.head_dim))
        if rotation is not None:
            query, key = rotation(query), rotation(key)
        if cache is not None:
            key, value = cache.append(key, value)
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
