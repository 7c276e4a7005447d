"""Attention to selected keys: every query has a list of keys of its own, forward and backward.

Work and memory follow the number of selected keys. Keys and values are gathered for a few queries
at a time; the backward pass gathers them again and adds their gradients in place.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from sparse_transformers.models.function_transforms import (
    differentiate_gradients,
    into_batch,
    out_of_batch,
)
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
    return _SelectedAttention.apply(query, key, value, selected, scale)[0]


class _SelectedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        query: Tensor, key: Tensor, value: Tensor, selected: Tensor, scale: float
    ) -> tuple[Tensor, Tensor]:
        rows = _Rows(key)
        output = query.new_empty(*query.shape[:3], value.shape[-1])
        lse = query.new_empty(query.shape[:3], dtype=_sum_dtype(query))
        keys, values = rows.flat(key), rows.flat(value)
        for chunk in _chunks(query, selected, key.shape[-1] + value.shape[-1]):
            found = rows.find(selected[:, :, chunk])
            scores = found.scores(query[:, :, chunk], keys, scale)
            lse[:, :, chunk] = scores.logsumexp(-1)
            weights = _weights(scores, lse[:, :, chunk])
            output[:, :, chunk] = torch.einsum("bhqs,bhqsd->bhqd", weights, found.take(values))
        return output, lse

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        query, key, value, selected, ctx.scale = inputs
        ctx.save_for_backward(query, key, value, selected, *output)
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor | None, _: Any) -> Any:
        if grad_output is None:
            return None, None, None, None, None
        gradients = _SelectedGradients.apply(*ctx.saved_tensors, grad_output, ctx.scale)
        return (*gradients, None, None)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> Any:
        tensors = into_batch(info.batch_size, in_dims, inputs[:-1])
        results = _SelectedAttention.apply(*tensors, inputs[-1])
        return out_of_batch(info.batch_size, results), (0, 0)


class _SelectedGradients(torch.autograd.Function):
    """The gradients of query, key and value, which have gradients of their own."""

    @staticmethod
    def forward(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        selected: Tensor,
        output: Tensor,
        lse: Tensor,
        grad_output: Tensor,
        scale: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = _Rows(key)
        keys, values = rows.flat(key), rows.flat(value)
        grad_query = torch.empty_like(query)
        grad_keys, grad_values = (torch.zeros_like(x, dtype=lse.dtype) for x in (keys, values))
        delta = (grad_output * output.to(lse.dtype)).sum(-1)[..., None]
        for chunk in _chunks(query, selected, key.shape[-1] + value.shape[-1]):
            found = rows.find(selected[:, :, chunk])
            gradient = grad_output[:, :, chunk].to(lse.dtype)
            scores = found.scores(query[:, :, chunk], keys, scale)
            weights = _weights(scores, lse[:, :, chunk])
            found.add(grad_values, weights[..., None] * gradient[..., None, :])
            grad_weights = torch.einsum("bhqd,bhqsd->bhqs", gradient, found.take(values))
            grad_scores = weights * (grad_weights - delta[:, :, chunk]) * scale
            grad_query[:, :, chunk] = torch.einsum(
                "bhqs,bhqsd->bhqd", grad_scores, found.take(keys)
            )
            found.add(grad_keys, grad_scores[..., None] * query[:, :, chunk, None, :])
        return (
            grad_query,
            rows.unflat(grad_keys).to(key.dtype),
            rows.unflat(grad_values).to(value.dtype),
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        query, key, value, selected, _, _, grad_output, ctx.scale = inputs
        ctx.save_for_backward(query, key, value, selected, grad_output)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *grad_gradients: Tensor | None) -> Any:
        query, key, value, selected, grad_output = ctx.saved_tensors

        def attend(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor]:
            return (_plain(query, key, value, selected, ctx.scale),)

        *inputs, for_output = differentiate_gradients(
            attend, (query, key, value), (grad_output,), grad_gradients
        )
        # Output and log-sum-exp are functions of the arguments, whose derivatives hold theirs.
        return (*inputs, None, None, None, for_output, None)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> Any:
        tensors = into_batch(info.batch_size, in_dims, inputs[:-1])
        results = _SelectedGradients.apply(*tensors, inputs[-1])
        return out_of_batch(info.batch_size, results), (0, 0, 0)


def _plain(query: Tensor, key: Tensor, value: Tensor, selected: Tensor, scale: float) -> Tensor:
    """The same attention in operations that can be differentiated any number of times."""
    rows = _Rows(key)
    found = rows.find(selected)
    scores = found.scores(query, rows.flat(key), scale)
    has_key = found.is_key.any(-1, keepdim=True)
    weights = scores.masked_fill(~has_key, 0.0).softmax(-1).masked_fill(~found.is_key, 0.0)
    return torch.einsum("bhqs,bhqsd->bhqd", weights, found.take(rows.flat(value))).to(value.dtype)


class _Found(NamedTuple):
    """Selected keys as rows of a flat (batch * heads * keys + 1, dim) tensor.

    The last row holds zeros and stands for no key, so that no key is touched by a query that has
    not selected it.
    """

    rows: Tensor
    is_key: Tensor

    def take(self, flat: Tensor) -> Tensor:
        """The rows as (batch, heads, queries, selected, dim), in at least single precision."""
        rows = flat.index_select(0, self.rows.flatten()).unflatten(0, self.rows.shape)
        return rows.to(_sum_dtype(flat))

    def scores(self, query: Tensor, keys: Tensor, scale: float) -> Tensor:
        """Scaled products, -inf for no key."""
        keys = self.take(keys)
        products = torch.einsum("bhqd,bhqsd->bhqs", query.to(keys.dtype), keys)
        return (products * scale).masked_fill(~self.is_key, -torch.inf)

    def add(self, flat: Tensor, amounts: Tensor) -> None:
        """Adds to the rows."""
        flat.index_add_(0, self.rows.flatten(), amounts.flatten(0, 3).to(flat.dtype))


class _Rows:
    """Where the keys of each batch element and head lie in a flat tensor."""

    def __init__(self, key: Tensor) -> None:
        self.shape = key.shape[:3]
        batch, heads, k_len = self.shape
        self.n_rows = batch * heads * k_len
        first = torch.arange(0, self.n_rows, k_len, device=key.device)
        self.first = first.view(batch, heads, 1, 1)

    def flat(self, x: Tensor) -> Tensor:
        return F.pad(x.reshape(-1, x.shape[-1]), (0, 0, 0, 1))

    def unflat(self, x: Tensor) -> Tensor:
        return x[:-1].view(*self.shape, -1)

    def find(self, selected: Tensor) -> _Found:
        is_key = selected >= 0
        return _Found(torch.where(is_key, selected + self.first, self.n_rows), is_key)


def _sum_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _weights(scores: Tensor, lse: Tensor) -> Tensor:
    """exp(score - lse), and zeros for a query without any key, whose lse is -inf."""
    return torch.exp(scores - lse.masked_fill(lse == -torch.inf, 0.0)[..., None])


def _chunks(query: Tensor, selected: Tensor, dims: int) -> Iterator[slice]:
    batch, heads, q_len, n_selected = selected.shape
    bytes_per_query = max(1, batch * heads * n_selected * dims * query.element_size())
    step = max(1, BYTES_PER_CHUNK // bytes_per_query)
    for start in range(0, q_len, step):
        yield slice(start, min(start + step, q_len))
