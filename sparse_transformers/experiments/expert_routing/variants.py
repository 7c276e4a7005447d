"""The models that the expert experiment compares: one way to route in each, and one without."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from sparse_transformers.utils.plots.style import COLORS, REFERENCE_COLOR


@dataclass(frozen=True)
class Variant:
    """One way to route.

    Attributes:
        label: in figures and tables.
        router: its name in `ROUTERS` and its options, or None for a dense feed-forward part with as
            many active weights.
        loss_weights: see `MoELayer`; None for those of the router's authors.
        frozen: whether the router keeps its first weights while everything else learns.
    """

    label: str
    router: Mapping[str, Any] | None
    loss_weights: Mapping[str, float] | None = None
    frozen: bool = False


DENSE, BALANCED, UNBALANCED, FROZEN, HASH = "dense", "balance", "unbalanced", "frozen", "hash"

VARIANTS = {
    DENSE: Variant("dense", None),
    UNBALANCED: Variant("no balancing", {"name": "top_k"}, {}),
    BALANCED: Variant("balance loss 0.01", {"name": "top_k"}, {"balance": 1e-2, "z": 1e-3}),
    "strong_balance": Variant("balance loss 0.1", {"name": "top_k"}, {"balance": 1e-1, "z": 1e-3}),
    "noisy": Variant("noisy top-k", {"name": "noisy_top_k"}),
    # Ten times the published step: a run here takes hundreds of steps, not hundred thousands.
    "bias": Variant("bias without loss", {"name": "aux_free", "bias_step": 1e-2}, {}),
    FROZEN: Variant("control: frozen router", {"name": "top_k"}, {}, frozen=True),
    HASH: Variant("control: word hash", {"name": "hash"}),
}
"""By name. A new variant is one more entry."""

BALANCING = (BALANCED, "strong_balance", "noisy", "bias")
"""The variants that balance the load; they differ from `UNBALANCED` in nothing else."""

UNTRAINED, SHUFFLED = "untrained", "shuffled"
"""Controls that need no run of their own."""

LABELS = {
    **{name: variant.label for name, variant in VARIANTS.items()},
    UNTRAINED: "control: before training",
    SHUFFLED: "control: shuffled classes (95% below)",
}
LABEL_COLORS = {
    **dict(zip(LABELS.values(), cycle(COLORS), strict=False)),
    LABELS[UNTRAINED]: COLORS[1],
    LABELS[SHUFFLED]: REFERENCE_COLOR,
}
