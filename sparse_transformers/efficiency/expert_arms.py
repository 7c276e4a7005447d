"""The layers that are compared, and how each is given the same weights."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sparse_transformers.efficiency.comparison import CannotMeasureError
from sparse_transformers.efficiency.expert_workload import (
    ExpertArm,
    ExpertShape,
    ExpertWeights,
    first_experts,
)
from sparse_transformers.models.experts.layer import MoELayer
from sparse_transformers.models.experts.networks import Implementation
from sparse_transformers.models.feed_forward import FeedForward

DENSE = "dense feed-forward"
OURS = "sparse_transformers"
LOOP = "sparse_transformers, loop"
GROUPED = "sparse_transformers, grouped"
MIXTRAL_LOOP = "Mixtral block, eager"
MIXTRAL_GROUPED = "Mixtral block, grouped_mm"


class GatedFeedForward(nn.Module):
    """The dense twin of gated experts: `(SiLU(x · gate) * (x · up)) · down`.

    Source: Shazeer 2020, arXiv:2002.05202.
    """

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, d_ff, bias=False)
        self.up = nn.Linear(d_model, d_ff, bias=False)
        self.down = nn.Linear(d_ff, d_model, bias=False)

    def forward(
        self, hidden: Float[Tensor, "batch seq d_model"]
    ) -> Float[Tensor, "batch seq d_model"]:
        return self.down(F.silu(self.gate(hidden)) * self.up(hidden))


def _dense(shape: ExpertShape, weights: ExpertWeights) -> ExpertArm:
    """As wide as the experts that a token meets: the same multiplications for each token."""
    layer_class = GatedFeedForward if shape.gated else FeedForward
    layer = layer_class(shape.d_model, shape.top_k * shape.d_ff)
    first = {name: each[: shape.top_k] for name, each in weights.by_name().items()}
    wide = {"down.weight": first["down"].flatten(0, 1).T}
    for name in first.keys() - {"router", "down"}:
        wide[f"{name}.weight"] = first[name].mT.flatten(0, 1)
    _load(layer, wide)

    def in_our_layout(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        experts = (shape.top_k, shape.d_ff)
        ours = {"down": tensors["down.weight"].T.unflatten(0, experts)}
        for name in tensors.keys() - {"down.weight"}:
            ours[name.removesuffix(".weight")] = tensors[name].unflatten(0, experts).mT
        return ours

    return ExpertArm(layer, layer, in_our_layout, gates=first_experts)


def _ours(
    shape: ExpertShape, weights: ExpertWeights, *, implementation: Implementation = "auto"
) -> ExpertArm:
    """The router's losses are computed, as always, but nothing is sent back through them."""
    layer = MoELayer(
        shape.d_model,
        shape.num_experts,
        {"name": "top_k", "top_k": shape.top_k},
        d_ff=shape.d_ff,
        gated=shape.gated,
        implementation=implementation,
    )
    names = {
        name: "router.gate.weight" if name == "router" else f"experts.{name}"
        for name in weights.by_name()
    }
    _load(layer, {names[name]: each for name, each in weights.by_name().items()})
    return ExpertArm(
        layer,
        answer=lambda hidden: layer(hidden).hidden,
        in_our_layout=lambda tensors: {name: tensors[key] for name, key in names.items()},
    )


def _mixtral(shape: ExpertShape, weights: ExpertWeights, *, implementation: str) -> ExpertArm:
    """The layer of a Mixtral model; models load with "grouped_mm" where they can, else "eager"."""
    try:
        from transformers.models.mixtral.configuration_mixtral import MixtralConfig
        from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock
    except ImportError as error:
        raise CannotMeasureError("transformers is not installed") from error
    if weights.gate is None:
        raise CannotMeasureError("experts of Mixtral are gated")
    config = MixtralConfig(
        hidden_size=shape.d_model,
        intermediate_size=shape.d_ff,
        num_local_experts=shape.num_experts,
        num_experts_per_tok=shape.top_k,
        experts_implementation=implementation,
    )
    layer = MixtralSparseMoeBlock(config)
    of_mixtral = {
        "gate.weight": weights.router,
        "experts.gate_up_proj": torch.cat([weights.gate, weights.up], dim=-1).mT,
        "experts.down_proj": weights.down.mT,
    }
    _load(layer, of_mixtral)

    def in_our_layout(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        gate, up = tensors["experts.gate_up_proj"].mT.chunk(2, dim=-1)
        down = tensors["experts.down_proj"].mT
        return {"router": tensors["gate.weight"], "gate": gate, "up": up, "down": down}

    return ExpertArm(layer, layer, in_our_layout)


def _load(layer: nn.Module, weights: dict[str, Tensor]) -> None:
    """Give the layer copies of the weights, on their device."""
    device = next(iter(weights.values())).device
    layer.to(device).load_state_dict(weights)


ARMS: dict[str, Callable[[ExpertShape, ExpertWeights], ExpertArm]] = {
    DENSE: _dense,
    OURS: _ours,
    LOOP: partial(_ours, implementation="loop"),
    GROUPED: partial(_ours, implementation="grouped"),
    MIXTRAL_LOOP: partial(_mixtral, implementation="eager"),
    MIXTRAL_GROUPED: partial(_mixtral, implementation="grouped_mm"),
}
"""By the name that tables show. An arm that does not apply raises `CannotMeasureError`."""
