"""Attention problems of all shapes, and their solution by a formula of a few lines.

The formula does not use the package: exponentials of all scores, 0 where the mask forbids a pair,
divided by their sum.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from example_patterns import patterns
from hypothesis import strategies as st
from torch import Tensor

from sparse_transformers.models.attention_ops import sparse_attention
from sparse_transformers.models.attention_patterns import AttentionPattern

# Float64 has 16 digits; sums over some hundred terms, and exponentials, leave at least 11.
EXACT = {"rtol": 1e-9, "atol": 1e-11}

STORAGES = ("positions first", "heads first", "dim before positions", "every other", "shared")


@dataclass(frozen=True)
class Problem:
    """One call of `sparse_attention`; the numbers in its tensors follow from `seed`."""

    pattern: AttentionPattern
    q_len: int
    k_len: int
    batch: int = 1
    kv_heads: int = 2
    group: int = 1
    dim: int = 8
    value_dim: int = 8
    storage: str = "positions first"
    key_lengths: tuple[int, ...] | None = None
    causal: bool = False
    scale: float | None = None
    seed: int = 0

    @property
    def heads(self) -> int:
        return self.kv_heads * self.group

    def tensors(self, dtype: torch.dtype = torch.float64, device: str = "cpu") -> list[Tensor]:
        """Query, key and value."""
        shapes = [
            (self.batch, self.heads, self.q_len, self.dim),
            (self.batch, self.kv_heads, self.k_len, self.dim),
            (self.batch, self.kv_heads, self.k_len, self.value_dim),
        ]
        return [
            stored(shape, self.storage, 3 * self.seed + number, dtype, device)
            for number, shape in enumerate(shapes)
        ]

    def options(self) -> dict[str, Any]:
        """The keyword arguments of the call."""
        lengths = None if self.key_lengths is None else torch.tensor(self.key_lengths)
        return {"causal": self.causal, "scale": self.scale, "key_lengths": lengths}

    def allowed(self) -> Tensor:
        """Which pairs are allowed: (batch, heads, queries, keys)."""
        key = torch.arange(self.k_len)
        query = key[self.k_len - self.q_len :, None]
        allowed = self.pattern.mask(self.q_len, self.k_len)
        allowed = allowed.expand(self.batch, self.heads, self.q_len, self.k_len)
        if self.causal:
            allowed = allowed & (key <= query)
        if self.key_lengths is not None:
            lengths = torch.tensor(self.key_lengths)
            allowed = allowed & (key < lengths[:, None, None, None])
        return allowed

    def attend(self, backend: str) -> Callable[..., tuple[Tensor, Tensor]]:
        """`sparse_attention` of this problem as a function of its tensors."""

        def attend(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
            return sparse_attention(
                query,
                key,
                value,
                self.pattern,
                backend=backend,
                return_lse=True,
                **self.options(),
            )

        return attend

    def solve(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Output and log-sum-exp by the formula."""
        kv_head = torch.arange(self.heads) // self.group
        scale = self.dim**-0.5 if self.scale is None else self.scale
        scores = torch.einsum("bhqd,bhkd->bhqk", query, key[:, kv_head]) * scale
        shares = scores.exp() * self.allowed().to(scores)
        total = shares.sum(-1)
        has_key = total > 0
        total = total.where(has_key, 1.0)
        output = torch.einsum("bhqk,bhkd->bhqd", shares / total[..., None], value[:, kv_head])
        return output, total.log().masked_fill(~has_key, -torch.inf)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Problems around the edges of tiles, with every option."""
    lengths = st.sampled_from([1, 2, 31, 32, 33, 63, 64, 65, 96, 101, 130])
    k_len = draw(lengths)
    q_len = draw(st.one_of(st.just(k_len), st.integers(1, k_len)))
    batch, kv_heads, group = (draw(st.integers(1, 3)) for _ in range(3))
    dim, value_dim = draw(st.sampled_from([(8, 8), (4, 4), (8, 5), (3, 8)]))
    padded = st.lists(st.integers(0, k_len), min_size=batch, max_size=batch).map(tuple)
    return Problem(
        pattern=draw(patterns(kv_heads * group)),
        q_len=q_len,
        k_len=k_len,
        batch=batch,
        kv_heads=kv_heads,
        group=group,
        dim=dim,
        value_dim=value_dim,
        storage=draw(st.sampled_from(STORAGES)),
        key_lengths=draw(st.one_of(st.none(), padded)),
        causal=draw(st.booleans()),
        scale=draw(st.sampled_from([None, 0.2, 1.0, -0.5])),
        seed=draw(st.integers(0, 9)),
    )


def stored(
    shape: tuple[int, ...],
    storage: str,
    seed: int,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
) -> Tensor:
    """Normal numbers of a shape (batch, heads, positions, dim), laid out in memory as asked."""
    batch, heads, positions, dim = shape
    generator = torch.Generator().manual_seed(seed)

    def randn(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator, dtype=torch.float64).to(device, dtype)

    return {
        "positions first": lambda: randn(batch, positions, heads, dim).transpose(1, 2),
        "heads first": lambda: randn(batch, heads, positions, dim),
        "dim before positions": lambda: randn(batch, heads, dim, positions).transpose(2, 3),
        "every other": lambda: randn(batch, heads, 2 * positions, dim)[:, :, ::2],
        "shared": lambda: randn(1, 1, positions, dim).expand(shape),
    }[storage]()


class Results(NamedTuple):
    """What attention gives, and the gradients of a random function of it."""

    output: Tensor
    lse: Tensor
    grad_query: Tensor
    grad_key: Tensor
    grad_value: Tensor


def evaluate(
    attend: Callable[..., tuple[Tensor, Tensor]],
    tensors: list[Tensor],
    *,
    storage: str = "heads first",
    through_lse: bool = False,
) -> Results:
    """Runs attention forward and backward, and checks that it leaves its arguments alone.

    On a CPU, memory that is read before it is written gives NaN.

    Args:
        attend: Gives output and log-sum-exp.
        tensors: Query, key and value.
        storage: How the gradient that comes from behind is laid out in memory.
        through_lse: Whether the log-sum-exp takes part in the function that is differentiated.
    """
    before = [x.clone() for x in tensors]
    leaves = [x.detach().requires_grad_() for x in tensors]
    with fresh_memory_holds_nan(tensors[0].device):
        output, lse = attend(*leaves)
    grad_output = stored(tuple(output.shape), storage, 100, output.dtype, str(output.device))
    outputs, grad_outputs = [output], [grad_output]
    if through_lse:
        weights = stored((*lse.shape, 1), "heads first", 101, lse.dtype, str(lse.device))
        outputs.append(lse)
        grad_outputs.append(weights[..., 0])
    with fresh_memory_holds_nan(tensors[0].device):
        grads = torch.autograd.grad(outputs, leaves, grad_outputs)
    for old, x in zip(before, tensors, strict=True):
        assert torch.equal(old, x), "an argument was changed"
    return Results(output.detach(), lse.detach(), *grads)


@contextmanager
def fresh_memory_holds_nan(device: torch.device) -> Iterator[None]:
    """Fills uninitialised tensors with NaN, which PyTorch offers in its deterministic mode."""
    # On a GPU that mode also asks for settings that must stand before the first matrix product.
    torch.use_deterministic_algorithms(device.type == "cpu")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def assert_same(results: Results, expected: Results, **tolerance: float) -> None:
    """Compares all results by name."""
    for name, got, right in zip(Results._fields, results, expected, strict=True):
        torch.testing.assert_close(got, right, **tolerance, msg=lambda m, n=name: f"{n}: {m}")
