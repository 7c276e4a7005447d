"""Routers, by the names under which a configuration chooses them.

A new router is a subclass of `TokenChoiceRouter` with one method, `choose`, or of `Router`, under
`register_router`.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from sparse_transformers.models.checks import check_input_ids, check_number, check_seed, check_whole
from sparse_transformers.models.experts.losses import expected_load
from sparse_transformers.models.experts.router import (
    Choice,
    LinearGate,
    Router,
    TokenChoiceRouter,
    expert_capacity,
)
from sparse_transformers.models.experts.routing import Routing, SlotMixture
from sparse_transformers.models.ranking import top_indices
from sparse_transformers.models.registry import register, registered

SOFTMAXES = ("before", "after")

ROUTERS: dict[str, type[Router]] = {}
"""The routers by the names that configurations use."""

RouterClass = TypeVar("RouterClass", bound=type[Router])


def register_router(name: str) -> Callable[[RouterClass], RouterClass]:
    """A class decorator that gives a router a name, under which configurations know it.

    >>> import sparse_transformers as st
    >>> import torch
    >>> @st.register_router("by_position")
    ... class ByPosition(st.TokenChoiceRouter):
    ...     def __init__(self, num_experts):
    ...         super().__init__(num_experts, top_k=1)
    ...     def choose(self, hidden, input_ids):
    ...         experts = torch.arange(len(hidden))[:, None] % self.num_experts
    ...         probabilities = torch.eye(self.num_experts)[experts[:, 0]]
    ...         return st.Choice(experts, torch.ones(len(hidden), 1), probabilities)
    ...
    >>> st.MoELayer(8, num_experts=4, router="by_position")(torch.randn(1, 6, 8)).routing.counts
    tensor([2, 2, 1, 1])

    Args:
        name: A plain word; a key of `ROUTERS` from then on.

    Raises:
        ValueError: The name is no plain word or belongs to another class, or the class is no
            subclass of `Router`.
    """
    return register(ROUTERS, Router, "router", name)


@register_router("top_k")
class TopKRouter(TokenChoiceRouter):
    """The `top_k` experts with the largest logits.

    Args:
        d_model: Width of the hidden states.
        num_experts: Number of experts, at least 1.
        top_k: Number of experts for each token.
        softmax: "after" the selection, so that the gates of a token sum to 1, or "before" it, so
            that they are the chosen experts' shares of the softmax over all. By default "after",
            but "before" for a single expert, whose gate would always be 1 and give the router no
            gradient.
        capacity_factor: See `TokenChoiceRouter`.

    Source: Shazeer et al. 2017, arXiv:1701.06538, section 2.1; "after" as in Jiang et al. 2024,
    arXiv:2401.04088, section 2.1.
    """

    loss_weights: ClassVar[dict[str, float]] = {"balance": 1e-2, "z": 1e-3}

    def __init__(
        self,
        d_model: int,
        num_experts: int,
        top_k: int = 2,
        *,
        softmax: str | None = None,
        capacity_factor: float | None = None,
    ) -> None:
        super().__init__(num_experts, top_k, capacity_factor=capacity_factor)
        if softmax is None:
            softmax = "after" if top_k > 1 else "before"
        if softmax not in SOFTMAXES:
            raise ValueError(f"unknown softmax {softmax!r}; known are {', '.join(SOFTMAXES)}")
        self.softmax = softmax
        self.gate = LinearGate(d_model, num_experts)

    def choose(
        self, hidden: Float[Tensor, "tokens d_model"], input_ids: Integer[Tensor, "tokens"] | None
    ) -> Choice:
        logits = self.gate(hidden)
        probabilities = logits.softmax(-1)
        best = top_indices(logits, self.top_k)
        if self.softmax == "after":
            gates = logits.gather(-1, best).softmax(-1)
        else:
            gates = probabilities.gather(-1, best)
        return Choice(best, gates, probabilities, logits)


@register_router("switch")
class SwitchRouter(TokenChoiceRouter):
    """The likeliest expert alone, with its probability as the gate.

    Args:
        d_model: Width of the hidden states.
        num_experts: Number of experts, at least 1.
        jitter: In training, the input of the gate is multiplied by U(1 - jitter, 1 + jitter); at
            least 0 and below 1.
        capacity_factor: See `TokenChoiceRouter`.

    Source: Fedus et al. 2021, arXiv:2101.03961, sections 2.1 and 2.4.
    """

    loss_weights: ClassVar[dict[str, float]] = {"balance": 1e-2}

    def __init__(
        self,
        d_model: int,
        num_experts: int,
        *,
        jitter: float = 0.0,
        capacity_factor: float | None = None,
    ) -> None:
        super().__init__(num_experts, 1, capacity_factor=capacity_factor)
        check_number(jitter=jitter)
        if not 0 <= jitter < 1:
            raise ValueError(f"jitter must be at least 0 and below 1, got {jitter}")
        self.jitter = jitter
        self.gate = LinearGate(d_model, num_experts)

    def choose(
        self, hidden: Float[Tensor, "tokens d_model"], input_ids: Integer[Tensor, "tokens"] | None
    ) -> Choice:
        if self.training and self.jitter:
            hidden = hidden * torch.empty_like(hidden).uniform_(1 - self.jitter, 1 + self.jitter)
        logits = self.gate(hidden)
        probabilities = logits.softmax(-1)
        best = top_indices(logits, 1)
        return Choice(best, probabilities.gather(-1, best), probabilities, logits)


@register_router("noisy_top_k")
class NoisyTopKRouter(TokenChoiceRouter):
    """Top-k of logits to which noise is added in training; the size of the noise is learned.

    Args:
        d_model: Width of the hidden states.
        num_experts: Number of experts, at least 1.
        top_k: Number of experts for each token. With a single one the gate is always 1, so that
            the router is trained by its own losses only.
        capacity_factor: See `TokenChoiceRouter`.

    Source: Shazeer et al. 2017, arXiv:1701.06538, section 2.1, equations 3 to 5, section 4 and
    appendix A for the two losses.
    """

    loss_weights: ClassVar[dict[str, float]] = {"importance": 1e-1, "load": 1e-1}

    def __init__(
        self,
        d_model: int,
        num_experts: int,
        top_k: int = 2,
        *,
        capacity_factor: float | None = None,
    ) -> None:
        super().__init__(num_experts, top_k, capacity_factor=capacity_factor)
        self.gate = LinearGate(d_model, num_experts)
        self.noise = LinearGate(d_model, num_experts)

    def choose(
        self, hidden: Float[Tensor, "tokens d_model"], input_ids: Integer[Tensor, "tokens"] | None
    ) -> Choice:
        clean = logits = self.gate(hidden)
        load = None
        if self.training:
            std = F.softplus(self.noise(hidden)) + 1e-2  # the constant of the authors' code
            logits = clean + torch.randn_like(clean) * std
            load = expected_load(clean, logits, std, self.top_k)
        best = top_indices(logits, self.top_k)
        gates = logits.gather(-1, best).softmax(-1)
        return Choice(best, gates, logits.softmax(-1), clean, load)


@register_router("aux_free")
class AuxFreeRouter(TokenChoiceRouter):
    """Sigmoid gates, and a bias per expert that balances the load without a loss.

    The gates of a token are divided by their sum, unless it has a single one. The bias is added for
    the selection only and is not part of the gates, so that it has no gradient. After each
    optimiser step it rises by `bias_step` for experts with fewer tokens than the mean since the
    last step, and falls for those with more: call `update_routers(model)` there, as `Trainer` does.

    Args:
        d_model: Width of the hidden states.
        num_experts: Number of experts, at least 1.
        top_k: Number of experts for each token.
        bias_step: γ, the change of a bias in each step; at least 0.
        capacity_factor: See `TokenChoiceRouter`.

    Source: Wang et al. 2024, arXiv:2408.15664, section 3, algorithm 1; sequence-wise loss and
    normalised sigmoid gates as in DeepSeek-AI 2024, arXiv:2412.19437, section 2.1.2.
    """

    loss_weights: ClassVar[dict[str, float]] = {"sequence_balance": 1e-4}
    bias: Tensor
    counts: Tensor

    def __init__(
        self,
        d_model: int,
        num_experts: int,
        top_k: int = 2,
        *,
        bias_step: float = 1e-3,
        capacity_factor: float | None = None,
    ) -> None:
        super().__init__(num_experts, top_k, capacity_factor=capacity_factor)
        check_number(bias_step=bias_step)
        if not bias_step >= 0:
            raise ValueError(f"bias_step must be at least 0, got {bias_step}")
        self.bias_step = bias_step
        self.gate = LinearGate(d_model, num_experts)
        self.register_buffer("bias", torch.zeros(num_experts))
        # Whole numbers, which stay exact when the model is cast to a half precision.
        counts = torch.zeros(num_experts, dtype=torch.long)
        self.register_buffer("counts", counts, persistent=False)

    def choose(
        self, hidden: Float[Tensor, "tokens d_model"], input_ids: Integer[Tensor, "tokens"] | None
    ) -> Choice:
        logits = self.gate(hidden)
        experts = top_indices(logits.sigmoid() + self.bias, self.top_k)
        log_scores = F.logsigmoid(logits)
        chosen = log_scores.gather(-1, experts)
        # The softmax is the sigmoids over their sum, without 0 / 0 where all of them vanish. With a
        # single expert it would always be 1 and give the router no gradient.
        gates = chosen.softmax(-1) if self.top_k > 1 else chosen.exp()
        if self.training:
            self.counts += torch.bincount(experts.flatten(), minlength=self.num_experts)
        return Choice(experts, gates, log_scores.softmax(-1), logits)

    def after_optimizer_step(self) -> None:
        below_mean = self.counts.sum() - self.num_experts * self.counts
        self.bias += self.bias_step * below_mean.sign()
        self.counts.zero_()


@register_router("hash")
class HashRouter(TokenChoiceRouter):
    """Experts drawn once for every token id: a control without weights and without context.

    As first choice, every expert has the same number of ids, up to one. Gates are 1 / top_k.

    Args:
        num_experts: Number of experts, at least 1.
        top_k: Number of experts for each token.
        vocab_size: Number of token ids.
        seed: Seed of the draw.
        capacity_factor: See `TokenChoiceRouter`.

    Source: Roller et al. 2021, arXiv:2106.04426, section 3.2 (balanced assignment).
    """

    table: Tensor

    def __init__(
        self,
        num_experts: int,
        top_k: int = 1,
        *,
        vocab_size: int,
        seed: int = 0,
        capacity_factor: float | None = None,
    ) -> None:
        super().__init__(num_experts, top_k, capacity_factor=capacity_factor)
        check_whole(1, vocab_size=vocab_size)
        generator = torch.Generator().manual_seed(check_seed(seed))
        first = torch.randperm(vocab_size, generator=generator, device="cpu") % num_experts
        # The others are different experts, drawn by their distance to the first on a circle.
        draws = torch.rand(vocab_size, num_experts - 1, generator=generator, device="cpu")
        steps = 1 + draws.argsort(dim=-1)[:, : top_k - 1]
        table = torch.cat([first[:, None], (first[:, None] + steps) % num_experts], dim=-1)
        self.register_buffer("table", table)

    def choose(
        self, hidden: Float[Tensor, "tokens d_model"], input_ids: Integer[Tensor, "tokens"] | None
    ) -> Choice:
        if input_ids is None:
            raise ValueError("the hash router routes by token ids: give input_ids to the layer")
        if len(input_ids):
            check_input_ids(input_ids[None], len(self.table))
        experts = self.table[input_ids.long()]
        precise = torch.promote_types(hidden.dtype, torch.float32)
        gates = hidden.new_full(experts.shape, 1 / self.top_k, dtype=precise)
        chosen = F.one_hot(experts, self.num_experts).sum(1)
        return Choice(experts, gates, chosen.to(gates.dtype) / self.top_k)


@register_router("expert_choice")
class ExpertChoiceRouter(Router):
    """Each expert selects the tokens of a sequence with its highest probabilities.

    All experts have equal load. A token may have several experts, or none. Whether an early token
    is selected depends on later ones, so that causal models cannot use this router.

    Args:
        d_model: Width of the hidden states.
        num_experts: Number of experts, at least 1.
        top_k: Number of experts for each token, on average over a sequence.

    Source: Zhou et al. 2022, arXiv:2202.09368, section 3.2; within each sequence here, so that
    sequences of a batch do not compete.
    """

    sees_future: ClassVar[bool] = True

    def __init__(self, d_model: int, num_experts: int, top_k: int = 2) -> None:
        super().__init__(num_experts)
        check_whole(1, top_k=top_k)
        if top_k > num_experts:
            raise ValueError(f"top_k must be at most num_experts ({num_experts}), got {top_k}")
        self.top_k = top_k
        self.gate = LinearGate(d_model, num_experts)

    def forward(
        self,
        hidden: Float[Tensor, "batch seq d_model"],
        is_token: Bool[Tensor, "batch seq"],
        input_ids: Integer[Tensor, "batch seq"] | None = None,
    ) -> Routing:
        seq_len = hidden.shape[1]
        scores = self.gate(hidden).softmax(-1).masked_fill(~is_token[..., None], 0.0)
        capacity = expert_capacity(is_token, self.num_experts, self.top_k, 1.0)
        most = min(seq_len, max(capacity.tolist(), default=0))
        of_tokens = scores.masked_fill(~is_token[..., None], -1.0).transpose(1, 2)
        ranked = top_indices(of_tokens, most).transpose(1, 2)
        taken = torch.arange(most, device=hidden.device) < capacity[:, None]
        chosen = torch.zeros_like(scores, dtype=torch.bool).scatter(
            1, ranked, taken[..., None].expand_as(ranked)
        )
        experts, tokens = chosen.flatten(0, 1).T.nonzero().unbind(1)
        probabilities = scores.flatten(0, 1)
        return Routing(
            tokens=tokens,
            experts=experts,
            gates=probabilities[tokens, experts],
            probabilities=probabilities,
            is_token=is_token,
            n_chosen=len(tokens),
        )


@register_router("soft")
class SoftMoERouter(Router):
    """Soft MoE: experts process weighted means of all tokens, and their outputs are averaged back.

    Nothing is selected, so that there is nothing to balance or to drop, and every part has a
    gradient. The means are over the whole sequence, so that causal models cannot use this router.

    Args:
        d_model: Width of the hidden states.
        num_experts: Number of experts, at least 1.
        slots_per_expert: Number of such means of a sequence for each expert, at least 1.

    Source: Puigcerver et al. 2023, arXiv:2308.00951, section 2.1; normalised as in section 2.3.
    """

    sees_future: ClassVar[bool] = True

    def __init__(self, d_model: int, num_experts: int, slots_per_expert: int = 1) -> None:
        super().__init__(num_experts)
        check_whole(1, d_model=d_model, slots_per_expert=slots_per_expert)
        self.slots_per_expert = slots_per_expert
        self.slots = nn.Parameter(torch.randn(num_experts, slots_per_expert, d_model))
        self.scale = nn.Parameter(torch.ones(()))

    def forward(
        self,
        hidden: Float[Tensor, "batch seq d_model"],
        is_token: Bool[Tensor, "batch seq"],
        input_ids: Integer[Tensor, "batch seq"] | None = None,
    ) -> Routing:
        with torch.autocast(hidden.device.type, enabled=False):
            precise = torch.promote_types(hidden.dtype, torch.float32)
            directions = F.normalize(hidden.to(precise), dim=-1)
            slots = self.scale.to(precise) * F.normalize(self.slots.to(precise), dim=-1)
            logits = torch.einsum("btd,esd->btes", directions, slots)
        real = is_token[..., None, None]
        # A sequence without tokens has no softmax over tokens; its shares are zeros like padding's.
        lowest = torch.finfo(logits.dtype).min
        dispatch = logits.masked_fill(~real, lowest).softmax(1).masked_fill(~real, 0.0)
        combine = logits.flatten(2).softmax(-1).view_as(logits).masked_fill(~real, 0.0)
        of_experts = combine.sum(-1).flatten(0, 1)
        places = is_token.flatten().nonzero().squeeze(1)
        experts = torch.arange(self.num_experts, device=hidden.device)
        tokens, experts = places.repeat(self.num_experts), experts.repeat_interleave(len(places))
        return Routing(
            tokens=tokens,
            experts=experts,
            gates=of_experts[tokens, experts],
            probabilities=of_experts,
            is_token=is_token,
            n_chosen=len(tokens),
            mixture=SlotMixture(dispatch, combine),
        )


def make_router(
    options: str | Mapping[str, Any],
    *,
    d_model: int,
    num_experts: int,
    vocab_size: int | None = None,
) -> Router:
    """Makes a router from its name and its options.

    >>> import sparse_transformers as st
    >>> options = {"name": "top_k", "top_k": 1, "softmax": "before"}
    >>> router = st.make_router(options, d_model=32, num_experts=4)
    >>> router.top_k
    1

    Args:
        options: A key of `ROUTERS`, or a dictionary with such a `name` and the options of the
            router.
        d_model: Width of the hidden states.
        num_experts: Number of experts, at least 1.
        vocab_size: Number of token ids; only the hash router needs it.

    Raises:
        ValueError: An unknown name, or options that the router does not have or does not accept.
    """
    if not isinstance(options, str | Mapping):
        raise ValueError(f"router must be a name, a dictionary or a Router, got {options!r}")
    options = {"name": options} if isinstance(options, str) else dict(options)
    name = options.pop("name", None)
    router = registered(ROUTERS, "router", name)
    sizes: dict[str, Any] = {
        "d_model": d_model,
        "num_experts": num_experts,
        "vocab_size": vocab_size,
    }
    known = inspect.signature(router).parameters
    unknown = [option for option in options if option not in known or option in sizes]
    if unknown:
        takes = [option for option in known if option not in sizes]
        raise ValueError(
            f"router {name!r} does not take {', '.join(unknown)}; it takes {', '.join(takes)}"
        )
    given = {size: value for size, value in sizes.items() if size in known}
    return router(**given, **options)
