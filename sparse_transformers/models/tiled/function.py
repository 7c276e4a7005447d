"""Attention that visits the tiles of a layout and nothing else, forward and backward.

The work is divided in three steps, and each has a file:

    views.py     a view is a set of heads and tokens that share one layout of tiles
    bands.py     a band is a set of tile rows of that layout with equally many tiles and equal masks
    launches.py  a launch is a part of a band whose scores fit into the cache

`softmax.py` then computes each launch as a batch of small dense attention problems. Queries and
keys are read through strided views of the tensors and are copied for scattered tiles only.

A row that occurs in several views (a pattern may consist of several parts) gets the results of all
of them, joined through their log-sum-exp. Only the output and the log-sum-exp are kept for the
backward pass, which computes the scores again tile by tile and adds the gradients of keys and
values in place. Memory therefore grows with the length, not with its square.
"""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_transformers.models.attention_reference import reference_attention
from sparse_transformers.models.block_layout import CPU_BLOCK_SIZE, CUDA_BLOCK_SIZE
from sparse_transformers.models.function_transforms import (
    differentiate_gradients,
    into_batch,
    out_of_batch,
)
from sparse_transformers.models.pattern_base import AttentionPattern, PerSequence
from sparse_transformers.models.tiled.launches import launches_of
from sparse_transformers.models.tiled.softmax import (
    can_fuse,
    fused_backward,
    fused_forward,
    plain_backward,
    plain_forward,
)
from sparse_transformers.models.tiled.views import views_of

BLOCK_SIZE = {"cpu": CPU_BLOCK_SIZE, "cuda": CUDA_BLOCK_SIZE}
BYTES_PER_LAUNCH = {"cpu": 8 << 20, "cuda": 256 << 20}
"""New memory of one launch: fits into the last-level cache of a CPU, and fills a GPU."""


def tiled_attention(
    query: Float[Tensor, "batch heads queries dim"],
    key: Float[Tensor, "batch kv_heads keys dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    pattern: AttentionPattern,
    scale: float,
) -> tuple[
    Float[Tensor, "batch heads queries value_dim"],
    Float[Tensor, "batch heads queries"],
]:
    """Output and log-sum-exp over the pairs that `pattern` allows; arguments are not checked here.

    The gradient flows through both results. Work and memory follow the tiles of the layout, also
    for the gradient; second derivatives compute all scores.
    """
    output, lse, _ = _TiledAttention.apply(query, key, value, pattern, scale)
    return output, lse


class _TiledAttention(torch.autograd.Function):
    """Attention, and whether it had to be computed with care (see `_attend`)."""

    @staticmethod
    def forward(
        query: Tensor, key: Tensor, value: Tensor, pattern: AttentionPattern, scale: float
    ) -> tuple[Tensor, Tensor, bool]:
        output, lse = _attend(query, key, value, pattern, scale)
        # A forbidden number that is infinite or NaN always makes the result NaN, since the fast
        # path adds -inf to its score and multiplies its value by 0. A sum finds that in one pass.
        careful = bool(output.sum().isnan())
        if careful:
            output, lse = _attend(query, key, value, pattern, scale, careful=True)
        return output, lse, careful

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        query, key, value, ctx.pattern, ctx.scale = inputs
        attended, lse, ctx.careful = output
        ctx.save_for_backward(query, key, value, attended, lse)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor | None, grad_lse: Tensor | None, _: None) -> Any:
        if grad_output is None:
            grad_output = torch.zeros_like(ctx.saved_tensors[3])
        gradients = _TiledGradients.apply(
            *ctx.saved_tensors, grad_output, grad_lse, ctx.pattern, ctx.scale, ctx.careful
        )
        return (*gradients, None, None)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        pattern: AttentionPattern,
        scale: float,
    ) -> Any:
        n = info.batch_size
        tensors = into_batch(n, in_dims, (query, key, value))
        results = _TiledAttention.apply(*tensors, _repeated(pattern, n), scale)
        return (*out_of_batch(n, results[:2]), results[2]), (0, 0, None)


class _TiledGradients(torch.autograd.Function):
    """The gradients of query, key and value, which have gradients of their own."""

    @staticmethod
    def forward(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        output: Tensor,
        lse: Tensor,
        grad_output: Tensor,
        grad_lse: Tensor | None,
        pattern: AttentionPattern,
        scale: float,
        careful: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        arguments = (query, key, value, output, lse, grad_output, grad_lse, pattern, scale)
        gradients = _gradients(*arguments, careful=careful)
        if not careful and any(bool(gradient.sum().isnan()) for gradient in gradients):
            gradients = _gradients(*arguments, careful=True)
        return gradients

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        query, key, value, _, _, grad_output, grad_lse, ctx.pattern, ctx.scale, _ = inputs
        ctx.save_for_backward(query, key, value, grad_output, grad_lse)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *grad_gradients: Tensor | None) -> Any:
        query, key, value, grad_output, grad_lse = ctx.saved_tensors

        def attend(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
            return reference_attention(query, key, value, ctx.pattern, scale=ctx.scale)[:2]

        *inputs, for_output, for_lse = differentiate_gradients(
            attend, (query, key, value), (grad_output, grad_lse), grad_gradients
        )
        # Output and log-sum-exp are functions of the arguments, whose derivatives hold theirs.
        return (*inputs, None, None, for_output, for_lse, None, None, None)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> Any:
        n = info.batch_size
        *tensors, pattern, scale, careful = inputs
        tensors = into_batch(n, in_dims, tensors)
        gradients = _TiledGradients.apply(*tensors, _repeated(pattern, n), scale, careful)
        return out_of_batch(n, gradients), (0, 0, 0)


def _repeated(pattern: AttentionPattern, n: int) -> AttentionPattern:
    return PerSequence(pattern.patterns * n) if isinstance(pattern, PerSequence) else pattern


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pattern: AttentionPattern,
    scale: float,
    *,
    careful: bool = False,
) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp, launch by launch.

    With `careful`, forbidden pairs are left out even where a number is infinite or NaN, which takes
    longer.
    """
    query, key, value = (_rows_in_place(x) for x in (query, key, value))
    device = query.device.type if query.device.type in BLOCK_SIZE else "cuda"
    views = views_of(query, key, pattern, BLOCK_SIZE[device])
    # Sums are kept in at least single precision and rounded once, at the end.
    sum_dtype = torch.promote_types(query.dtype, torch.float32)
    joins = any(view.joins for view in views)
    output = _empty_tokens(query, value.shape[-1], sum_dtype if joins else query.dtype)
    lse = _empty_tokens(query, 1, sum_dtype)
    if not all(view.layout.fills_all_rows for view in views if not view.joins):
        output.zero_()
        lse.fill_(-torch.inf)
    fused = can_fuse(query, key, value) and not careful
    run = fused_forward if fused else partial(plain_forward, careful=careful)
    copies = {"key_copies": 0, "score_copies": 0 if fused else 3}
    for view in views:
        q, o, s = (view.queries(x) for x in (query, output, lse))
        k, v = (view.keys(x) for x in (key, value))
        for launch in launches_of(view, k, BYTES_PER_LAUNCH[device], **copies):
            part_output, part_lse = run(
                launch.queries(q), launch.keys(k), launch.keys(v), launch.bias(q), scale
            )
            if view.joins:
                part_output, part_lse = _join(
                    launch.queries(o), launch.queries(s)[..., 0], part_output, part_lse
                )
            launch.put_queries(o, part_output)
            launch.put_queries(s, part_lse[..., None])
    return output.to(query.dtype), lse[..., 0]


def _gradients(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    lse: Tensor,
    grad_output: Tensor,
    grad_lse: Tensor | None,
    pattern: AttentionPattern,
    scale: float,
    *,
    careful: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of query, key and value, launch by launch."""
    query, key, value, grad_output = (_rows_in_place(x) for x in (query, key, value, grad_output))
    device = query.device.type if query.device.type in BLOCK_SIZE else "cuda"
    sum_dtype = lse.dtype
    delta = None
    copies = {"key_copies": 2, "score_copies": 0}
    if grad_lse is not None or careful or not can_fuse(query, key, value):
        delta = (grad_output * output.to(sum_dtype)).sum(-1)[..., None]
        if grad_lse is not None:
            delta = delta - grad_lse[..., None]
        copies["score_copies"] = 4
    # exp(score - inf) = 0: the weights of a query without any key are 0, and so its gradients.
    lse = lse.masked_fill(lse == -torch.inf, torch.inf)[..., None]

    grad_query, grad_key, grad_value = (
        _empty_tokens(x, x.shape[-1], sum_dtype).zero_() for x in (query, key, value)
    )
    for view in views_of(query, key, pattern, BLOCK_SIZE[device]):
        q, o, s, g, dq = (view.queries(x) for x in (query, output, lse, grad_output, grad_query))
        k, v, dk, dv = (view.keys(x) for x in (key, value, grad_key, grad_value))
        d = None if delta is None else view.queries(delta)
        for launch in launches_of(view, k, BYTES_PER_LAUNCH[device], **copies):
            grad, queries = launch.queries(g), launch.queries(q)
            keys, values, bias = launch.keys(k), launch.keys(v), launch.bias(q)
            inputs = (grad, queries, keys, values, bias, scale)
            row_lse = launch.queries(s)[..., 0]
            if d is None:
                grads = fused_backward(*inputs, launch.queries(o), row_lse)
            else:
                row_delta = launch.queries(d)[..., 0]
                grads = plain_backward(*inputs, row_delta, row_lse, careful=careful)
            # Views that come first write their rows once; later ones add to what is there.
            launch.put_queries(dq, grads.query + launch.queries(dq) if view.joins else grads.query)
            launch.add_keys(dk, grads.key)
            launch.add_keys(dv, grads.value)
    return grad_query.to(query.dtype), grad_key.to(key.dtype), grad_value.to(value.dtype)


def _rows_in_place(x: Tensor) -> Tensor:
    """The tensor with the numbers of a row side by side in memory."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _empty_tokens(x: Tensor, dim: int, dtype: torch.dtype) -> Tensor:
    """Memory for (batch, heads, positions, dim), the heads of one position side by side."""
    batch, heads, positions, _ = x.shape
    return x.new_empty(batch, positions, heads, dim, dtype=dtype).transpose(1, 2)


def _join(
    output: Tensor, lse: Tensor, part_output: Tensor, part_lse: Tensor
) -> tuple[Tensor, Tensor]:
    """Softmax attention over the union of two disjoint sets of keys, from that over each."""
    total = torch.logaddexp(lse, part_lse)
    safe = total.masked_fill(total == -torch.inf, 0.0)
    weight, part_weight = torch.exp(lse - safe), torch.exp(part_lse - safe)
    return output * weight[..., None] + part_output * part_weight[..., None], total
