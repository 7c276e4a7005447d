"""What the autograd functions of attention need for second derivatives and for `torch.func.vmap`.

Second derivatives go through the plain formula, which PyTorch differentiates by itself.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def differentiate_gradients(
    attend: Callable[..., Sequence[Tensor]],
    arguments: Sequence[Tensor],
    grad_outputs: Sequence[Tensor | None],
    grad_gradients: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The derivatives of the gradients of `attend`, in a direction.

    Args:
        attend: Gives the outputs, in operations that can be differentiated any number of times.
        arguments: What it is called with.
        grad_outputs: The gradients of the outputs; None for zero.
        grad_gradients: Those of the gradients of the arguments; None for zero.

    Returns:
        The derivatives with respect to the arguments, then those with respect to `grad_outputs`.
    """
    places = [n for n, grad in enumerate(grad_outputs) if grad is not None]
    n_arguments = len(arguments)

    def gradients(*inputs: Tensor) -> tuple[Tensor, ...]:
        """The gradients of the arguments, as a function of them and of the given gradients."""
        arguments, given = inputs[:n_arguments], inputs[n_arguments:]

        def used_outputs(*arguments: Tensor) -> tuple[Tensor, ...]:
            outputs = attend(*arguments)
            return tuple(outputs[n] for n in places)

        return tuple(torch.func.vjp(used_outputs, *arguments)[1](given))

    inputs = (*arguments, *(grad for grad in grad_outputs if grad is not None))
    values, derivatives = torch.func.vjp(gradients, *inputs)[:2]
    directions = (
        torch.zeros_like(value) if direction is None else direction
        for value, direction in zip(values, grad_gradients, strict=True)
    )
    found = derivatives(tuple(directions))
    rest = iter(found[n_arguments:])
    return [*found[:n_arguments], *(None if grad is None else next(rest) for grad in grad_outputs)]


def into_batch(n: int, in_dims: Any, tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Tensors with a mapped dimension of size `n`, folded into their batch."""

    def folded(x: Tensor, dim: int | None) -> Tensor:
        mapped = x.expand(n, *x.shape) if dim is None else x.movedim(dim, 0)
        return mapped.flatten(0, 1)

    return [None if x is None else folded(x, dim) for dim, x in zip(in_dims, tensors, strict=False)]


def out_of_batch(n: int, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The mapped dimension in front again."""
    return tuple(x.unflatten(0, (n, -1)) for x in tensors)
