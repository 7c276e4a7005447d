"""Step 4: softmax attention on one launch, a batch of small dense problems, forward and backward.

In the shapes, `rows` is the batch, and `queries` and `keys` are those of one row of tiles. There
are two implementations of the same mathematics: the fused one runs PyTorch's own CPU flash kernel,
which keeps the scores of a row in the cache; the plain one runs on every device and for every type.

Source: Dao 2023, arXiv:2307.08691, sections 2.3 and 3.1, for the log-sum-exp that both directions
share.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sparse_transformers.models.tiled.bands import TileBias


class TileGradients(NamedTuple):
    """Gradients of one batch of rows."""

    query: Float[Tensor, "rows heads queries dim"]
    key: Float[Tensor, "rows heads keys dim"]
    value: Float[Tensor, "rows heads keys value_dim"]


def can_fuse(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Whether the CPU flash kernel supports these tensors."""
    return (
        query.device.type == "cpu"
        and query.shape[-1] == value.shape[-1]
        and all(x.stride(-1) == 1 for x in (query, key, value))
        and hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")
    )


def fused_forward(
    query: Float[Tensor, "rows heads queries dim"],
    key: Float[Tensor, "rows heads keys dim"],
    value: Float[Tensor, "rows heads keys dim"],
    bias: TileBias | None,
    scale: float,
) -> tuple[Float[Tensor, "rows heads queries dim"], Float[Tensor, "rows heads queries"]]:
    """Output and log-sum-exp of every row; zeros and -inf for a query without a key."""
    output, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, False, attn_mask=None if bias is None else bias.values, scale=scale
    )
    if bias is not None and bias.no_key is not None:
        # The kernel leaves the results of an empty row undefined: 0 or NaN, depending on PyTorch.
        lse = lse.masked_fill(bias.no_key, -torch.inf)
        output = output.masked_fill(bias.no_key[..., None], 0.0)
    return output, lse


def fused_backward(
    grad_output: Float[Tensor, "rows heads queries dim"],
    query: Float[Tensor, "rows heads queries dim"],
    key: Float[Tensor, "rows heads keys dim"],
    value: Float[Tensor, "rows heads keys dim"],
    bias: TileBias | None,
    scale: float,
    output: Float[Tensor, "rows heads queries dim"],
    lse: Float[Tensor, "rows heads queries"],
) -> TileGradients:
    """Gradients, given the final output and log-sum-exp of each query (+inf if it has no key)."""
    return TileGradients(
        *torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad_output,
            query,
            key,
            value,
            output,
            lse,
            0.0,
            False,
            attn_mask=None if bias is None else bias.values,
            scale=scale,
        )
    )


def plain_forward(
    query: Float[Tensor, "rows heads queries dim"],
    key: Float[Tensor, "rows heads keys dim"],
    value: Float[Tensor, "rows heads keys value_dim"],
    bias: TileBias | None,
    scale: float,
    *,
    careful: bool = False,
) -> tuple[Float[Tensor, "rows heads queries value_dim"], Float[Tensor, "rows heads queries"]]:
    """The same as `fused_forward`, in tensor operations, and in at least single precision.

    Args:
        query: Queries.
        key: Keys.
        value: Values.
        bias: Which pairs are forbidden.
        scale: Factor on the scores.
        careful: Leave forbidden pairs out even where a number is infinite or NaN.
    """
    query, key, value = (_precise(x) for x in (query, key, value))
    scores = _scores(query, key, bias, scale)
    lse = torch.logsumexp(scores, dim=-1)
    weights = torch.exp(scores - lse.masked_fill(lse == -torch.inf, torch.inf)[..., None])
    if careful and bias is not None:
        allowed = bias.values == 0
        return allowed_product(weights.masked_fill(~allowed, 0.0), value, allowed), lse
    return weights @ value, lse


def plain_backward(
    grad_output: Float[Tensor, "rows heads queries value_dim"],
    query: Float[Tensor, "rows heads queries dim"],
    key: Float[Tensor, "rows heads keys dim"],
    value: Float[Tensor, "rows heads keys value_dim"],
    bias: TileBias | None,
    scale: float,
    delta: Float[Tensor, "rows heads queries"],
    lse: Float[Tensor, "rows heads queries"],
    *,
    careful: bool = False,
) -> TileGradients:
    """The same as `fused_backward`, with `delta` in place of the output.

    `delta = (grad_output * output).sum(-1)`, minus the gradient of the log-sum-exp where that is
    used too. `careful` is that of `plain_forward`.
    """
    grad_output, query, key, value = (_precise(x) for x in (grad_output, query, key, value))
    weights = torch.exp(_scores(query, key, bias, scale) - lse[..., None])
    grad_weights = grad_output @ value.transpose(-1, -2)
    grad_scores = weights * (grad_weights - delta[..., None]) * scale
    if not careful or bias is None:
        return TileGradients(
            query=grad_scores @ key,
            key=grad_scores.transpose(-1, -2) @ query,
            value=weights.transpose(-1, -2) @ grad_output,
        )
    allowed = bias.values == 0
    weights, grad_scores = (x.masked_fill(~allowed, 0.0) for x in (weights, grad_scores))
    seen_by = allowed.transpose(-1, -2)
    return TileGradients(
        query=allowed_product(grad_scores, key, allowed),
        key=allowed_product(grad_scores.transpose(-1, -2), query, seen_by),
        value=allowed_product(weights.transpose(-1, -2), grad_output, seen_by),
    )


def allowed_product(
    weights: Float[Tensor, "rows heads m n"],
    x: Float[Tensor, "rows heads n dim"],
    allowed: Bool[Tensor, "rows_or_1 1 m n"],
) -> Float[Tensor, "rows heads m dim"]:
    """`weights @ x` over the allowed pairs, where a forbidden infinity or NaN counts as nothing.

    In a matrix product it would count: 0 times infinity is NaN. The few columns with such a number
    are therefore added one by one.
    """
    is_finite = x.isfinite().all(-1)
    product = weights @ x.masked_fill(~is_finite[..., None], 0.0)
    for column in (~is_finite).flatten(0, 1).any(0).nonzero().flatten().tolist():
        term = weights[..., column, None] * x[..., column, None, :]
        counts = allowed[..., column, None] & ~is_finite[..., column, None, None]
        product = product + term.where(counts, 0.0)
    return product


def _scores(query: Tensor, key: Tensor, bias: TileBias | None, scale: float) -> Tensor:
    scores = query @ key.transpose(-1, -2) * scale
    # Filled in rather than added, because NaN and infinity would stay what they are.
    return scores if bias is None else scores.masked_fill(bias.values != 0, -torch.inf)


def _precise(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
