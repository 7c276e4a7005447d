"""Experts: several feed-forward networks, each of which is applied to rows of its own."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from sparse_transformers.models.checks import check_whole

Implementation = Literal["auto", "grouped", "loop"]
IMPLEMENTATIONS: tuple[Implementation, ...] = ("auto", "grouped", "loop")
ALIGNMENT_BYTES = 16
"""What the strides of `grouped_mm` must be a multiple of."""
LARGE_BYTES = 2**20
"""Above this size of an expert's inner results the loop is faster than `grouped_mm` on a CPU: the
loop reuses the memory of one expert's results, and `grouped_mm` allocates that of all experts."""


class Experts(nn.Module):
    """`num_experts` feed-forward networks without bias: plain like `FeedForward`, or gated.

    A plain expert is `GELU(x · up) · down`, a gated one `(SiLU(x · gate) * (x · up)) · down`.
    Weights are stored as (experts, inputs, outputs).

    Args:
        num_experts: Number of experts, at least 1.
        d_model: Width of the rows.
        d_ff: Width inside each expert.
        gated: Whether the experts are gated.
        implementation: "grouped", one call per matrix for all experts; "loop", one call per expert
            that has rows; "auto", the first where type and sizes allow it, except for large experts
            on a CPU. "grouped" and "loop" never fall back to the other. Both give the same numbers.

    Raises:
        ValueError: A size is out of range, or the implementation is unknown.

    Source: Shazeer 2020, arXiv:2002.05202 (gated).
    """

    def __init__(
        self,
        num_experts: int,
        d_model: int,
        d_ff: int,
        *,
        gated: bool = False,
        implementation: Implementation = "auto",
    ) -> None:
        super().__init__()
        check_whole(1, num_experts=num_experts, d_model=d_model, d_ff=d_ff)
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(
                f"unknown implementation {implementation!r}; known are {', '.join(IMPLEMENTATIONS)}"
            )
        self.implementation = implementation
        self.gate = nn.Parameter(torch.empty(num_experts, d_model, d_ff)) if gated else None
        self.up = nn.Parameter(torch.empty(num_experts, d_model, d_ff))
        self.down = nn.Parameter(torch.empty(num_experts, d_ff, d_model))
        self.initialise(d_model**-0.5, d_ff**-0.5)

    def initialise(self, std: float, down_std: float) -> None:
        """Normal weights of these standard deviations, in the inner matrices and in the last."""
        if self.up.is_meta:
            return  # drawing meta weights would import PyTorch's compiler, which takes 4 s
        for weight in (self.gate, self.up):
            if weight is not None:
                nn.init.normal_(weight, std=std)
        nn.init.normal_(self.down, std=down_std)

    def forward(
        self, rows: Float[Tensor, "rows d_model"], counts: Int[Tensor, "experts"]
    ) -> Float[Tensor, "rows d_model"]:
        """The experts' outputs: the first `counts[0]` rows are those of expert 0, and so on.

        Raises:
            ValueError: "grouped" was asked for, and type or sizes do not allow it.
        """
        dtype = rows.dtype
        # As autocast does with a linear map: double precision stays as it is.
        if torch.is_autocast_enabled(rows.device.type) and dtype != torch.float64:
            dtype = torch.get_autocast_dtype(rows.device.type)
        rows, up, down = rows.to(dtype), self.up.to(dtype), self.down.to(dtype)
        gate = None if self.gate is None else self.gate.to(dtype)
        apply = _apply_grouped if self._is_grouped(rows) else _apply_in_a_loop
        return apply(rows, counts, gate, up, down)

    def _is_grouped(self, rows: Tensor) -> bool:
        if self.implementation == "loop":
            return False
        dtype = rows.dtype
        d_model, d_ff = self.up.shape[1:]
        aligned = not (d_model * dtype.itemsize % ALIGNMENT_BYTES) and not (
            d_ff * dtype.itemsize % ALIGNMENT_BYTES
        )
        possible = aligned and dtype in (torch.float32, torch.bfloat16) and hasattr(F, "grouped_mm")
        if self.implementation == "grouped" and not possible:
            raise ValueError(
                "grouped experts need torch.nn.functional.grouped_mm (torch 2.10), float32 or "
                f"bfloat16, and rows of a multiple of {ALIGNMENT_BYTES} bytes, "
                f"got torch {torch.__version__}, {dtype}, d_model={d_model}, d_ff={d_ff}"
            )
        if not possible or not len(rows):
            return False
        large = len(rows) * d_ff * dtype.itemsize > LARGE_BYTES * len(self.up)
        return self.implementation == "grouped" or rows.device.type != "cpu" or not large


def _apply_grouped(
    rows: Tensor, counts: Tensor, gate: Tensor | None, up: Tensor, down: Tensor
) -> Tensor:
    rows, ends = rows.contiguous(), counts.cumsum(0).to(torch.int32)
    gates = None if gate is None else F.grouped_mm(rows, gate, offs=ends)
    inner = _activate(F.grouped_mm(rows, up, offs=ends), gates)
    outputs = F.grouped_mm(inner, down, offs=ends)
    if outputs.requires_grad:  # `grouped_mm` fails for strides of 0, as in a sum's gradient
        outputs.register_hook(Tensor.contiguous)
    return outputs


def _apply_in_a_loop(
    rows: Tensor, counts: Tensor, gate: Tensor | None, up: Tensor, down: Tensor
) -> Tensor:
    # Unbound at once, because the gradient of `up[expert]` is a tensor of the size of `up`.
    gates_by_expert = [None] * len(up) if gate is None else gate.unbind()
    outputs = []
    for expert_rows, expert_gate, expert_up, expert_down in zip(
        rows.split(counts.tolist()), gates_by_expert, up.unbind(), down.unbind(), strict=True
    ):
        if len(expert_rows):
            gates = None if expert_gate is None else expert_rows @ expert_gate
            outputs.append(_activate(expert_rows @ expert_up, gates) @ expert_down)
    return torch.cat(outputs) if outputs else rows


def _activate(inner: Tensor, gates: Tensor | None) -> Tensor:
    return F.gelu(inner) if gates is None else F.silu(gates) * inner
