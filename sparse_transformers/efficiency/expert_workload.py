"""What the layers of experts in a benchmark have to do, and what the right answer is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from sparse_transformers.efficiency.comparison import Direction


@dataclass(frozen=True)
class ExpertShape:
    """The sizes of a layer.

    Attributes:
        d_model: width of the tokens.
        d_ff: width inside each expert.
        gated: whether experts are gated (SwiGLU) rather than plain (GELU).
        num_experts: how many there are.
        top_k: how many of them read a token.
    """

    d_model: int
    d_ff: int
    gated: bool
    num_experts: int
    top_k: int


@dataclass(frozen=True)
class ExpertWeights:
    """The weights that all arms are given, laid out as in `Experts`."""

    router: Float[Tensor, "experts d_model"]
    up: Float[Tensor, "experts d_model d_ff"]
    down: Float[Tensor, "experts d_ff d_model"]
    gate: Float[Tensor, "experts d_model d_ff"] | None = None

    @classmethod
    def draw(
        cls, shape: ExpertShape, *, seed: int, device: torch.device | str = "cpu"
    ) -> "ExpertWeights":
        """Normal numbers that keep the size of what passes through; the same on every device."""
        generator = torch.Generator().manual_seed(seed)

        def normal(*sizes: int, inputs: int) -> Tensor:
            return (torch.randn(sizes, generator=generator) / inputs**0.5).to(device)

        experts, d_model, d_ff = shape.num_experts, shape.d_model, shape.d_ff
        return cls(
            router=normal(experts, d_model, inputs=d_model),
            up=normal(experts, d_model, d_ff, inputs=d_model),
            down=normal(experts, d_ff, d_model, inputs=d_ff),
            gate=normal(experts, d_model, d_ff, inputs=d_model) if shape.gated else None,
        )

    def by_name(self) -> dict[str, Tensor]:
        """The weights that there are."""
        return {name: each for name, each in vars(self).items() if each is not None}


Gates = Callable[
    [Float[Tensor, "tokens experts"], Int[Tensor, "tokens top_k"]], Float[Tensor, "tokens experts"]
]
"""(router logits, the experts with the largest) to what each expert's answer is multiplied by."""


def top_k_gates(
    logits: Float[Tensor, "tokens experts"], best: Int[Tensor, "tokens top_k"]
) -> Float[Tensor, "tokens experts"]:
    """The softmax over the logits of the best, and 0 for the others."""
    return torch.zeros_like(logits).scatter(-1, best, logits.gather(-1, best).softmax(-1))


def first_experts(
    logits: Float[Tensor, "tokens experts"], best: Int[Tensor, "tokens top_k"]
) -> Float[Tensor, "tokens experts"]:
    """1 for as many experts, but the first ones for every token: a dense layer of joint width."""
    gates = torch.zeros_like(logits)
    gates[:, : best.shape[1]] = 1.0
    return gates


@dataclass(frozen=True)
class ExpertArm:
    """A layer with the given weights, ready to be timed.

    Attributes:
        layer: the module that holds the weights.
        answer: what it makes of (batch, seq, d_model).
        in_our_layout: brings tensors of the shapes of the layer's parameters, by their names, into
            the layout of `ExpertWeights`, by its names. A dense layer has the first experts only.
        gates: which experts it asks.
    """

    layer: nn.Module
    answer: Callable[[Tensor], Tensor]
    in_our_layout: Callable[[dict[str, Tensor]], dict[str, Tensor]]
    gates: Gates = top_k_gates


@dataclass(frozen=True)
class ExpertWorkload:
    """Random tokens for the layers to read, and the gradient to send back."""

    shape: ExpertShape
    weights: ExpertWeights
    hidden: Float[Tensor, "batch seq d_model"]
    grad_output: Float[Tensor, "batch seq d_model"]
    direction: Direction

    @classmethod
    def draw(
        cls,
        shape: ExpertShape,
        batch: int,
        seq_len: int,
        direction: Direction,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> "ExpertWorkload":
        """Standard normal tokens in single precision, the same on every device."""
        generator = torch.Generator().manual_seed(seed)
        hidden, grad_output = (
            torch.randn(batch, seq_len, shape.d_model, generator=generator).to(device)
            for _ in range(2)
        )
        weights = ExpertWeights.draw(shape, seed=seed + 1, device=device)
        hidden.requires_grad_(direction == "forward_backward")
        return cls(shape, weights, hidden, grad_output, direction)

    def run(self, arm: ExpertArm) -> tuple[Tensor, ...]:
        """The output, or with a backward pass the gradients of the tokens and all weights."""
        if self.direction == "forward":
            with torch.no_grad():
                return (arm.answer(self.hidden),)
        inputs = (self.hidden, *arm.layer.parameters())
        return torch.autograd.grad(arm.answer(self.hidden), inputs, self.grad_output)

    def found(self, arm: ExpertArm) -> dict[str, Tensor]:
        """What `run` returns, by name, and gradients in the layout of `ExpertWeights`."""
        results = self.run(arm)
        if self.direction == "forward":
            return {"output": results[0]}
        names = [name for name, _ in arm.layer.named_parameters()]
        of_weights = arm.in_our_layout(dict(zip(names, results[1:], strict=True)))
        return {"tokens": results[0], **of_weights}

    def expected(self, gates: Gates) -> dict[str, Tensor]:
        """What must be found, computed in double precision, one expert after the other."""
        tokens = self.hidden.detach().flatten(0, 1)
        # The choice is made in single precision, as the arms make it: else a tie within rounding
        # would make a right arm look wrong.
        best = F.linear(tokens, self.weights.router).topk(self.shape.top_k, dim=-1).indices
        tokens = tokens.double().requires_grad_()
        weights = {
            name: each.double().requires_grad_() for name, each in self.weights.by_name().items()
        }
        amounts = gates(tokens @ weights["router"].T, best)
        output = torch.zeros_like(tokens)
        for expert in range(self.shape.num_experts):
            readers = amounts[:, expert].nonzero().squeeze(1)
            rows = tokens[readers]
            inner = rows @ weights["up"][expert]
            if self.shape.gated:
                inner = F.silu(rows @ weights["gate"][expert]) * inner
            else:
                inner = F.gelu(inner)
            answers = inner @ weights["down"][expert]
            output = output.index_add(0, readers, amounts[readers, expert, None] * answers)
        if self.direction == "forward":
            return {"output": output.detach().view_as(self.hidden)}
        gradients = torch.autograd.grad(
            output,
            [tokens, *weights.values()],
            self.grad_output.double().flatten(0, 1),
            materialize_grads=True,
        )
        of_weights = dict(zip(weights, gradients[1:], strict=True))
        return {"tokens": gradients[0].view_as(self.hidden), **of_weights}
