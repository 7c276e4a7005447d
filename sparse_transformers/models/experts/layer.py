"""A feed-forward layer in which each token is read by few of many experts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.experts.networks import Experts, Implementation
from sparse_transformers.models.experts.router import Router
from sparse_transformers.models.experts.routers import make_router
from sparse_transformers.models.experts.routing import Routing


@dataclass(frozen=True, eq=False)
class MoEOutput:
    """What a `MoELayer` returns.

    Attributes:
        hidden: what the experts answered; zeros for padding and for tokens that no expert read,
            unless there are shared experts.
        loss: the router's losses, weighted and added up; add it to the loss of the task.
        routing: who read what, and each loss by itself.
    """

    hidden: Float[Tensor, "batch seq d_model"]
    loss: Float[Tensor, ""]
    routing: Routing


class MoELayer(nn.Module):
    """Experts, and a router that says which of them read a token.

        layer = MoELayer(256, num_experts=8, router={"name": "top_k", "top_k": 2})
        output = layer(hidden)

    Args:
        d_model: width of the tokens.
        num_experts: how many experts there are.
        router: a name out of `ROUTERS`, such a name with options, or a `Router`.
        d_ff: width inside each expert; `4 * d_model` by default.
        gated: whether experts are gated (SwiGLU) rather than plain (GELU).
        shared_experts: experts besides, which read every token.
        loss_weights: what the router's losses are multiplied by; see `routing_losses`. By default
            those that the router's authors train it with.
        causal: refuse routers that look at later tokens.
        vocab_size: how many token ids there are, for a hash router.
        implementation: see `Experts`.

    Raises:
        ValueError: a size is out of range, the router is unknown or looks ahead in a causal model,
            or there is no loss of that name.

    Source: Shazeer et al. 2017, arXiv:1701.06538; shared experts: Dai et al. 2024,
    arXiv:2401.06066, section 3.2.
    """

    def __init__(
        self,
        d_model: int,
        num_experts: int = 8,
        router: str | Mapping[str, Any] | Router = "top_k",
        *,
        d_ff: int | None = None,
        gated: bool = False,
        shared_experts: int = 0,
        loss_weights: Mapping[str, float] | None = None,
        causal: bool = True,
        vocab_size: int | None = None,
        implementation: Implementation = "auto",
    ) -> None:
        super().__init__()
        check_whole(0, shared_experts=shared_experts)
        d_ff = 4 * d_model if d_ff is None else d_ff
        if not isinstance(router, Router):
            router = make_router(
                router, d_model=d_model, num_experts=num_experts, vocab_size=vocab_size
            )
        if router.num_experts != num_experts:
            raise ValueError(
                f"the router must have num_experts ({num_experts}) experts, "
                f"got {router.num_experts}"
            )
        if causal and router.sees_future:
            raise ValueError(
                f"a causal model cannot use {type(router).__name__}: it chooses among all tokens "
                "of a sequence, so what an early token gets would depend on later ones; use a "
                "router in which tokens choose, or causal=False"
            )
        self.router = router
        self.loss_weights = dict(router.loss_weights if loss_weights is None else loss_weights)
        _check_loss_weights(self.loss_weights)
        self.experts = Experts(
            num_experts, d_model, d_ff, gated=gated, implementation=implementation
        )
        self.shared: Experts | None = None
        if shared_experts:
            # One expert of their joint width: they read the same rows and their answers add up.
            self.shared = Experts(
                1, d_model, shared_experts * d_ff, gated=gated, implementation=implementation
            )

    def forward(
        self,
        hidden: Float[Tensor, "batch seq d_model"],
        attention_mask: Bool[Tensor, "batch seq"] | None = None,
        input_ids: Int[Tensor, "batch seq"] | None = None,
    ) -> MoEOutput:
        """Routes the tokens, asks the experts, and adds up their answers.

        Args:
            hidden: a batch of no tokens gives a batch of no tokens.
            attention_mask: True for real tokens; padding goes to no expert.
            input_ids: for routers that go by token ids.

        Raises:
            ValueError: shapes do not fit, the router needs the token ids, or it has no such loss as
                `loss_weights` names.
        """
        if hidden.ndim != 3 or hidden.shape[-1] != self.experts.up.shape[1]:
            raise ValueError(
                f"hidden must be (batch, seq, {self.experts.up.shape[1]}), "
                f"got {tuple(hidden.shape)}"
            )
        for name, given in (("attention_mask", attention_mask), ("input_ids", input_ids)):
            if given is not None and given.shape != hidden.shape[:2]:
                raise ValueError(
                    f"{name} must be (batch, seq) = {tuple(hidden.shape[:2])}, "
                    f"got {tuple(given.shape)}"
                )
        if attention_mask is None:
            is_token = hidden.new_ones(hidden.shape[:2], dtype=torch.bool)
        else:
            is_token = attention_mask.bool()

        routing = self.router(hidden, is_token, input_ids)
        tokens = hidden.flatten(0, 1)
        rows, counts = routing.expert_inputs(tokens)
        outputs = routing.token_outputs(self.experts(rows, counts))
        if self.shared is not None:
            everyone = torch.tensor([len(tokens)], device=hidden.device)
            outputs = outputs + self.shared(tokens, everyone)
        return MoEOutput(
            hidden=outputs.view(hidden.shape), loss=self._loss(routing), routing=routing
        )

    def num_active_parameters(self) -> int:
        """The number of weights that one token meets, the router's included."""
        of_one_expert = sum(each.numel() for each in self.experts.parameters())
        of_one_expert //= self.router.num_experts
        # Where experts choose it is so on average; where all are mixed, a token meets them all.
        n_read = getattr(self.router, "top_k", self.router.num_experts)
        others = [each.numel() for each in self.parameters()]
        return sum(others) - (self.router.num_experts - n_read) * of_one_expert

    def _loss(self, routing: Routing) -> Float[Tensor, ""]:
        loss = routing.gates.new_zeros(())
        for name, weight in self.loss_weights.items():
            if name in routing.losses:
                loss = loss + weight * routing.losses[name]
            elif self.router.training:  # "load" is there in training only
                raise ValueError(
                    f"{type(self.router).__name__} has no loss {name!r}; "
                    f"it has {', '.join(routing.losses) or 'none'}"
                )
        return loss


@contextmanager
def record_experts(model: nn.Module) -> Iterator[dict[str, MoEOutput]]:
    """Within the block, every `MoELayer` of the model leaves its last output in the dictionary.

        with record_experts(model) as outputs:
            logits = model(input_ids)
        loss = F.cross_entropy(...) + expert_loss(outputs)

    It is keyed by the names of the layers, in the order in which they ran. Nothing is stored in
    the model. It works for any module that holds such layers.
    """
    outputs: dict[str, MoEOutput] = {}

    def keep(name: str, output: MoEOutput) -> None:
        outputs[name] = output

    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: keep(name, output))
        for name, module in model.named_modules()
        if isinstance(module, MoELayer)
    ]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def expert_loss(outputs: Mapping[str, MoEOutput]) -> Float[Tensor, ""]:
    """The mean of the layers' losses; 0 without any layer.

    Each layer is balanced by itself: means over all layers' tokens would hide a layer in which one
    expert does all the work.
    """
    if not outputs:
        return torch.zeros(())
    return torch.stack([output.loss for output in outputs.values()]).mean()


def update_routers(model: nn.Module) -> None:
    """Lets each router do what balances it without a gradient; call it after the optimiser step."""
    for module in model.modules():
        if isinstance(module, Router):
            module.after_optimizer_step()


LOSSES = ("balance", "sequence_balance", "z", "importance", "load")


def _check_loss_weights(weights: Mapping[str, float]) -> None:
    for name, weight in weights.items():
        if name not in LOSSES:
            raise ValueError(f"unknown loss {name!r}; known are {', '.join(LOSSES)}")
        if not weight >= 0:
            raise ValueError(f"loss_weights[{name!r}] must be at least 0, got {weight}")
