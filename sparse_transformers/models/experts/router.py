"""The base class of all routers, and that of routers in which tokens choose their experts."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor, nn

from sparse_transformers.models.checks import check_number, check_whole
from sparse_transformers.models.experts.losses import (
    balance_loss,
    router_z_loss,
    sequence_balance_loss,
    squared_variation,
)
from sparse_transformers.models.experts.routing import Routing


class Router(nn.Module, ABC):
    """Decides which experts process which tokens.

    A new router in which each token chooses by itself is a subclass of `TokenChoiceRouter`; other
    routers are subclasses of this class.

    >>> import sparse_transformers as st
    >>> import torch
    >>> router = st.make_router("switch", d_model=32, num_experts=4)
    >>> isinstance(router, st.Router), router.sees_future
    (True, False)
    >>> router(torch.randn(1, 10, 32), torch.ones(1, 10, dtype=torch.bool)).n_tokens
    10

    Args:
        num_experts: Number of experts, at least 1.

    Attributes:
        sees_future: Whether the experts of a token depend on later tokens. A causal model does not
            accept such a router.
        loss_weights: The losses that it is usually trained with, and the factor on each.
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
        input_ids: Integer[Tensor, "batch seq"] | None = None,
    ) -> Routing:
        """Routes the tokens of a batch.

        Args:
            hidden: Hidden states, which are the inputs of the experts.
            is_token: False for padding, which goes to no expert and changes no result.
            input_ids: Token ids, for routers that depend on them.
        """

    def after_optimizer_step(self) -> None:
        """Updates what balances the load without a gradient; most routers have no such update."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The experts that tokens choose, before the capacity of the experts is applied.

    >>> import sparse_transformers as st
    >>> import torch
    >>> experts = torch.tensor([[2], [0]])  # two tokens choose one of three experts
    >>> st.Choice(experts, torch.ones(2, 1), torch.eye(3)[experts[:, 0]]).experts.shape
    torch.Size([2, 1])

    Attributes:
        experts: The chosen experts, the best first.
        gates: Factors on their outputs; differentiable.
        probabilities: The router's probability of every expert; they sum to 1.
        logits: What the probabilities are computed from; None for a router without logits.
        expected_load: Expected number of tokens of each expert, if the choice is noisy.
    """

    experts: Int[Tensor, "tokens top_k"]
    gates: Float[Tensor, "tokens top_k"]
    probabilities: Float[Tensor, "tokens experts"]
    logits: Float[Tensor, "tokens experts"] | None = None
    expected_load: Float[Tensor, "experts"] | None = None


class TokenChoiceRouter(Router):
    """A router in which each token chooses `top_k` experts, whatever the other tokens choose.

    A new router is a subclass with one method, `choose`:

    >>> import sparse_transformers as st
    >>> import torch
    >>> class FirstExpert(st.TokenChoiceRouter):
    ...     def choose(self, hidden, input_ids):
    ...         experts = torch.zeros(len(hidden), 1, dtype=torch.long)
    ...         probabilities = torch.eye(self.num_experts)[experts[:, 0]]
    ...         return st.Choice(experts, torch.ones(len(hidden), 1), probabilities)
    ...
    >>> layer = st.MoELayer(32, num_experts=4, router=FirstExpert(4, top_k=1))
    >>> layer(torch.randn(2, 10, 32)).routing.counts
    tensor([20,  0,  0,  0])

    With a `capacity_factor` c an expert processes at most ⌈c · top_k · n / experts⌉ tokens of a
    sequence of n tokens, those with the lowest positions; the others are dropped, and the expert
    adds nothing to their output. This holds in training only. In evaluation no token is dropped, so
    that the output does not depend on how many tokens are processed at once. The order is that of
    the positions: if all first choices came before all second ones, as in GShard, a later token
    could displace an earlier one.

    Args:
        num_experts: Number of experts, at least 1.
        top_k: Number of experts for each token, from 1 to `num_experts`.
        capacity_factor: c, above 0; None: no token is dropped.

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
        check_number(capacity_factor=capacity_factor)
        if capacity_factor is not None and not capacity_factor > 0:
            raise ValueError(f"capacity_factor must be above 0 or None, got {capacity_factor}")
        self.top_k = top_k
        self.capacity_factor = capacity_factor

    @abstractmethod
    def choose(
        self, hidden: Float[Tensor, "tokens d_model"], input_ids: Integer[Tensor, "tokens"] | None
    ) -> Choice:
        """The experts of each token, which must not depend on the other tokens.

        Args:
            hidden: Hidden states of the real tokens.
            input_ids: Their ids, or None if the layer was called without ids.
        """

    def forward(
        self,
        hidden: Float[Tensor, "batch seq d_model"],
        is_token: Bool[Tensor, "batch seq"],
        input_ids: Integer[Tensor, "batch seq"] | None = None,
    ) -> Routing:
        places = is_token.flatten().nonzero().squeeze(1)
        sequence = places // is_token.shape[1]
        padded = len(places) < is_token.numel()
        tokens = hidden.flatten(0, 1)
        ids = None if input_ids is None else input_ids.flatten()
        if padded:
            tokens = tokens.index_select(0, places)
            ids = None if ids is None else ids[places]
        choice = self.choose(tokens, ids)
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
    """The most tokens of each sequence that an expert processes.

    It is ⌈factor · top_k · tokens / experts⌉.
    """
    share = min(1.0, capacity_factor * top_k / num_experts)
    # Rounded first, so that a whole number with a rounding error is not raised to the next one.
    exact = (is_token.sum(1).double() * share).mul(2**20).round().div(2**20)
    return exact.ceil().long()


def arrivals(queues: Int[Tensor, "entries"]) -> Int[Tensor, "entries"]:
    """For each entry, the number of earlier entries with the same value."""
    order = queues.argsort(stable=True)
    lengths = torch.bincount(queues)
    starts = lengths.cumsum(0) - lengths
    places = torch.arange(len(queues), device=queues.device)
    return torch.empty_like(queues).index_copy(0, order, places - starts[queues[order]])


def _losses(choice: Choice, sequence: Int[Tensor, "tokens"]) -> dict[str, Float[Tensor, ""]]:
    """All losses that can be computed from a choice; `MoELayer` weights and adds them."""
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
