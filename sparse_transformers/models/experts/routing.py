"""The result of a router: which experts process which tokens, and how outputs are combined."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

ROWS_AT_ONCE = 1024
"""On a CPU, how many expert outputs are weighted before they are added: these stay in the cache."""


@dataclass(frozen=True, eq=False)
class Routing:
    """Which experts process each token, and the factor on each of their outputs.

    >>> import sparse_transformers as st
    >>> import torch
    >>> routing = st.MoELayer(32, num_experts=4, router="switch")(torch.randn(2, 10, 32)).routing
    >>> routing.tokens.shape, routing.n_dropped
    (torch.Size([20]), 0)
    >>> routing.assigned().shape
    torch.Size([2, 10, 4])
    >>> sorted(routing.losses)
    ['balance', 'importance', 'sequence_balance', 'z']

    One entry of `tokens`, `experts` and `gates` is one assignment. They are sorted by expert, and
    by token within an expert. Padding has no assignment, and neither has a token that is dropped
    because an expert is at its capacity. Tokens are numbered through the batch, sequence after
    sequence, padding included.

    Attributes:
        tokens: The token of each assignment.
        experts: The expert of each assignment.
        gates: The factor on the expert's output; differentiable.
        probabilities: The router's probability of every expert; zeros for padding.
        is_token: False for padding.
        n_chosen: The number of assignments before tokens were dropped.
        losses: What the router can be trained with, by name ("balance", "sequence_balance", "z",
            "importance", "load"); none of them has a unit, except "z", which is in nats squared.
        mixture: For soft MoE, whose experts process weighted means of tokens. Every token is then
            assigned to every expert, with the sum of its weights as the gate. Else None.
        ranks: 0 where the expert is the first choice of its token, 1 where it is the second, and so
            on; None where tokens do not choose.
    """

    tokens: Int[Tensor, "assignments"]
    experts: Int[Tensor, "assignments"]
    gates: Float[Tensor, "assignments"]
    probabilities: Float[Tensor, "tokens experts"]
    is_token: Bool[Tensor, "batch seq"]
    n_chosen: int
    losses: dict[str, Float[Tensor, ""]] = field(default_factory=dict)
    mixture: "SlotMixture | None" = None
    ranks: Int[Tensor, "assignments"] | None = None

    @property
    def num_experts(self) -> int:
        """The number of experts."""
        return self.probabilities.shape[1]

    @property
    def n_tokens(self) -> int:
        """How many tokens there are, without the padding."""
        return int(self.is_token.sum())

    @property
    def n_dropped(self) -> int:
        """The number of assignments that were dropped because an expert was at its capacity."""
        return self.n_chosen - len(self.tokens)

    @property
    def counts(self) -> Int[Tensor, "experts"]:
        """The number of tokens of each expert."""
        return torch.bincount(self.experts, minlength=self.num_experts)

    def assigned(self) -> Bool[Tensor, "batch seq experts"]:
        """Whether an expert processes a token."""
        table = self.is_token.new_zeros(self.is_token.numel(), self.num_experts)
        table[self.tokens, self.experts] = True
        return table.view(*self.is_token.shape, self.num_experts)

    def first_choice(self) -> Int[Tensor, "batch seq"]:
        """The expert with the largest gate for each token; -1 for a token without an expert.

        Among equal gates it is the expert that the token chose first, or else the lower number.
        """
        table = self.gates.new_full((self.is_token.numel(), self.num_experts), -torch.inf)
        table[self.tokens, self.experts] = self.gates.detach()
        largest = table.amax(dim=-1, keepdim=True)
        ranks = torch.zeros_like(table, dtype=torch.long)
        if self.ranks is not None:
            ranks[self.tokens, self.experts] = self.ranks
        best = ranks.masked_fill(table < largest, self.num_experts).argmin(dim=-1)
        no_expert = (largest == -torch.inf).squeeze(-1)
        return best.masked_fill(no_expert, -1).view(self.is_token.shape)

    def expert_inputs(
        self, hidden: Float[Tensor, "tokens d_model"]
    ) -> tuple[Float[Tensor, "rows d_model"], Int[Tensor, "experts"]]:
        """The inputs of the experts, one expert after the other, and the number of rows of each."""
        if self.mixture is not None:
            return self.mixture.expert_inputs(hidden)
        # index_select and not hidden[tokens]: a third of the time on a CPU, forward and backward.
        return hidden.index_select(0, self.tokens), self.counts

    def token_outputs(
        self, computed: Float[Tensor, "rows d_model"]
    ) -> Float[Tensor, "tokens d_model"]:
        """For each token the sum of its experts' outputs, each times its gate."""
        if self.mixture is not None:
            return self.mixture.token_outputs(computed)
        outputs = computed.new_zeros(self.is_token.numel(), computed.shape[-1])
        gates = self.gates[:, None].to(computed.dtype)
        n_rows = ROWS_AT_ONCE if computed.device.type == "cpu" else max(1, len(computed))
        parts = (each.split(n_rows) for each in (self.tokens, computed, gates))
        for tokens, some_outputs, some_gates in zip(*parts, strict=True):
            outputs.index_add_(0, tokens, some_outputs * some_gates)
        return outputs


@dataclass(frozen=True, eq=False)
class SlotMixture:
    """The weights of soft MoE: of tokens in the experts' inputs, and of their outputs in tokens.

    An input of an expert is called a slot.

    Attributes:
        dispatch: The weight of each token in a slot; sums to 1 over the tokens.
        combine: The weight of each slot's output in a token's output; sums to 1 over the slots.

    Source: Puigcerver et al. 2023, arXiv:2308.00951, section 2.1.
    """

    dispatch: Float[Tensor, "batch seq experts slots"]
    combine: Float[Tensor, "batch seq experts slots"]

    def expert_inputs(
        self, hidden: Float[Tensor, "tokens d_model"]
    ) -> tuple[Float[Tensor, "rows d_model"], Int[Tensor, "experts"]]:
        """As of `Routing`: the slots of all sequences, expert after expert."""
        batch, seq, num_experts, n_slots = self.dispatch.shape
        hidden = hidden.view(batch, seq, hidden.shape[-1])
        slots = torch.einsum("btes,btd->ebsd", self.dispatch.to(hidden.dtype), hidden)
        counts = torch.full((num_experts,), batch * n_slots, device=hidden.device)
        return slots.flatten(0, 2), counts

    def token_outputs(
        self, computed: Float[Tensor, "rows d_model"]
    ) -> Float[Tensor, "tokens d_model"]:
        """As of `Routing`."""
        batch, _, num_experts, n_slots = self.combine.shape
        slots = computed.view(num_experts, batch, n_slots, computed.shape[-1])
        outputs = torch.einsum("btes,ebsd->btd", self.combine.to(computed.dtype), slots)
        return outputs.flatten(0, 1)
