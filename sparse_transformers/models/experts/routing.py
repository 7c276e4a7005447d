"""What a router decides: which experts read which tokens, and what becomes of their answers."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

ROWS_AT_ONCE = 1024
"""On a CPU, how many answers are weighed before they are added up: so many stay in the cache."""


@dataclass(frozen=True, eq=False)
class Routing:
    """Which experts read each token, and how much their answers weigh.

    One entry of `tokens`, `experts` and `gates` is one assignment. They are sorted by expert, and
    by token within an expert. Padding has no assignment, and neither has what a full expert turned
    away. Tokens are numbered through the batch, sequence after sequence, padding included.

    Attributes:
        tokens: the token of each assignment.
        experts: the expert of each assignment.
        gates: what the expert's answer is multiplied by; differentiable.
        probabilities: what the router thinks of every expert before it selects; zeros for padding.
        is_token: False for padding.
        n_chosen: assignments before any expert was full.
        losses: what the router may be trained by, in nats or without a unit; see `routing_losses`.
        mixture: where experts read mixtures of tokens instead of tokens (soft MoE). Every token is
            then assigned to every expert, with the gate that its mixtures have together.
        ranks: which choice of its token each assignment is, 0 for the first; where tokens choose.
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
        return self.probabilities.shape[1]

    @property
    def n_tokens(self) -> int:
        """How many tokens there are, without the padding."""
        return int(self.is_token.sum())

    @property
    def n_dropped(self) -> int:
        """How many assignments full experts turned away."""
        return self.n_chosen - len(self.tokens)

    @property
    def counts(self) -> Int[Tensor, "experts"]:
        """How many tokens each expert reads."""
        return torch.bincount(self.experts, minlength=self.num_experts)

    def assigned(self) -> Bool[Tensor, "batch seq experts"]:
        """Whether an expert reads a token."""
        table = self.is_token.new_zeros(self.is_token.numel(), self.num_experts)
        table[self.tokens, self.experts] = True
        return table.view(*self.is_token.shape, self.num_experts)

    def first_choice(self) -> Int[Tensor, "batch seq"]:
        """The expert with the largest gate for each token; -1 where no expert reads it.

        Of equal gates it is the expert that the token chose first, or else the lower number.
        """
        table = self.gates.new_full((self.is_token.numel(), self.num_experts), -torch.inf)
        table[self.tokens, self.experts] = self.gates.detach()
        largest = table.amax(dim=-1, keepdim=True)
        ranks = torch.zeros_like(table, dtype=torch.long)
        if self.ranks is not None:
            ranks[self.tokens, self.experts] = self.ranks
        best = ranks.masked_fill(table < largest, self.num_experts).argmin(dim=-1)
        nobody = (largest == -torch.inf).squeeze(-1)
        return best.masked_fill(nobody, -1).view(self.is_token.shape)

    def expert_inputs(
        self, hidden: Float[Tensor, "tokens d_model"]
    ) -> tuple[Float[Tensor, "rows d_model"], Int[Tensor, "experts"]]:
        """What the experts read, one expert after the other, and how many rows each of them."""
        if self.mixture is not None:
            return self.mixture.expert_inputs(hidden)
        # index_select and not hidden[tokens]: a third of the time on a CPU, forward and backward.
        return hidden.index_select(0, self.tokens), self.counts

    def token_outputs(
        self, answers: Float[Tensor, "rows d_model"]
    ) -> Float[Tensor, "tokens d_model"]:
        """What each token gets: the sum of the answers to it, each times its gate."""
        if self.mixture is not None:
            return self.mixture.token_outputs(answers)
        outputs = answers.new_zeros(self.is_token.numel(), answers.shape[-1])
        gates = self.gates[:, None].to(answers.dtype)
        n_rows = ROWS_AT_ONCE if answers.device.type == "cpu" else max(1, len(answers))
        parts = (each.split(n_rows) for each in (self.tokens, answers, gates))
        for tokens, some_answers, some_gates in zip(*parts, strict=True):
            outputs.index_add_(0, tokens, some_answers * some_gates)
        return outputs


@dataclass(frozen=True, eq=False)
class SlotMixture:
    """Experts that read mixtures of a sequence's tokens, and tokens that get mixtures of answers.

    Attributes:
        dispatch: the share of each token in what a slot holds; sums to 1 over the tokens.
        combine: the share of each slot's answer in what a token gets; sums to 1 over the slots.

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
        self, answers: Float[Tensor, "rows d_model"]
    ) -> Float[Tensor, "tokens d_model"]:
        """As of `Routing`."""
        batch, _, num_experts, n_slots = self.combine.shape
        slots = answers.view(num_experts, batch, n_slots, answers.shape[-1])
        outputs = torch.einsum("btes,ebsd->btd", self.combine.to(answers.dtype), slots)
        return outputs.flatten(0, 1)
