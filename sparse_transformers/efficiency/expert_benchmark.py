"""Layers of experts timed beside a dense layer and their peers, on the same tokens and weights.

The dense layer does as many multiplications for each token.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
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
from sparse_transformers.utils.plots.relative_speed import plot_relative_speeds

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


@dataclass(frozen=True)
class PreparedLayer:
    """A layer that is given weights.

    Attributes:
        layer: the module.
        output: what it makes of (batch, seq, d_model).
        in_our_layout: views of tensors with the names and shapes of the layer's parameters, in the
            layout of `Weights`. A dense layer has the first experts and no router.
    """

    layer: nn.Module
    output: Callable[[Tensor], Tensor]
    in_our_layout: Callable[[dict[str, Tensor]], Weights]

    def load(self, weights: Weights) -> "PreparedLayer":
        """Give the layer copies of the weights, on their device."""
        self.layer.to(weights["up"].device)
        with torch.no_grad():
            for name, view in self.in_our_layout(dict(self.layer.named_parameters())).items():
                view.copy_(weights[name][: len(view)])
        return self


@dataclass(frozen=True, eq=False)
class ExpertWorkload(Workload):
    """The weights of a layer, random tokens to compute, and the gradient of the output."""

    weights: Weights
    top_k: int
    hidden: Float[Tensor, "batch seq d_model"]
    grad_output: Float[Tensor, "batch seq d_model"]
    direction: Direction
    answers: dict[bool, dict[str, Tensor]] = field(default_factory=dict)
    """What was expected before, of a dense layer or not: the oracle takes long."""

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
        """Standard normal tokens, and weights that keep their size; the same on every device."""
        generator = torch.Generator().manual_seed(seed)
        hidden, grad_output = (
            torch.randn(batch, seq_len, d_model, generator=generator, device="cpu").to(device)
            for _ in range(2)
        )
        hidden.requires_grad_(direction == "forward_backward")
        shapes = {
            "router": (num_experts, d_model),
            "up": (num_experts, d_model, d_ff),
            "down": (num_experts, d_ff, d_model),
        }
        if gated:
            shapes["gate"] = shapes["up"]
        generator.manual_seed(seed + 1)
        weights = {}
        for name, shape in shapes.items():
            n_inputs = d_ff if name == "down" else d_model
            drawn = torch.randn(shape, generator=generator, device="cpu")
            weights[name] = (drawn / n_inputs**0.5).to(device)
        return cls(weights, top_k, hidden, grad_output, direction)

    def case(self, name: str) -> dict[str, Any]:
        """The kind of the experts, the width of the tokens, and the width inside one expert."""
        _, d_model, d_ff = self.weights["up"].shape
        kind = "gated" if "gate" in self.weights else "plain"
        return {"kind": kind, "d_model": d_model, "d_ff": d_ff}

    def prepare(self, name: str) -> Callable[[], dict[str, Tensor]]:
        return partial(self.run, IMPLEMENTATIONS[name](self.weights, self.top_k))

    def numbers(self, name: str, median_ms: float | None, speedup: float | None) -> dict[str, Any]:
        batch, seq_len, _ = self.hidden.shape
        return {"tokens_per_second": batch * seq_len / median_ms * 1000 if median_ms else None}

    def run(self, prepared: PreparedLayer) -> dict[str, Tensor]:
        """The output, or with a backward pass the gradients of the tokens and all weights."""
        if self.direction == "forward":
            with torch.no_grad():
                return {"output": prepared.output(self.hidden)}
        names, parameters = zip(*prepared.layer.named_parameters(), strict=True)
        of_tokens, *of_weights = torch.autograd.grad(
            prepared.output(self.hidden), (self.hidden, *parameters), self.grad_output
        )
        ours = prepared.in_our_layout(dict(zip(names, of_weights, strict=True)))
        return {f"gradient of {name}": each for name, each in {"tokens": of_tokens, **ours}.items()}

    def expected(self, name: str) -> dict[str, Tensor]:
        is_dense = name == DENSE
        if is_dense not in self.answers:
            self.answers[is_dense] = self._compute(dense=is_dense)
        return self.answers[is_dense]

    def _compute(self, *, dense: bool) -> dict[str, Tensor]:
        """The right answers, computed in double precision, one expert after the other.

        In a dense layer, all tokens go through the first `top_k` experts, with the gate 1. Else
        they go through those with the largest logits, and the gates are the softmax over these.
        """
        tokens = self.hidden.detach().flatten(0, 1)
        # The experts are chosen in single precision, as in the layers: else a tie within rounding
        # would make a right layer look wrong.
        best = (tokens @ self.weights["router"].T).topk(self.top_k, dim=-1).indices
        tokens = tokens.double().requires_grad_()
        weights = {name: each.double().requires_grad_() for name, each in self.weights.items()}
        if dense:
            del weights["router"]
            weights = {name: each[: self.top_k] for name, each in weights.items()}
            gates = torch.ones_like(best, dtype=torch.double)
        else:
            logits = tokens @ weights["router"].T
            chosen = logits.gather(-1, best).softmax(-1)
            gates = torch.zeros_like(logits).scatter(-1, best, chosen)
        output = torch.zeros_like(tokens)
        for expert, gate in enumerate(gates.T):
            own = gate.nonzero().squeeze(1)
            inner = tokens[own] @ weights["up"][expert]
            if "gate" in weights:
                inner = F.silu(tokens[own] @ weights["gate"][expert]) * inner
            else:
                inner = F.gelu(inner)
            output = output.index_add(0, own, gate[own, None] * (inner @ weights["down"][expert]))
        output = output.view_as(self.hidden)
        if self.direction == "forward":
            return {"output": output.detach()}
        gradients = torch.autograd.grad(
            output, [tokens, *weights.values()], self.grad_output.double()
        )
        names = [f"gradient of {name}" for name in ("tokens", *weights)]
        return dict(zip(names, [gradients[0].view_as(self.hidden), *gradients[1:]], strict=True))


def _dense(weights: Weights, top_k: int) -> PreparedLayer:
    """As wide as the experts of one token together: the same multiplications for each token.

    Source of the gated layer: Shazeer 2020, arXiv:2002.05202.
    """
    _, d_model, d_ff = weights["up"].shape
    names = [name for name in weights if name != "router"]
    layer = nn.ModuleDict({name: nn.Linear(d_model, top_k * d_ff, bias=False) for name in names})
    layer["down"] = nn.Linear(top_k * d_ff, d_model, bias=False)

    def output(hidden: Tensor) -> Tensor:
        inner = layer["up"](hidden)
        inner = F.silu(layer["gate"](hidden)) * inner if "gate" in layer else F.gelu(inner)
        return layer["down"](inner)

    def in_our_layout(tensors: dict[str, Tensor]) -> Weights:
        ours = {}
        for name in names:
            axis = 1 if name == "down" else 0  # that of the joint width
            split = tensors[f"{name}.weight"].unflatten(axis, (top_k, d_ff))
            ours[name] = split.permute(1, 2, 0) if name == "down" else split.mT
        return ours

    return PreparedLayer(layer, output, in_our_layout).load(weights)


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
    return PreparedLayer(
        layer,
        output=lambda hidden: layer(hidden).hidden,
        in_our_layout=lambda tensors: {name: tensors[key] for name, key in names.items()},
    ).load(weights)


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

    def in_our_layout(tensors: dict[str, Tensor]) -> Weights:
        gate, up = tensors["experts.gate_up_proj"].mT.chunk(2, dim=-1)
        down = tensors["experts.down_proj"].mT
        return {"router": tensors["gate.weight"], "gate": gate, "up": up, "down": down}

    return PreparedLayer(layer, layer, in_our_layout).load(weights)


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
    A row is about a `kind`, a `d_model` and a `d_ff`, the width inside one expert. Its further
    number is `tokens_per_second`.

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
    timing = TimingOptions(**{**defaults, **options})
    check_choices(
        d_models=(d_models, d_models),
        kinds=(kinds, KINDS),
        direction=([timing.direction], DIRECTIONS),
        implementations=(timing.implementations, IMPLEMENTATIONS),
    )
    check_whole(1, d_models=min(d_models))
    settings = {"batch": batch, "seq_len": seq_len, "num_experts": num_experts, "top_k": top_k}
    check_whole(1, expansion=expansion, **settings)
    if top_k > num_experts:
        raise ValueError(f"top_k must be at most num_experts ({num_experts}), got {top_k}")

    def runs() -> Iterator[tuple[str, list[Candidate]]]:
        for kind, d_model in product(kinds, d_models):
            workload = ExpertWorkload.draw(
                d_model,
                expansion * d_model,
                gated=kind == "gated",
                direction=timing.direction,
                seed=timing.seed,
                device=timing.device,
                **settings,
            )
            candidates: list[Candidate] = [(name, workload) for name in timing.implementations]
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
    plot=partial(
        plot_relative_speeds,
        baseline=DENSE,
        subject="Experts",
        case="{kind}, d_model {d_model}",
        note="dense: {tokens_per_second:,.0f} tokens/s",
    ),
)
"""Tables and files of `bench experts`."""
