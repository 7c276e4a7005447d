"""The implementations of causal attention that are compared, and the tensors they are given."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention
from torch.nn.functional import scaled_dot_product_attention

from sparse_transformers.efficiency.comparison import (
    CannotMeasureError,
    Direction,
    Workload,
)
from sparse_transformers.efficiency.costs import attention_cost
from sparse_transformers.models.attention_flex import BLOCK_SIZE
from sparse_transformers.models.attention_ops import sparse_attention
from sparse_transformers.models.attention_patterns import Dense, LocalWindow
from sparse_transformers.models.pattern_base import AttentionPattern, Causal, Intersection

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(query, key, value), each (batch, heads, positions, dim), to the output of the same shape."""

DENSE = "dense SDPA"
OURS = "sparse_transformers"
FLEX = "FlexAttention (compiled)"

LONGEST_MASK = 8192
"""Positions up to which a mask of all pairs is made; twice as many take four times the memory."""


@dataclass(frozen=True)
class Implementation:
    """A way to compute causal attention.

    Attributes:
        build: makes everything that is made once (mask, layout, compiled kernel) for a pattern, a
            number of positions and a device. Raises `CannotMeasureError` where it does not apply.
        computes: the pattern whose causal attention it gives when asked for a pattern.
    """

    build: Callable[[AttentionPattern, int, torch.device], Attend]
    computes: Callable[[AttentionPattern], AttentionPattern]


def _dense(pattern: AttentionPattern, seq_len: int, device: torch.device) -> Attend:
    return lambda query, key, value: scaled_dot_product_attention(query, key, value, is_causal=True)


def _ours(pattern: AttentionPattern, seq_len: int, device: torch.device) -> Attend:
    return lambda query, key, value: sparse_attention(
        query, key, value, pattern, causal=True, backend="tiled"
    )


def _compiled_flex(pattern: AttentionPattern, seq_len: int, device: torch.device) -> Attend:
    layout = (pattern & Causal()).layout(seq_len, block_size=BLOCK_SIZE)
    block_mask = layout.to_block_mask(device)
    # Past a handful of variants the compiler gives up. `fullgraph` turns that into an error, where
    # falling back to the eager version, which makes all scores, would be timed in silence.
    compiled = torch.compile(flex_attention, fullgraph=True, dynamic=False)
    return lambda query, key, value: compiled(query, key, value, block_mask=block_mask)


def _local_attention(pattern: AttentionPattern, seq_len: int, device: torch.device) -> Attend:
    try:
        from local_attention import LocalAttention
    except ImportError as error:
        raise CannotMeasureError("local-attention is not installed") from error
    window_size = _window_size(pattern)
    if window_size is None:
        raise CannotMeasureError("local-attention has local windows only")
    return LocalAttention(
        window_size, causal=True, look_backward=1, exact_windowsize=True, autopad=True
    ).to(device)


def _one_key_more(pattern: AttentionPattern) -> AttentionPattern:
    """What local-attention computes: its exact window of w holds w + 1 keys, the query's included.

    Asked for w - 1 it would compute our window, but in buckets of w - 1 positions: they divide no
    usual length, so it has to pad, and its matrix products become odd sizes, which slows it down.
    So it keeps the w that suits it, and is checked and credited with w + 1 keys.
    """
    window_size = _window_size(pattern)
    return pattern if window_size is None else LocalWindow(window_size + 1)


def _window_size(pattern: AttentionPattern) -> int | None:
    if isinstance(pattern, Intersection) and isinstance(pattern.right, Causal):
        pattern = pattern.left
    return pattern.window_size if isinstance(pattern, LocalWindow) else None


def _masked(pattern: AttentionPattern, seq_len: int, device: torch.device) -> Attend:
    if seq_len > LONGEST_MASK:
        raise CannotMeasureError(f"a mask of all pairs is made up to {LONGEST_MASK:,} positions")
    mask = (pattern & Causal()).mask(seq_len).to(device)
    return lambda query, key, value: scaled_dot_product_attention(query, key, value, attn_mask=mask)


def _as_asked(pattern: AttentionPattern) -> AttentionPattern:
    return pattern


IMPLEMENTATIONS = {
    DENSE: Implementation(_dense, computes=lambda pattern: Dense()),
    OURS: Implementation(_ours, computes=_as_asked),
    FLEX: Implementation(_compiled_flex, computes=_as_asked),
    "local-attention": Implementation(_local_attention, computes=_one_key_more),
    "masked SDPA": Implementation(_masked, computes=_as_asked),
}
"""By the name that tables show. Each is causal; `sparse_transformers` is the tiled backend."""


@dataclass(frozen=True, eq=False)
class AttentionWorkload(Workload):
    """A pattern whose causal attention is computed, random tensors, and the gradient of the output.

    The tensors are stored as (batch, positions, heads, dim) and transposed, as a projection leaves
    them.

    Attributes:
        small: a workload with shorter tensors, with which answers are checked.
    """

    pattern: AttentionPattern
    query: Float[Tensor, "1 heads positions dim"]
    key: Float[Tensor, "1 heads positions dim"]
    value: Float[Tensor, "1 heads positions dim"]
    grad_output: Float[Tensor, "1 heads positions dim"]
    direction: Direction
    small: "AttentionWorkload | None" = None

    @classmethod
    def draw(
        cls,
        pattern: AttentionPattern,
        seq_len: int,
        n_heads: int,
        head_dim: int,
        direction: Direction,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        small: "AttentionWorkload | None" = None,
    ) -> "AttentionWorkload":
        """Standard normal numbers in single precision, the same on every device."""
        generator = torch.Generator().manual_seed(seed)
        shape = (1, seq_len, n_heads, head_dim)
        query, key, value, grad_output = (
            torch.randn(shape, generator=generator, device="cpu").to(device).transpose(1, 2)
            for _ in range(4)
        )
        if direction == "forward_backward":
            for x in (query, key, value):
                x.requires_grad_()
        return cls(pattern, query, key, value, grad_output, direction, small)

    def run(self, attend: Attend) -> dict[str, Tensor]:
        """The output, or in the direction "forward_backward" the three gradients, by name."""
        inputs = (self.query, self.key, self.value)
        if self.direction == "forward":
            with torch.no_grad():
                return {"output": attend(*inputs)}
        gradients = torch.autograd.grad(attend(*inputs), inputs, self.grad_output)
        names = ("gradient of query", "gradient of key", "gradient of value")
        return dict(zip(names, gradients, strict=True))

    def case(self, name: str) -> dict[str, Any]:
        """The pattern that the implementation computes, and the number of positions."""
        pattern = IMPLEMENTATIONS[name].computes(self.pattern)
        return {"pattern": repr(pattern), "seq_len": self.query.shape[2]}

    def prepare(self, name: str) -> Callable[[], dict[str, Tensor]]:
        build = IMPLEMENTATIONS[name].build
        attend = build(self.pattern, self.query.shape[2], self.query.device)
        return lambda: self.run(attend)

    def expected(self, name: str) -> dict[str, Tensor]:
        pattern = IMPLEMENTATIONS[name].computes(self.pattern)
        return self.run(
            lambda query, key, value: sparse_attention(
                query, key, value, pattern, causal=True, backend="reference"
            )
        )

    def checked(self) -> Workload:
        return self if self.small is None else replace(self.small, pattern=self.pattern)

    def numbers(self, name: str, median_ms: float | None, speedup: float | None) -> dict[str, Any]:
        """Those that `benchmark_attention` explains."""
        pattern = IMPLEMENTATIONS[name].computes(self.pattern)
        _, n_heads, seq_len, head_dim = self.query.shape
        cost = attention_cost(pattern, seq_len, n_heads, head_dim, causal=True)
        return {
            "theoretical_speedup": cost.theoretical_speedup,
            "fill": cost.fill if name == OURS else None,
            "sparse_efficiency": speedup / cost.theoretical_speedup if speedup else None,
        }
