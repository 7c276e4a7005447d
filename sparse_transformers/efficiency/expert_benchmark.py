"""Layers of experts timed beside a dense layer and their peers, on the same tokens and weights.

The dense layer does as many multiplications for each token.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sparse_transformers.efficiency.benchmark_report import TIMES, Report
from sparse_transformers.efficiency.comparison import (
    DIRECTIONS,
    Benchmark,
    Candidate,
    CannotMeasureError,
    Direction,
    TimingOptions,
    Workload,
    check_choices,
    run_benchmark,
)
from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.experts.layer import MoELayer
from sparse_transformers.models.experts.networks import Implementation
from sparse_transformers.models.feed_forward import FeedForward
from sparse_transformers.utils.plots.expert_speed import plot_expert_speeds

KINDS = ("plain", "gated")

DENSE = "dense feed-forward"
OURS = "sparse_transformers"
LOOP = "sparse_transformers, loop"
GROUPED = "sparse_transformers, grouped"
MIXTRAL_LOOP = "Mixtral block, eager"
MIXTRAL_GROUPED = "Mixtral block, grouped_mm"

Weights = dict[str, Tensor]
"""By name, as in `Experts`: "router" (experts, d_model), "up" (experts, d_model, d_ff), "down"
(experts, d_ff, d_model) and, if the experts are gated, "gate" with the shape of "up"."""


@dataclass(frozen=True, eq=False)
class ExpertWorkload(Workload):
    """The weights of a layer, random tokens to compute, and the gradient of the output."""

    weights: Weights
    top_k: int
    hidden: Float[Tensor, "batch seq d_model"]
    grad_output: Float[Tensor, "batch seq d_model"]
    direction: Direction

    @classmethod
    def draw(
        cls,
        d_model: int,
        d_ff: int,
        *,
        gated: bool,
        num_experts: int,
        top_k: int,
        batch: int,
        seq_len: int,
        direction: Direction,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> "ExpertWorkload":
        """Normal numbers in single precision, the same on every device.

        Those of the tokens are standard normal; those of the weights keep the size of their inputs.
        """

        def draw(generator: torch.Generator, *sizes: int) -> Tensor:
            return torch.randn(sizes, generator=generator)

        of_tokens, of_weights = (torch.Generator().manual_seed(seed + n) for n in range(2))
        hidden, grad_output = (draw(of_tokens, batch, seq_len, d_model) for _ in range(2))
        weights = {
            "router": draw(of_weights, num_experts, d_model) / d_model**0.5,
            "up": draw(of_weights, num_experts, d_model, d_ff) / d_model**0.5,
            "down": draw(of_weights, num_experts, d_ff, d_model) / d_ff**0.5,
        }
        if gated:
            weights["gate"] = draw(of_weights, num_experts, d_model, d_ff) / d_model**0.5
        return cls(
            {name: weight.to(device) for name, weight in weights.items()},
            top_k,
            hidden.to(device).requires_grad_(direction == "forward_backward"),
            grad_output.to(device),
            direction,
        )

    def case(self, name: str) -> dict[str, Any]:
        """The kind of the experts, the width of the tokens, and the width inside one expert."""
        _, d_model, d_ff = self.weights["up"].shape
        kind = "gated" if "gate" in self.weights else "plain"
        return {"kind": kind, "d_model": d_model, "d_ff": d_ff}

    def prepare(self, name: str) -> Callable[[], dict[str, Tensor]]:
        layer = IMPLEMENTATIONS[name](self.weights, self.top_k)
        return partial(layer.run, self)

    def numbers(self, name: str, median_ms: float | None, speedup: float | None) -> dict[str, Any]:
        batch, seq_len, _ = self.hidden.shape
        return {"tokens_per_second": batch * seq_len / median_ms * 1000 if median_ms else None}

    def expected(self, name: str) -> dict[str, Tensor]:
        """The right answers, computed in double precision, one expert after the other.

        All tokens go through the first `top_k` experts of a dense layer, with the gate 1. Otherwise
        they go through those with the largest logits, and the gates are the softmax over these.
        """
        return self._dense_answers if name == DENSE else self._expert_answers

    @cached_property
    def _dense_answers(self) -> dict[str, Tensor]:
        first = {name: w[: self.top_k] for name, w in self.weights.items() if name != "router"}
        return self._answers(first, lambda tokens, _: tokens.new_ones(len(tokens), self.top_k))

    @cached_property
    def _expert_answers(self) -> dict[str, Tensor]:
        # The experts are chosen in single precision, as in the layers: else a tie within rounding
        # would make a right layer look wrong.
        logits = self.hidden.detach().flatten(0, 1) @ self.weights["router"].T
        best = logits.topk(self.top_k, dim=-1).indices

        def gates(tokens: Tensor, weights: Weights) -> Tensor:
            logits = tokens @ weights["router"].T
            chosen = logits.gather(-1, best).softmax(-1)
            return torch.zeros_like(logits).scatter(-1, best, chosen)

        return self._answers(self.weights, gates)

    def _answers(
        self, weights: Weights, make_gates: Callable[[Tensor, Weights], Tensor]
    ) -> dict[str, Tensor]:
        tokens = self.hidden.detach().flatten(0, 1).double().requires_grad_()
        weights = {name: w.double().requires_grad_() for name, w in weights.items()}
        gates = make_gates(tokens, weights)
        output = torch.zeros_like(tokens)
        for expert, of_tokens in enumerate(gates.T):
            own = of_tokens.nonzero().squeeze(1)
            inner = tokens[own] @ weights["up"][expert]
            if "gate" in weights:
                inner = F.silu(tokens[own] @ weights["gate"][expert]) * inner
            else:
                inner = F.gelu(inner)
            answers = of_tokens[own, None] * (inner @ weights["down"][expert])
            output = output.index_add(0, own, answers)
        if self.direction == "forward":
            return {"output": output.detach().view_as(self.hidden)}
        inputs = {"tokens": tokens, **weights}
        gradients = torch.autograd.grad(
            output, list(inputs.values()), self.grad_output.double().flatten(0, 1)
        )
        answers = dict(zip(inputs, gradients, strict=True))
        return _gradients({**answers, "tokens": answers["tokens"].view_as(self.hidden)})


@dataclass(frozen=True)
class PreparedLayer:
    """A layer that holds the weights of a workload.

    Attributes:
        layer: the module.
        output: what it makes of (batch, seq, d_model).
        in_our_layout: brings tensors with the names and shapes of the layer's parameters into the
            layout of `Weights`. A dense layer has the first experts and no router.
    """

    layer: nn.Module
    output: Callable[[Tensor], Tensor]
    in_our_layout: Callable[[dict[str, Tensor]], Weights]

    def run(self, workload: ExpertWorkload) -> dict[str, Tensor]:
        """The output, or with a backward pass the gradients of the tokens and all weights."""
        if workload.direction == "forward":
            with torch.no_grad():
                return {"output": self.output(workload.hidden)}
        names, parameters = zip(*self.layer.named_parameters(), strict=True)
        tokens, *of_weights = torch.autograd.grad(
            self.output(workload.hidden), (workload.hidden, *parameters), workload.grad_output
        )
        weights = self.in_our_layout(dict(zip(names, of_weights, strict=True)))
        return _gradients({"tokens": tokens, **weights})


def _gradients(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"gradient of {name}": tensor for name, tensor in tensors.items()}


class GatedFeedForward(nn.Module):
    """The dense twin of gated experts: `(SiLU(x · gate) * (x · up)) · down`.

    Source: Shazeer 2020, arXiv:2002.05202.
    """

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, d_ff, bias=False)
        self.up = nn.Linear(d_model, d_ff, bias=False)
        self.down = nn.Linear(d_ff, d_model, bias=False)

    def forward(
        self, hidden: Float[Tensor, "batch seq d_model"]
    ) -> Float[Tensor, "batch seq d_model"]:
        return self.down(F.silu(self.gate(hidden)) * self.up(hidden))


def _dense(weights: Weights, top_k: int) -> PreparedLayer:
    """As wide as the experts of one token together: the same multiplications for each token."""
    _, d_ff, d_model = weights["down"].shape
    first = {name: w[:top_k] for name, w in weights.items() if name != "router"}
    layer = (GatedFeedForward if "gate" in weights else FeedForward)(d_model, top_k * d_ff)
    wide = {name: w.mT.flatten(0, 1) for name, w in first.items()}
    wide["down"] = first["down"].flatten(0, 1).T
    _load(layer, {f"{name}.weight": w for name, w in wide.items()})

    def in_our_layout(tensors: dict[str, Tensor]) -> Weights:
        ours = {name: tensors[f"{name}.weight"] for name in first}
        ours["down"] = ours["down"].T
        ours = {name: w.unflatten(0, (top_k, d_ff)) for name, w in ours.items()}
        return {name: w if name == "down" else w.mT for name, w in ours.items()}

    return PreparedLayer(layer, layer, in_our_layout)


def _ours(
    weights: Weights, top_k: int, *, implementation: Implementation = "auto"
) -> PreparedLayer:
    """The router's losses are computed, as always, but have no part in the gradients."""
    num_experts, d_model, d_ff = weights["up"].shape
    layer = MoELayer(
        d_model,
        num_experts,
        {"name": "top_k", "top_k": top_k},
        d_ff=d_ff,
        gated="gate" in weights,
        implementation=implementation,
    )
    names = {name: f"experts.{name}" for name in weights} | {"router": "router.gate.weight"}
    _load(layer, {names[name]: weight for name, weight in weights.items()})
    return PreparedLayer(
        layer,
        output=lambda hidden: layer(hidden).hidden,
        in_our_layout=lambda tensors: {name: tensors[key] for name, key in names.items()},
    )


def _mixtral(weights: Weights, top_k: int, *, implementation: str) -> PreparedLayer:
    """The layer of a Mixtral model; models load with "grouped_mm" where they can, else "eager"."""
    try:
        from transformers.models.mixtral.configuration_mixtral import MixtralConfig
        from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock
    except ImportError as error:
        raise CannotMeasureError("transformers is not installed") from error
    if "gate" not in weights:
        raise CannotMeasureError("experts of Mixtral are gated")
    num_experts, d_model, d_ff = weights["up"].shape
    config = MixtralConfig(
        hidden_size=d_model,
        intermediate_size=d_ff,
        num_local_experts=num_experts,
        num_experts_per_tok=top_k,
        experts_implementation=implementation,
    )
    layer = MixtralSparseMoeBlock(config)
    of_mixtral = {
        "gate.weight": weights["router"],
        "experts.gate_up_proj": torch.cat([weights["gate"], weights["up"]], dim=-1).mT,
        "experts.down_proj": weights["down"].mT,
    }
    _load(layer, of_mixtral)

    def in_our_layout(tensors: dict[str, Tensor]) -> Weights:
        gate, up = tensors["experts.gate_up_proj"].mT.chunk(2, dim=-1)
        down = tensors["experts.down_proj"].mT
        return {"router": tensors["gate.weight"], "gate": gate, "up": up, "down": down}

    return PreparedLayer(layer, layer, in_our_layout)


def _load(layer: nn.Module, weights: Weights) -> None:
    """Give the layer copies of the weights, on their device."""
    device = next(iter(weights.values())).device
    layer.to(device).load_state_dict(weights)


IMPLEMENTATIONS: dict[str, Callable[[Weights, int], PreparedLayer]] = {
    DENSE: _dense,
    OURS: _ours,
    LOOP: partial(_ours, implementation="loop"),
    GROUPED: partial(_ours, implementation="grouped"),
    MIXTRAL_LOOP: partial(_mixtral, implementation="eager"),
    MIXTRAL_GROUPED: partial(_mixtral, implementation="grouped_mm"),
}
"""By the name that tables show: from weights and `top_k` to the layer."""


def benchmark_experts(
    d_models: Sequence[int],
    kinds: Sequence[str] = KINDS,
    *,
    expansion: int = 2,
    num_experts: int = 8,
    top_k: int = 2,
    batch: int = 8,
    seq_len: int = 512,
    **options: Any,
) -> Benchmark:
    """Time all implementations on the same tokens and with the same weights, side by side.

    For each kind and width all implementations take turns in one run, on standard normal tokens in
    single precision. Gates are the softmax over the logits of the chosen experts, as in Mixtral.
    The cases are `kind`, `d_model` and `d_ff`, the width inside one expert; the number is
    `tokens_per_second`.

    Args:
        d_models: widths of the tokens.
        kinds: "plain" (GELU) or "gated" (SwiGLU) experts.
        expansion: width inside an expert over the width of the tokens; the dense layer is `top_k`
            times as wide.
        num_experts: experts of a layer.
        top_k: experts of a token.
        batch: number of sequences.
        seq_len: tokens of each.
        options: fields of `TimingOptions`; the baseline is "dense feed-forward".

    Raises:
        ValueError: nothing to measure, an unknown name, or a size out of range.
    """
    defaults = {"implementations": tuple(IMPLEMENTATIONS), "repeats": 15, "warmup": 2}
    timing = TimingOptions(**defaults | options)
    check_choices(
        d_models=(d_models, d_models),
        kinds=(kinds, KINDS),
        direction=([timing.direction], DIRECTIONS),
        implementations=(timing.implementations, IMPLEMENTATIONS),
    )
    for d_model in d_models:
        check_whole(1, d_model=d_model)
    settings = {"batch": batch, "seq_len": seq_len, "num_experts": num_experts, "top_k": top_k}
    check_whole(1, expansion=expansion, **settings)
    if top_k > num_experts:
        raise ValueError(f"top_k must be at most num_experts ({num_experts}), got {top_k}")

    def runs() -> Iterator[tuple[str, list[Candidate]]]:
        for kind in kinds:
            for d_model in d_models:
                workload = ExpertWorkload.draw(
                    d_model,
                    expansion * d_model,
                    gated=kind == "gated",
                    direction=timing.direction,
                    seed=timing.seed,
                    device=timing.device,
                    **settings,
                )
                candidates = [(name, workload) for name in timing.implementations]
                yield f"{timing.direction}, {kind}, d_model {d_model}", candidates

    return run_benchmark(runs(), timing, baseline=DENSE, settings=settings)


EXPERTS = Report(
    subject="a benchmark of experts",
    file_name="expert_benchmark",
    settings="{num_experts} experts, top-{top_k}, {batch} × {seq_len:,} tokens",
    columns={
        "experts": "{kind}",
        "d_model": "{d_model}",
        "d_ff": "{d_ff}",
        "implementation": "{implementation}",
        "ms": TIMES,
        "tokens/s": "{tokens_per_second:,.0f}",
        "of dense": "{speedup:.2f} ({lower_speedup:.2f}–{upper_speedup:.2f})",
    },
    plot=partial(plot_expert_speeds, dense=DENSE),
)
"""Files and tables of `bench experts`."""
