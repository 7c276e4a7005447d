"""A router by itself: vectors in, experts out."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor

from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.experts.routers import TopKRouter
from sparse_transformers.models.initialization import seeded_on_cpu


@dataclass(frozen=True)
class RoutedVector:
    """Where a router sends one vector.

    Attributes:
        all_probs: the probability of each expert; they sum to 1.
        top_k_indices: the chosen experts, the likeliest first.
        top_k_probs: their probabilities, divided by their sum.
        selected_experts: their names, which are numbers. What an expert is good at is to be
            measured (see `ExpertRouterDemo.analyze_expert_specialization`), not to be named.
        routing_entropy: of `all_probs`, in nats: 0 for one expert, ln(experts) for no preference.
        load_balance_loss: Σ (p - 1 / experts)², how far this one vector is from having no
            preference. It is no balance over many vectors: see `models.routing_losses`.
        trained: whether the router came out of a trained model; else it knows nothing.
    """

    all_probs: tuple[float, ...]
    top_k_indices: tuple[int, ...]
    top_k_probs: tuple[float, ...]
    selected_experts: tuple[str, ...]
    routing_entropy: float
    load_balance_loss: float
    trained: bool

    def __str__(self) -> str:
        chosen = ", ".join(
            f"{name} ({share:.2f})"
            for name, share in zip(self.selected_experts, self.top_k_probs, strict=True)
        )
        router = "a trained router" if self.trained else "an untrained router"
        return f"{chosen}, by {router}; entropy {self.routing_entropy:.2f} nats"


class ExpertRouter:
    """Asks a `TopKRouter` about vectors.

    Without `router` its weights are random: it then shows how routing works, and its choices mean
    nothing. `ExpertRouterDemo.router` is a trained one.

    Args:
        num_experts: how many experts there are.
        input_dim: width of the vectors.
        top_k: how many experts to choose.
        router: a router of these sizes out of a trained model.
        seed: of the random weights.

    Raises:
        ValueError: a size is out of range, or not that of `router`.
    """

    def __init__(
        self,
        num_experts: int,
        input_dim: int = 768,
        top_k: int = 2,
        *,
        router: TopKRouter | None = None,
        seed: int = 0,
    ) -> None:
        self.trained = router is not None
        if router is None:
            with seeded_on_cpu(seed):
                router = TopKRouter(input_dim, num_experts, top_k)
        sizes = (router.num_experts, router.gate.in_features, router.top_k)
        if sizes != (num_experts, input_dim, top_k):
            raise ValueError(
                "router must have num_experts, input_dim and top_k of "
                f"{(num_experts, input_dim, top_k)}, got {sizes}"
            )
        self.num_experts = num_experts
        self.input_dim = input_dim
        self.top_k = top_k
        self.expert_names = expert_names(num_experts)
        self._router = router

    def route(self, vector: ArrayLike | Tensor, temperature: float = 1.0) -> RoutedVector:
        """Where one vector goes.

        Args:
            vector: (input_dim,).
            temperature: logits are divided by it: small for a router that is sure, large for one
                that has no preference. It changes no choice.

        Raises:
            ValueError: the vector has another shape or is not finite, or the temperature is not
                above 0.
        """
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        numbers = _as_numbers("vector", vector, (self.input_dim,))
        logits = self._logits(numbers[None])[0]
        # Less the largest before it is divided: a small temperature then overflows to 0 alone.
        probabilities = ((logits - logits.max()) / temperature).softmax(-1)
        experts = logits.topk(self.top_k).indices.tolist()
        chosen = probabilities[experts]
        return RoutedVector(
            all_probs=tuple(probabilities.tolist()),
            top_k_indices=tuple(experts),
            top_k_probs=tuple((chosen / chosen.sum()).tolist()),
            selected_experts=tuple(self.expert_names[expert] for expert in experts),
            routing_entropy=float(torch.special.entr(probabilities).sum()),
            load_balance_loss=float((probabilities - 1 / self.num_experts).square().sum()),
            trained=self.trained,
        )

    def analyze_routing_patterns(self, inputs: Mapping[str, ArrayLike | Tensor]) -> pd.DataFrame:
        """How vectors of several types are routed.

        Args:
            inputs: the vectors of each type, (vectors, input_dim).

        Returns:
            A row for each type and expert, with `input_type`, `expert_idx`, `expert_name`,
            `routing_prob` (mean over the vectors) and `selected_share` (of the vectors; sums to
            top_k over the experts of a type).

        Raises:
            ValueError: there is no type, or the vectors of one have another shape, are none, or
                are not finite.
        """
        if not inputs:
            raise ValueError("inputs must hold the vectors of at least one type, got none")
        tables = []
        for kind, vectors in inputs.items():
            numbers = _as_numbers(f"inputs[{kind!r}]", vectors, (None, self.input_dim))
            logits = self._logits(numbers)
            experts = logits.topk(self.top_k).indices
            counts = torch.bincount(experts.flatten(), minlength=self.num_experts)
            table = {
                "input_type": kind,
                "expert_idx": range(self.num_experts),
                "expert_name": self.expert_names,
                "routing_prob": logits.softmax(-1).mean(0).numpy(),
                "selected_share": counts.numpy() / len(experts),
            }
            tables.append(pd.DataFrame(table))
        return pd.concat(tables, ignore_index=True)

    @torch.no_grad()
    def _logits(self, vectors: Tensor) -> Tensor:
        weight = self._router.gate.weight
        return self._router.gate(vectors.to(weight.device, weight.dtype)).cpu().double()


def expert_names(num_experts: int) -> tuple[str, ...]:
    """The names of experts: "expert 0", "expert 1" and so on.

    Raises:
        ValueError: `num_experts` is below 1.
    """
    check_whole(1, num_experts=num_experts)
    return tuple(f"expert {expert}" for expert in range(num_experts))


def _as_numbers(
    name: str, values: ArrayLike | Tensor, shape: tuple[int | None, ...]
) -> Float[Tensor, "*vectors input_dim"]:
    """Finite numbers of a shape in which None stands for one or more."""
    array = np.array(values.tolist() if isinstance(values, Tensor) else values, dtype=np.float64)
    fits = len(array.shape) == len(shape) and all(
        found >= 1 if size is None else found == size
        for found, size in zip(array.shape, shape, strict=False)
    )
    if not fits:
        wanted = " x ".join("vectors" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must hold {wanted} numbers, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got infinite numbers or NaN")
    return torch.from_numpy(array)
