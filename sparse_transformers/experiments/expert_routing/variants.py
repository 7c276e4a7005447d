"""The models that the expert experiment compares: one way to route in each, and one without."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparse_transformers.models.experts.router import Router
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig


@dataclass(frozen=True)
class ExpertArm:
    """One way to route.

    Attributes:
        label: in figures and tables.
        router: a name out of `ROUTERS`, or None for a dense feed-forward part with as many active
            weights.
        loss_weights: see `MoELayer`; None for those of the router's authors.
        frozen: whether the router keeps its first weights while everything else learns.
        options: of the router.
    """

    label: str
    router: str | None
    loss_weights: Mapping[str, float] | None = None
    frozen: bool = False
    options: Mapping[str, Any] | None = None


DENSE, BALANCED, UNBALANCED, FROZEN, HASH = "dense", "balance", "unbalanced", "frozen", "hash"

ARMS = {
    DENSE: ExpertArm("dense, no experts", None),
    UNBALANCED: ExpertArm("top-k, nothing balances", "top_k", {}),
    BALANCED: ExpertArm("top-k, balance loss 0.01", "top_k", {"balance": 1e-2, "z": 1e-3}),
    "strong_balance": ExpertArm("top-k, balance loss 0.1", "top_k", {"balance": 1e-1, "z": 1e-3}),
    "noisy": ExpertArm("noisy top-k", "noisy_top_k"),
    # Ten times the published step: a run here takes hundreds of steps, not hundred thousands.
    "bias": ExpertArm("bias, no loss", "aux_free", {}, options={"bias_step": 1e-2}),
    FROZEN: ExpertArm("control: frozen router", "top_k", {}, frozen=True),
    HASH: ExpertArm("control: hash of the word", "hash"),
}
"""By name. A new arm is one more entry."""

BALANCING = (UNBALANCED, BALANCED, "strong_balance", "noisy", "bias")
"""The arms that differ in what balances the load, and in nothing else that is learned."""


def build_model(
    arm: ExpertArm,
    *,
    vocab_size: int,
    d_model: int,
    n_heads: int,
    n_layers: int,
    num_experts: int,
    top_k: int,
    d_ff: int,
    seed: int,
) -> SparseTransformer:
    """A causal language model of the arm.

    Args:
        arm: how it routes.
        vocab_size: number of words.
        d_model: width.
        n_heads: heads per block.
        n_layers: blocks, all with experts.
        num_experts: experts per block.
        top_k: experts per word.
        d_ff: width inside each expert; the dense model has `top_k` times as much.
        seed: of the weights.
    """
    experts = None
    if arm.router is not None:
        experts = {
            "num_experts": num_experts,
            "d_ff": d_ff,
            "router": {"name": arm.router, "top_k": top_k, **(arm.options or {})},
            "loss_weights": None if arm.loss_weights is None else dict(arm.loss_weights),
        }
    config = SparseTransformerConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        n_heads=n_heads,
        n_layers=n_layers,
        d_ff=top_k * d_ff,
        attention="causal",
        experts=experts,
    )
    model = SparseTransformer(config, seed=seed)
    if arm.frozen:
        for module in model.modules():
            if isinstance(module, Router):
                module.requires_grad_(False)
    return model
