"""Attention to selected keys: every query has a list of keys of its own, forward and backward.

Work and memory follow the number of selected keys. Keys and values are gathered for a few queries
at a time; the backward pass gathers them again and adds their gradients in place.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparse_transformers.models.tracing import run_untraced

BYTES_PER_CHUNK = 8 << 20
"""Memory for the gathered keys of one chunk: fits into the last-level cache of a CPU."""


@run_untraced
def selected_attention(
    query: Float[Tensor, "batch heads queries dim"],
    key: Float[Tensor, "batch kv_heads keys dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    selected: Int[Tensor, "batch heads queries selected"],
    *,
    scale: float | None = None,
) -> Float[Tensor, "batch heads queries value_dim"]:
    """Softmax attention of each query over its selected keys.

    >>> import sparse_transformers as st
    >>> import torch
    >>> query, key, value = torch.randn(3, 1, 1, 4, 8)
    >>> selected = torch.tensor([[0, -1], [0, 1], [0, 2], [2, 3]])  # two keys for each query
    >>> st.selected_attention(query, key, value, selected[None, None]).shape
    torch.Size([1, 1, 4, 8])

    Args:
        query: (batch, heads, queries, dim).
        key: (batch, kv_heads, keys, dim). Fewer heads than `query` means grouped queries.
        value: (batch, kv_heads, keys, value_dim).
        selected: Positions of keys (batch, heads, queries, selected), each at most once for a
            query; -1 stands for no key. A query without any key returns zeros. No pattern is
            applied here: see `allowed_selection`.
        scale: Factor on the scores, 1 / sqrt(dim) by default.

    Raises:
        ValueError: `selected` does not fit the queries, or names a key that is not there.
    """
    if selected.shape[:3] != query.shape[:3]:
        raise ValueError(
            f"selected must have the batch, heads and positions of query, "
            f"{tuple(query.shape[:3])}, got {tuple(selected.shape)}"
        )
    if query.shape[1] % key.shape[1] or key.shape[:3] != value.shape[:3]:
        raise ValueError(
            "key and value must have equal heads and positions, and heads that divide those of "
            f"query ({query.shape[1]}), got {tuple(key.shape)} and {tuple(value.shape)}"
        )
    if selected.numel() and not -1 <= int(selected.min()) <= int(selected.max()) < key.shape[2]:
        raise ValueError(
            f"selected must hold -1 or positions below the {key.shape[2]} keys, "
            f"got {int(selected.min())} to {int(selected.max())}"
        )
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, dim=1) if groups > 1 else x for x in (key, value))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return _SelectedAttention.apply(query, key, value, selected, scale)


class _SelectedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, selected: Tensor, scale: float
    ) -> Tensor:
        rows = _Rows(key)
        output = query.new_empty(*query.shape[:3], value.shape[-1])
        lse = query.new_empty(query.shape[:3], dtype=torch.promote_types(query.dtype, torch.float))
        keys, values = rows.flat(key), rows.flat(value)
        for chunk in _chunks(query, selected, key.shape[-1] + value.shape[-1]):
            found = rows.find(selected[:, :, chunk])
            scores = found.scores(query[:, :, chunk], keys, scale).to(lse.dtype)
            lse[:, :, chunk] = scores.logsumexp(-1)
            weights = _weights(scores, lse[:, :, chunk]).to(value.dtype)
            output[:, :, chunk] = torch.einsum("bhqs,bhqsd->bhqd", weights, found.take(values))
        ctx.save_for_backward(query, key, value, selected, output, lse)
        ctx.scale = scale
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> Any:
        query, key, value, selected, output, lse = ctx.saved_tensors
        rows = _Rows(key)
        keys, values = rows.flat(key), rows.flat(value)
        grad_query = torch.empty_like(query)
        grad_keys, grad_values = (torch.zeros_like(x, dtype=lse.dtype) for x in (keys, values))
        delta = (grad_output * output).sum(-1, dtype=lse.dtype)[..., None]
        for chunk in _chunks(query, selected, key.shape[-1] + value.shape[-1]):
            found = rows.find(selected[:, :, chunk])
            gradient = grad_output[:, :, chunk]
            scores = found.scores(query[:, :, chunk], keys, ctx.scale).to(lse.dtype)
            weights = _weights(scores, lse[:, :, chunk])
            found.add(
                grad_values,
                weights[..., None] * gradient[..., None, :],
            )
            grad_weights = torch.einsum("bhqd,bhqsd->bhqs", gradient, found.take(values))
            grad_scores = weights * (grad_weights - delta[:, :, chunk]) * ctx.scale
            grad_query[:, :, chunk] = torch.einsum(
                "bhqs,bhqsd->bhqd", grad_scores.to(keys.dtype), found.take(keys)
            )
            found.add(grad_keys, grad_scores[..., None] * query[:, :, chunk, None, :])
        return (
            grad_query,
            rows.unflat(grad_keys).to(key.dtype),
            rows.unflat(grad_values).to(value.dtype),
            None,
            None,
        )


class _Found(NamedTuple):
    """Selected keys as rows of a flat (batch * heads * keys, dim) tensor."""

    rows: Tensor
    is_key: Tensor

    def take(self, flat: Tensor) -> Tensor:
        """The rows as (batch, heads, queries, selected, dim); undefined for no key."""
        return flat.index_select(0, self.rows.flatten()).unflatten(0, self.rows.shape)

    def scores(self, query: Tensor, keys: Tensor, scale: float) -> Tensor:
        """Scaled products, -inf for no key."""
        products = torch.einsum("bhqd,bhqsd->bhqs", query, self.take(keys))
        return (products * scale).masked_fill(~self.is_key, -torch.inf)

    def add(self, flat: Tensor, amounts: Tensor) -> None:
        """Adds to the rows; the amounts for no key are zero."""
        flat.index_add_(0, self.rows.flatten(), amounts.flatten(0, 3).to(flat.dtype))


class _Rows:
    """Where the keys of each batch element and head lie in a flat tensor."""

    def __init__(self, key: Tensor) -> None:
        self.shape = key.shape[:3]
        batch, heads, k_len = self.shape
        first = torch.arange(0, batch * heads * k_len, k_len, device=key.device)
        self.first = first.view(batch, heads, 1, 1)

    def flat(self, x: Tensor) -> Tensor:
        return x.reshape(-1, x.shape[-1])

    def unflat(self, x: Tensor) -> Tensor:
        return x.view(*self.shape, -1)

    def find(self, selected: Tensor) -> _Found:
        return _Found(selected.clamp(min=0) + self.first, selected >= 0)


def _weights(scores: Tensor, lse: Tensor) -> Tensor:
    """exp(score - lse), and zeros for a query without any key, whose lse is -inf."""
    return torch.exp(scores - lse.masked_fill(lse == -torch.inf, 0.0)[..., None])


def _chunks(query: Tensor, selected: Tensor, dims: int) -> Iterator[slice]:
    batch, heads, q_len, n_selected = selected.shape
    bytes_per_query = max(1, batch * heads * n_selected * dims * query.element_size())
    step = max(1, BYTES_PER_CHUNK // bytes_per_query)
    for start in range(0, q_len, step):
        yield slice(start, min(start + step, q_len))
