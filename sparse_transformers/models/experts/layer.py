"""A feed-forward layer in which a router sends each token to a few of many experts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from sparse_transformers.models.checks import check_number, check_truth, check_whole
from sparse_transformers.models.experts.networks import Experts, Implementation
from sparse_transformers.models.experts.router import Router
from sparse_transformers.models.experts.routers import make_router
from sparse_transformers.models.experts.routing import Routing


@dataclass(frozen=True, eq=False)
class MoEOutput:
    """What a `MoELayer` returns.

    >>> import sparse_transformers as st
    >>> import torch
    >>> output = st.MoELayer(32, num_experts=4)(torch.randn(2, 10, 32))
    >>> output.hidden.shape
    torch.Size([2, 10, 32])
    >>> output.loss.shape
    torch.Size([])
    >>> output.routing.counts.sum()  # two experts for each of 20 tokens
    tensor(40)

    Attributes:
        hidden: The sum of the experts' outputs for each token, weighted by their gates; zeros for
            padding and for tokens without an expert, unless there are shared experts.
        loss: The router's losses, weighted and added up; add it to the loss of the task.
        routing: Which experts process which tokens, and each loss by itself.
    """

    hidden: Float[Tensor, "batch seq d_model"]
    loss: Float[Tensor, ""]
    routing: Routing


class MoELayer(nn.Module):
    """Experts, and a router that decides which of them process a token.

    >>> import sparse_transformers as st
    >>> import torch
    >>> layer = st.MoELayer(32, num_experts=8, router={"name": "top_k", "top_k": 2})
    >>> layer(torch.randn(2, 10, 32)).hidden.shape
    torch.Size([2, 10, 32])

    Args:
        d_model: Width of the hidden states.
        num_experts: Number of experts, at least 1.
        router: A key of `ROUTERS`; a dictionary with such a `name` and the options of the router;
            or a `Router`.
        d_ff: Width inside each expert; `4 * d_model` by default.
        gated: Whether experts are gated (SwiGLU) rather than plain (GELU).
        shared_experts: Number of additional experts that process every token.
        loss_weights: Factor on each of the router's losses, by name; see `Routing`. By default
            the losses and factors that the router's authors train it with.
        causal: Whether to refuse routers in which the experts of a token depend on later tokens.
        vocab_size: Number of token ids; only the hash router needs it.
        implementation: "auto", "grouped" or "loop"; see `Experts`.

    Raises:
        ValueError: A size is out of range, the router is unknown or depends on later tokens in a
            causal model, or there is no loss of that name.

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
        check_truth(gated=gated, causal=causal)
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
                f"a causal model cannot use {type(router).__name__}: it selects among all tokens "
                "of a sequence, so the experts of an early token would depend on later ones; use a "
                "router that routes each token by itself, or causal=False"
            )
        self.router = router
        self.loss_weights = dict(router.loss_weights if loss_weights is None else loss_weights)
        _check_loss_weights(self.loss_weights)
        self.experts = Experts(
            num_experts, d_model, d_ff, gated=gated, implementation=implementation
        )
        self.shared: Experts | None = None
        if shared_experts:
            # One expert of their joint width: they have the same inputs and add up their outputs.
            self.shared = Experts(
                1, d_model, shared_experts * d_ff, gated=gated, implementation=implementation
            )

    def forward(
        self,
        hidden: Float[Tensor, "batch seq d_model"],
        attention_mask: Bool[Tensor, "batch seq"] | None = None,
        input_ids: Integer[Tensor, "batch seq"] | None = None,
    ) -> MoEOutput:
        """Routes the tokens, applies the experts, and adds up their outputs.

        Args:
            hidden: Hidden states; the batch may be empty.
            attention_mask: True for real tokens; padding goes to no expert. All are real by
                default.
            input_ids: Token ids, for routers that depend on them.

        Raises:
            ValueError: Shapes do not fit, the router needs the token ids, or `loss_weights` has a
                loss that the router does not compute.
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
            all_tokens = torch.tensor([len(tokens)], device=hidden.device)
            outputs = outputs + self.shared(tokens, all_tokens)
        return MoEOutput(
            hidden=outputs.view(hidden.shape), loss=self._loss(routing), routing=routing
        )

    def num_active_parameters(self) -> int:
        """The number of weights that are used for one token, the router's included."""
        of_one_expert = sum(each.numel() for each in self.experts.parameters())
        of_one_expert //= self.router.num_experts
        # An average with expert choice; all experts with soft MoE, whose router has no `top_k`.
        n_used = getattr(self.router, "top_k", self.router.num_experts)
        others = [each.numel() for each in self.parameters()]
        return sum(others) - (self.router.num_experts - n_used) * of_one_expert

    def _loss(self, routing: Routing) -> Float[Tensor, ""]:
        loss = routing.gates.new_zeros(())
        for name, weight in self.loss_weights.items():
            if name in routing.losses:
                loss = loss + weight * routing.losses[name]
            elif self.router.training:  # "load" exists in training only
                raise ValueError(
                    f"{type(self.router).__name__} has no loss {name!r}; "
                    f"it has {', '.join(routing.losses) or 'none'}"
                )
        return loss


@contextmanager
def record_experts(model: nn.Module) -> Iterator[dict[str, MoEOutput]]:
    """Records the last output of every `MoELayer` of the model within a `with` block.

    >>> import sparse_transformers as st
    >>> import torch
    >>> config = st.SparseTransformerConfig(d_model=32, n_layers=2, experts={"num_experts": 4})
    >>> model = st.SparseTransformer(config)
    >>> with st.record_experts(model) as outputs:
    ...     logits = model(torch.tensor([list(b"experts")]))
    ...
    >>> list(outputs)
    ['blocks.0.feed_forward', 'blocks.1.feed_forward']

    Nothing is stored in the model.

    Args:
        model: Any module that holds such layers.

    Yields:
        The outputs by the names of the layers, in the order in which the layers ran.
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
    """The mean of the layers' losses, to be added to the loss of the task; 0 without any layer.

    Each layer is balanced by itself: means over all layers' tokens would hide a layer in which one
    expert gets all tokens.

    >>> import sparse_transformers as st
    >>> import torch
    >>> layer = st.MoELayer(32, num_experts=4, loss_weights={"balance": 1.0})
    >>> with st.record_experts(layer) as outputs:
    ...     hidden = layer(torch.randn(1, 100, 32)).hidden
    ...
    >>> bool(0 < st.expert_loss(outputs) < 4)  # 1: even load; 4: all tokens go to one expert
    True

    Args:
        outputs: The outputs of the layers, as `record_experts` gives them.
    """
    if not outputs:
        return torch.zeros((), device="cpu")  # a single number goes with every device
    return torch.stack([output.loss for output in outputs.values()]).mean()


def update_routers(model: nn.Module) -> None:
    """Updates what routers balance their load by without a gradient; call it after each step.

    Only the router "aux_free" has such an update: it moves its biases. `Trainer` calls this.

    >>> import sparse_transformers as st
    >>> import torch
    >>> layer = st.MoELayer(32, num_experts=4, router="aux_free")
    >>> output = layer(torch.randn(1, 3, 32))  # then: backward pass, optimiser step
    >>> st.update_routers(layer)
    >>> layer.router.bias.abs().max()
    tensor(0.0010)

    Args:
        model: Any module that holds routers.
    """
    for module in model.modules():
        if isinstance(module, Router):
            module.after_optimizer_step()


LOSSES = ("balance", "sequence_balance", "z", "importance", "load")


def _check_loss_weights(weights: Mapping[str, float]) -> None:
    for name, weight in weights.items():
        if name not in LOSSES:
            raise ValueError(f"unknown loss {name!r}; known are {', '.join(LOSSES)}")
        check_number(**{f"loss_weights[{name!r}]": weight})
        if not weight >= 0:
            raise ValueError(f"loss_weights[{name!r}] must be at least 0, got {weight}")
