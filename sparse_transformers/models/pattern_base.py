"""What an attention pattern is: one rule about positions, and all that follows from it.

A pattern answers one question, "may the token at position `query` attend to the token at position
`key`?", in its `allows` method. The mask, the tiles that a kernel visits, the exact number of
pairs, and what can reach what over several layers are derived from that answer, so that they
cannot disagree.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from sparse_transformers.models.block_layout import (
    BlockLayout,
    Positions,
    Ranges,
    build_layout,
)


class Interleaved(NamedTuple):
    """A pattern seen on every `step`-th token: `pattern` holds within each of `step` subsequences.

    The token at position `step * t + phase` is number t of subsequence `phase`, and attends to
    number s of the same subsequence exactly if `pattern.allows(t, s)`. Tokens of different phases
    do not see each other. Far-apart tokens become neighbours in this way, so that a dilated or
    strided pattern fills whole tiles (Child et al. 2019, arXiv:1904.10509, section 5).
    """

    step: int
    pattern: "AttentionPattern"


class AttentionPattern(ABC):
    """Which positions may attend to which.

    A new pattern is a frozen dataclass with one method, `allows`. Override `candidate_keys` as well
    to make its layout cheap to build. Patterns combine: `a & b`, `a | b`, `~a`.

    >>> import sparse_transformers as st
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class EvenKeys(st.AttentionPattern):
    ...     def allows(self, query, key):
    ...         return key % 2 == 0
    ...
    >>> (EvenKeys() & st.Causal()).mask(4).int()
    tensor([[1, 0, 0, 0],
            [1, 0, 0, 0],
            [1, 0, 1, 0],
            [1, 0, 1, 0]], dtype=torch.int32)
    >>> EvenKeys().mask(4).sum()
    tensor(8)

    Positions count from 0. Fewer queries than keys means that the queries are the last positions.
    """

    @abstractmethod
    def allows(self, query: Positions, key: Positions) -> Any:
        """Whether position `query` may attend to position `key`; both broadcast against each other.

        Write it with operators that act elementwise (`abs`, comparisons, `%`, `//`, `&`, `|`), so
        that one expression serves numbers, tensors on any device, and FlexAttention's tracing.
        """

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges | None:
        """Ranges `[start, stop)` that hold every key which queries `first..last` may attend to.

        This is a hint and not a rule: ranges may overlap, extend beyond the sequence, or hold
        forbidden keys; ranges that are too wide cost time and never change a result. `first` and
        `last` are position tensors, one entry for each row of tiles, so a range is a pair of
        expressions in them. None means unknown: the layout then tries every tile.
        """
        return None

    @property
    def lookback(self) -> int | None:
        """How many of the latest keys (itself included) a causal query can ever see.

        None if there is no such bound, or if the rule depends on more than the distance
        `query - key`. A key/value cache may drop whatever is older.
        """
        return None

    def parts(self) -> list[Interleaved]:
        """The pattern as disjoint parts, each of them dense in tiles after its own interleaving."""
        return [Interleaved(1, self)]

    def mask(self, q_len: int, k_len: int | None = None) -> Bool[Tensor, "..."]:
        """The dense mask, True where attention is allowed: (q_len, k_len).

        `PerHead` puts the heads in front. Takes memory for all pairs: for reading and testing.
        """
        k_len = check_lengths(q_len, k_len)
        query = torch.arange(k_len - q_len, k_len)[:, None]
        key = torch.arange(k_len)[None, :]
        return torch.as_tensor(self.allows(query, key)).broadcast_to(q_len, k_len).clone()

    def layout(self, q_len: int, k_len: int | None = None, block_size: int = 64) -> BlockLayout:
        """The tiles of `block_size` x `block_size` pairs that hold at least one allowed pair."""
        return _cached_layout(self, q_len, check_lengths(q_len, k_len), block_size)

    def allowed_pairs(self, q_len: int, k_len: int | None = None) -> int:
        """The exact number of allowed pairs, counted tile by tile without making the mask."""
        return self.layout(q_len, k_len).allowed_pairs

    def reach(self, seq_len: int, n_layers: int) -> Bool[Tensor, "positions positions"]:
        """Which tokens (columns) can influence which (rows) after `n_layers` layers.

        Every layer passes a token's own state on through its residual connection, so a token
        always reaches itself.
        """
        if n_layers < 0:
            raise ValueError(f"n_layers must be at least 0, got {n_layers}")
        check_lengths(seq_len, None)
        one_layer = self._sees(seq_len) | torch.eye(seq_len, dtype=torch.bool)
        reached = torch.eye(seq_len, dtype=torch.bool)
        for _ in range(n_layers):
            grown = (one_layer.float() @ reached.float()) > 0
            if torch.equal(grown, reached):
                break
            reached = grown
        return reached

    def _sees(self, seq_len: int) -> Bool[Tensor, "positions positions"]:
        """Which tokens any head of one layer sees."""
        return self.mask(seq_len)

    def __and__(self, other: "AttentionPattern") -> "AttentionPattern":
        return _combine(Intersection, self, other)

    def __or__(self, other: "AttentionPattern") -> "AttentionPattern":
        return _combine(Union, self, other)

    def __invert__(self) -> "AttentionPattern":
        return Complement(self)


@dataclass(frozen=True)
class Causal(AttentionPattern):
    """Every query sees itself and all earlier keys.

    >>> import sparse_transformers as st
    >>> st.Causal().mask(3).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    """

    def allows(self, query: Positions, key: Positions) -> Any:
        return key <= query

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        return [(0, last + 1)]


@dataclass(frozen=True)
class Intersection(AttentionPattern):
    """Pairs that both patterns allow: `left & right`."""

    left: AttentionPattern
    right: AttentionPattern

    def allows(self, query: Positions, key: Positions) -> Any:
        return self.left.allows(query, key) & self.right.allows(query, key)

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges | None:
        left = self.left.candidate_keys(first, last, k_len)
        right = self.right.candidate_keys(first, last, k_len)
        if left is None or right is None:
            return left if right is None else right
        return [(_elementwise_max(a, c), _elementwise_min(b, d)) for a, b in left for c, d in right]

    @property
    def lookback(self) -> int | None:
        # A bound holds for the intersection only if both rules keep their meaning when older keys
        # are dropped, that is, if both depend on the distance only; `Causal` does.
        bounds = [p.lookback for p in (self.left, self.right) if not isinstance(p, Causal)]
        if not bounds or None in bounds:
            return None
        return min(bound for bound in bounds if bound is not None)

    def parts(self) -> list[Interleaved]:
        # Being causal means the same in a subsequence as in the whole, so it passes inwards.
        # No other rule is known to, so any other intersection stays in one piece.
        for pattern, restriction in ((self.left, self.right), (self.right, self.left)):
            if isinstance(restriction, Causal):
                return [Interleaved(step, part & restriction) for step, part in pattern.parts()]
        return [Interleaved(1, self)]

    def __repr__(self) -> str:
        return f"({self.left!r} & {self.right!r})"


@dataclass(frozen=True)
class Union(AttentionPattern):
    """Pairs that either pattern allows: `left | right`."""

    left: AttentionPattern
    right: AttentionPattern

    def allows(self, query: Positions, key: Positions) -> Any:
        return self.left.allows(query, key) | self.right.allows(query, key)

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges | None:
        left = self.left.candidate_keys(first, last, k_len)
        right = self.right.candidate_keys(first, last, k_len)
        return None if left is None or right is None else left + right

    @property
    def lookback(self) -> int | None:
        bounds = (self.left.lookback, self.right.lookback)
        return None if None in bounds else max(bound for bound in bounds if bound is not None)

    def parts(self) -> list[Interleaved]:
        # One side keeps its interleaving, and the other gives up the pairs that both allow.
        for pattern, other in ((self.left, self.right), (self.right, self.left)):
            parts = pattern.parts()
            if any(part.step > 1 for part in parts):
                return [*parts, Interleaved(1, other & ~pattern)]
        return [Interleaved(1, self)]

    def __repr__(self) -> str:
        return f"({self.left!r} | {self.right!r})"


@dataclass(frozen=True)
class Complement(AttentionPattern):
    """Pairs that the pattern forbids: `~pattern`."""

    pattern: AttentionPattern

    def allows(self, query: Positions, key: Positions) -> Any:
        # `x == False` rather than `~x`, because `~True` is -2 for a Python bool.
        return self.pattern.allows(query, key) == False  # noqa: E712

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        return [(0, k_len)]

    def __invert__(self) -> AttentionPattern:
        return self.pattern

    def __repr__(self) -> str:
        return f"~{self.pattern!r}"


@dataclass(frozen=True)
class PerHead(AttentionPattern):
    """A pattern of its own for every attention head.

    `mask` and `allowed_pairs` cover all heads; `layout` and `allows` belong to the single patterns.

    >>> import sparse_transformers as st
    >>> pattern = st.PerHead((st.LocalWindow(2), st.Dense()))
    >>> pattern.mask(4).shape
    torch.Size([2, 4, 4])
    >>> pattern.allowed_pairs(4)
    26

    Args:
        patterns: One pattern for each query head, none of them a `PerHead`.
    """

    patterns: tuple[AttentionPattern, ...]

    def __post_init__(self) -> None:
        if isinstance(self.patterns, AttentionPattern):
            raise ValueError(f"patterns must be a sequence of patterns, got {self.patterns!r}")
        object.__setattr__(self, "patterns", tuple(self.patterns))
        if not self.patterns:
            raise ValueError("patterns must hold one pattern for each head, got none")
        for pattern in self.patterns:
            if not isinstance(pattern, AttentionPattern) or isinstance(pattern, PerHead):
                raise ValueError(f"patterns must be single attention patterns, got {pattern!r}")

    def allows(self, query: Positions, key: Positions) -> Any:
        raise ValueError("PerHead has one rule for each head: use one of its `patterns`")

    def mask(self, q_len: int, k_len: int | None = None) -> Bool[Tensor, "heads queries keys"]:
        return torch.stack([pattern.mask(q_len, k_len) for pattern in self.patterns])

    def layout(self, q_len: int, k_len: int | None = None, block_size: int = 64) -> BlockLayout:
        raise ValueError("PerHead has one layout for each head: use one of its `patterns`")

    def allowed_pairs(self, q_len: int, k_len: int | None = None) -> int:
        return sum(pattern.allowed_pairs(q_len, k_len) for pattern in self.patterns)

    @property
    def lookback(self) -> int | None:
        bounds = [pattern.lookback for pattern in self.patterns]
        return None if None in bounds else max(bound for bound in bounds if bound is not None)

    def _sees(self, seq_len: int) -> Bool[Tensor, "positions positions"]:
        return self.mask(seq_len).any(0)

    def __invert__(self) -> AttentionPattern:
        return PerHead(tuple(~pattern for pattern in self.patterns))


def check_lengths(q_len: int, k_len: int | None) -> int:
    """Checks both lengths and returns `k_len`, or `q_len` if it is None."""
    k_len = q_len if k_len is None else k_len
    if q_len < 1:
        raise ValueError(f"q_len must be at least 1, got {q_len}")
    if k_len < q_len:
        raise ValueError(f"k_len must be at least q_len ({q_len}), got {k_len}")
    return k_len


def _combine(
    combination: type[Intersection] | type[Union], left: AttentionPattern, right: AttentionPattern
) -> AttentionPattern:
    """Combines two patterns, head by head where either has one for each head."""
    if not isinstance(right, AttentionPattern):
        raise ValueError(f"a pattern combines with another pattern, got {right!r}")
    if isinstance(left, PerHead) and isinstance(right, PerHead):
        if len(left.patterns) != len(right.patterns):
            raise ValueError(
                "both sides must have as many heads, "
                f"got {len(left.patterns)} and {len(right.patterns)}"
            )
        pairs = list(zip(left.patterns, right.patterns, strict=True))
    elif isinstance(left, PerHead):
        pairs = [(pattern, right) for pattern in left.patterns]
    elif isinstance(right, PerHead):
        pairs = [(left, pattern) for pattern in right.patterns]
    else:
        return combination(left, right)
    return PerHead(tuple(combination(a, b) for a, b in pairs))


def _elementwise_max(a: Positions, b: Positions) -> Tensor:
    return torch.maximum(torch.as_tensor(a), torch.as_tensor(b))


def _elementwise_min(a: Positions, b: Positions) -> Tensor:
    return torch.minimum(torch.as_tensor(a), torch.as_tensor(b))


@lru_cache(maxsize=256)
def _cached_layout(
    pattern: AttentionPattern, q_len: int, k_len: int, block_size: int
) -> BlockLayout:
    return build_layout(pattern, q_len, k_len, block_size)
