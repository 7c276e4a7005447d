"""Ablation of experts: the loss of each class of tokens when one expert is switched off.

Routing shows which tokens an expert processes, not whether that matters: another expert might do
the same to them. The change of the loss without the expert measures it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor, nn

from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.evaluation_mode import evaluation_mode
from sparse_transformers.models.experts.layer import MoELayer
from sparse_transformers.utils.metrics.experts.class_means import ClassMeans, Values


@dataclass(frozen=True)
class ExpertAblation:
    """What the loss becomes without one expert.

    Attributes:
        layer: the name of its layer in the model.
        expert: its number there.
        losses: mean loss of each class without it.
        deltas: by how much that is above the loss with all experts; positive where it is missed.
        standard_errors: of the deltas: how far they would vary with other units. The variation
            between training runs is not included.
    """

    layer: str
    expert: int
    losses: dict[str, float]
    deltas: dict[str, float]
    standard_errors: dict[str, float]


@dataclass(frozen=True)
class ExpertLosses:
    """The loss of each class of tokens, with all experts and without each of them.

    Attributes:
        n_tokens: tokens of each class.
        intact: mean loss of each class with all experts.
        ablations: one for each expert of each layer, in the order of the layers.
    """

    n_tokens: dict[str, int]
    intact: dict[str, float]
    ablations: tuple[ExpertAblation, ...]


@contextmanager
def without_expert(layer: MoELayer, expert: int) -> Iterator[None]:
    """Within the block, the expert answers zero to all that it reads.

    Its last matrix is zero meanwhile, and afterwards what it was, to the bit, also if the block
    fails. Routing stays as it is: a token keeps its gates, the others are not raised in turn, and
    a token that reads this expert alone gets nothing but what the residual stream carries. To send
    the tokens to other experts would be another question.

    Do not train in the block, and call `backward` on the side of it on which the loss was computed:
    autograd refuses weights that have changed meanwhile.

    Raises:
        ValueError: there is no such expert.
    """
    check_whole(0, expert=expert)
    weights = layer.experts.down
    if expert >= len(weights):
        raise ValueError(f"expert must be below {len(weights)}, got {expert}")
    intact = weights[expert].detach().clone()
    try:
        with torch.no_grad():
            weights[expert] = 0.0
        yield
    finally:
        with torch.no_grad():
            weights[expert] = intact


def expert_losses(
    model: nn.Module,
    token_losses: Callable[[nn.Module], Float[Tensor, "tokens"]],
    classes: "ArrayLike",
    *,
    units: "ArrayLike | None" = None,
) -> ExpertLosses:
    """The mean loss of each class of tokens, with all experts and without each of them.

    The model runs in evaluation mode without gradients, once for each expert and twice as it is;
    afterwards its weights, the training mode of every submodule and the global random state are as
    before. Random numbers that it draws from torch's global generator are the same in each run.

    Args:
        model: any module that holds a `MoELayer`. Shared experts stay on.
        token_losses: runs the model on the same tokens each time, and returns the loss of each
            real token: (tokens,), in nats.
        classes: the class of each token.
        units: what was drawn independently, such as the statement that each token belongs to; for
            the standard errors. None: each token by itself, for which they are too small where
            tokens belong together.

    Raises:
        ValueError: the model has no `MoELayer`; there is not one finite loss for each class, or
            not the same loss twice; or `ClassMeans` refuses the labels.

    Source: ablation as in Michel et al. 2019, arXiv:1905.10650, section 3 (heads there).

    Example:
        >>> import sparse_transformers as st
        >>> import torch
        >>> layer = st.MoELayer(16, num_experts=4, router="top_k")
        >>> tokens = torch.randn(1, 6, 16)
        >>> result = st.expert_losses(
        ...     layer,
        ...     lambda model: model(tokens).hidden.square().mean(-1).flatten(),
        ...     classes=["name", "number"] * 3,
        ... )
        >>> result.n_tokens, len(result.ablations)
        ({'name': 3, 'number': 3}, 4)
    """
    layers = [(name, each) for name, each in model.named_modules() if isinstance(each, MoELayer)]
    if not layers:
        raise ValueError(f"model must hold a MoELayer, got a {type(model).__name__} without")
    classified = ClassMeans(classes, units)
    n_tokens = sum(classified.n_tokens.values())
    with evaluation_mode(model), torch.no_grad():
        intact, repeated = (_run(token_losses, model, n_tokens) for _ in range(2))
        # Sums over atomic additions on a GPU may differ in their last bits, other tokens by far.
        if not np.allclose(intact, repeated, rtol=1e-3, atol=1e-3):
            raise ValueError(
                "token_losses must return the same losses when the model is the same, got losses "
                f"that differ by up to {np.abs(intact - repeated).max():.3g}"
            )
        ablations = []
        for name, layer in layers:
            for expert in range(layer.experts.down.shape[0]):
                with without_expert(layer, expert):
                    losses = _run(token_losses, model, n_tokens)
                ablations.append(
                    ExpertAblation(
                        layer=name,
                        expert=expert,
                        losses=classified.means(losses),
                        deltas=classified.means(losses - intact),
                        standard_errors=classified.standard_errors(losses - intact),
                    )
                )
    return ExpertLosses(
        n_tokens=classified.n_tokens, intact=classified.means(intact), ablations=tuple(ablations)
    )


def _run(
    token_losses: Callable[[nn.Module], Float[Tensor, "tokens"]], model: nn.Module, n_tokens: int
) -> Values:
    cuda = {each.device for each in model.parameters() if each.is_cuda}
    with torch.random.fork_rng(devices=list(cuda)):
        losses = token_losses(model)
    if not isinstance(losses, Tensor) or losses.shape != (n_tokens,):
        got = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
        raise ValueError(f"token_losses must return a loss per class, ({n_tokens},), got {got}")
    if not losses.isfinite().all():
        token = int((~losses.isfinite()).nonzero()[0])
        raise ValueError(f"token_losses must be finite, got {losses[token]} for token {token}")
    return losses.double().cpu().numpy()
