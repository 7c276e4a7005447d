"""What every router has in common, and what routers share in which tokens choose their experts."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.experts.losses import (
    balance_loss,
    router_z_loss,
    sequence_balance_loss,
    squared_variation,
)
from sparse_transformers.models.experts.routing import Routing


class Router(nn.Module, ABC):
    """Decides which experts read which tokens.

    Attributes:
        sees_future: whether the experts of a token depend on later tokens. A causal model refuses
            such a router.
        loss_weights: the losses that it is usually trained with, and what they are multiplied by.
    """

    sees_future: ClassVar[bool] = False
    loss_weights: ClassVar[dict[str, float]] = {}

    def __init__(self, num_experts: int) -> None:
        super().__init__()
        check_whole(1, num_experts=num_experts)
        self.num_experts = num_experts

    @abstractmethod
    def forward(
        self,
        hidden: Float[Tensor, "batch seq d_model"],
        is_token: Bool[Tensor, "batch seq"],
        input_ids: Int[Tensor, "batch seq"] | None = None,
    ) -> Routing:
        """Routes the tokens of a batch.

        Args:
            hidden: what the experts are going to read.
            is_token: False for padding, which goes to no expert and changes nothing.
            input_ids: the tokens themselves, for routers that go by these.
        """

    def after_optimizer_step(self) -> None:
        """What the router does for its balance that is no gradient; nothing, for most."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The experts that tokens choose, before any expert is full.

    Attributes:
        experts: the chosen ones, the best first.
        gates: their weights; differentiable.
        probabilities: what the router thinks of all experts; they sum to 1.
        logits: what it computes that from, if it computes.
        expected_load: how many tokens each expert gets in expectation, if choosing is noisy.
    """

    experts: Int[Tensor, "tokens top_k"]
    gates: Float[Tensor, "tokens top_k"]
    probabilities: Float[Tensor, "tokens experts"]
    logits: Float[Tensor, "tokens experts"] | None = None
    expected_load: Float[Tensor, "experts"] | None = None


class TokenChoiceRouter(Router):
    """A router in which each token chooses `top_k` experts, whatever the other tokens choose.

    With a `capacity_factor` c an expert takes at most ⌈c · top_k · n / experts⌉ tokens of a
    sequence of n, first come, first served; the others are dropped, and pass the layer by. This
    holds in training only. In evaluation nothing is dropped, so that an answer does not depend on
    how many tokens are read at once. The turn is by position alone: to serve all first choices
    before all second ones, as GShard does, would let a later token push an earlier one out.

    Source: Lepikhin et al. 2020, arXiv:2006.16668, section 2.2 (capacity); Fedus et al. 2021,
    arXiv:2101.03961, section 2.2, equation 3.
    """

    def __init__(
        self, num_experts: int, top_k: int, *, capacity_factor: float | None = None
    ) -> None:
        super().__init__(num_experts)
        check_whole(1, top_k=top_k)
        if top_k > num_experts:
            raise ValueError(f"top_k must be at most num_experts ({num_experts}), got {top_k}")
        if capacity_factor is not None and not capacity_factor > 0:
            raise ValueError(f"capacity_factor must be above 0 or None, got {capacity_factor}")
        self.top_k = top_k
        self.capacity_factor = capacity_factor

    @abstractmethod
    def choose(
        self, hidden: Float[Tensor, "tokens d_model"], input_ids: Int[Tensor, "tokens"] | None
    ) -> Choice:
        """The experts of each token, by itself."""

    def forward(
        self,
        hidden: Float[Tensor, "batch seq d_model"],
        is_token: Bool[Tensor, "batch seq"],
        input_ids: Int[Tensor, "batch seq"] | None = None,
    ) -> Routing:
        places = is_token.flatten().nonzero().squeeze(1)
        sequence = places // is_token.shape[1]
        padded = len(places) < is_token.numel()
        read = hidden.flatten(0, 1)
        ids = None if input_ids is None else input_ids.flatten()
        if padded:
            read = read.index_select(0, places)
            ids = None if ids is None else ids[places]
        choice = self.choose(read, ids)
        probabilities = choice.probabilities
        if padded:
            everywhere = probabilities.new_zeros(is_token.numel(), self.num_experts)
            probabilities = everywhere.index_copy(0, places, probabilities)

        experts, gates = choice.experts.flatten(), choice.gates.flatten()
        order = experts.argsort(stable=True)
        if self.training and self.capacity_factor is not None:
            capacity = expert_capacity(is_token, self.num_experts, self.top_k, self.capacity_factor)
            queue = sequence.repeat_interleave(self.top_k)
            served = arrivals(queue * self.num_experts + experts) < capacity[queue]
            order = order[served[order]]
        return Routing(
            tokens=places[order // self.top_k],
            experts=experts[order],
            gates=gates.index_select(0, order),
            probabilities=probabilities,
            is_token=is_token,
            n_chosen=len(experts),
            losses=_losses(choice, sequence),
            ranks=order % self.top_k,
        )


class LinearGate(nn.Linear):
    """One logit for each expert, computed in single precision at least.

    Source: Fedus et al. 2021, arXiv:2101.03961, section 2.4 (a router rounded to half precision
    is unstable).
    """

    def __init__(self, d_model: int, num_experts: int) -> None:
        check_whole(1, d_model=d_model, num_experts=num_experts)
        super().__init__(d_model, num_experts, bias=False)

    def forward(self, hidden: Float[Tensor, "*tokens d_model"]) -> Float[Tensor, "*tokens experts"]:
        with torch.autocast(hidden.device.type, enabled=False):
            precise = torch.promote_types(hidden.dtype, torch.float32)
            return F.linear(hidden.to(precise), self.weight.to(precise))


def expert_capacity(
    is_token: Bool[Tensor, "batch seq"], num_experts: int, top_k: int, capacity_factor: float
) -> Int[Tensor, "batch"]:
    """How many tokens of each sequence an expert takes: ⌈factor · top_k · tokens / experts⌉."""
    share = min(1.0, capacity_factor * top_k / num_experts)
    # Rounded first, so that a product that is whole on paper is not lifted by its last bit.
    exact = (is_token.sum(1).double() * share).mul(2**20).round().div(2**20)
    return exact.ceil().long()


def arrivals(queues: Int[Tensor, "entries"]) -> Int[Tensor, "entries"]:
    """How many earlier entries stand in the same queue as each entry."""
    order = queues.argsort(stable=True)
    lengths = torch.bincount(queues)
    starts = lengths.cumsum(0) - lengths
    places = torch.arange(len(queues), device=queues.device)
    return torch.empty_like(queues).index_copy(0, order, places - starts[queues[order]])


def _losses(choice: Choice, sequence: Int[Tensor, "tokens"]) -> dict[str, Float[Tensor, ""]]:
    """All that a choice allows to compute; `MoELayer` weighs those that train it."""
    importance = choice.gates.new_zeros(choice.probabilities.shape[1]).index_add(
        0, choice.experts.flatten(), choice.gates.flatten()
    )
    losses = {
        "balance": balance_loss(choice.probabilities, choice.experts),
        "sequence_balance": sequence_balance_loss(choice.probabilities, choice.experts, sequence),
        "importance": squared_variation(importance),
    }
    if choice.logits is not None:
        losses["z"] = router_z_loss(choice.logits)
    if choice.expected_load is not None:
        losses["load"] = squared_variation(choice.expected_load)
    return losses
