"""A router of experts by itself: from vectors to the experts that they are sent to."""

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
from sparse_transformers.models.ranking import top_indices


@dataclass(frozen=True)
class RoutedVector:
    """How a router routes one vector.

    Attributes:
        all_probs: the probability of each expert; they sum to 1.
        top_k_indices: the indices of the selected experts, the most probable first.
        top_k_probs: their probabilities, divided by their sum.
        selected_experts: their names, which are numbers: in what an expert specialises has to be
            measured, see `ExpertRouterDemo.analyze_expert_specialization`.
        routing_entropy: entropy of `all_probs` in nats, from 0 (one expert has all probability) to
            ln(number of experts) (all are equal).
        load_balance_loss: Σ (p - 1 / number of experts)², the squared distance of this vector's
            probabilities from uniform ones. It says nothing about the balance over many vectors,
            which the losses of `MoELayer` measure.
        trained: whether the router belongs to a trained model; otherwise its weights are random.
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
    """Routes single vectors with a `TopKRouter`, and explains the result.

    Without `router` the weights are random: it then shows how routing works, but its selections
    have no meaning. `ExpertRouterDemo.router` is a trained one.

    >>> import sparse_transformers as st
    >>> router = st.ExpertRouter(num_experts=4, input_dim=8, top_k=2)
    >>> routed = router.route([1.0] * 8)
    >>> len(routed.all_probs), len(routed.selected_experts), routed.trained
    (4, 2, False)

    Args:
        num_experts: number of experts.
        input_dim: width of the vectors.
        top_k: number of experts to select for each vector.
        router: a router of these sizes from a trained model; None for random weights.
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

    def route(self, vector: "ArrayLike | Tensor", temperature: float = 1.0) -> RoutedVector:
        """Route one vector.

        Args:
            vector: the numbers, (input_dim,).
            temperature: the logits are divided by it: a small one makes the probabilities more
                extreme, a large one more uniform. The selected experts stay the same.

        Raises:
            ValueError: the vector has another shape or is not finite, or the temperature is not
                above 0.
        """
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        numbers = _as_numbers("vector", vector, (self.input_dim,))
        logits = self._logits(numbers[None])[0]
        # Subtract the largest first: with a small temperature, logits then overflow to -inf only.
        probabilities = ((logits - logits.max()) / temperature).softmax(-1)
        experts = top_indices(logits, self.top_k).tolist()
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

    def analyze_routing_patterns(self, inputs: "Mapping[str, ArrayLike | Tensor]") -> pd.DataFrame:
        """Route the vectors of several types, and average over each type.

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
            experts = top_indices(logits, self.top_k)
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
    """Finite numbers of the given shape; None stands for any size of at least one."""
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
