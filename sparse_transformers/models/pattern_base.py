"""What an attention pattern is: one rule about positions, and all that follows from it.

A pattern answers one question, "may the token at position `query` attend to the token at position
`key`?", in its `allows` method. The mask, the tiles that a kernel visits, the exact number of
pairs, and what can reach what over several layers are derived from that answer, so that they
cannot disagree.
"""

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import torch
from jaxtyping import Bool
from torch import Tensor

from sparse_transformers.models.block_layout import (
    CPU,
    CPU_BLOCK_SIZE,
    BlockLayout,
    build_layout,
    picture_or_none,
)
from sparse_transformers.models.byte_cache import ByteCache
from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.rule_values import (
    Positions,
    Ranges,
    content_of,
    evaluate_rule,
    on_device,
    snapshot,
)
from sparse_transformers.models.tracing import is_exporting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)

Self = TypeVar("Self", bound="AttentionPattern")


class Interleaved(NamedTuple):
    """A pattern seen on every `step`-th token: `pattern` holds within each of `step` subsequences.

    The token at position `step * t + phase` is number t of subsequence `phase`, and attends to
    number s of the same subsequence exactly if `pattern.allows(t, s)`. Tokens of different phases
    do not see each other. Far-apart tokens become neighbours in this way, so that a dilated or
    strided pattern fills whole tiles (Child et al. 2019, arXiv:1904.10509, section 5).
    """

    step: int
    pattern: "AttentionPattern"

    def subsequences(self, q_len: int, k_len: int) -> Counter[tuple[int, int]]:
        """How often a number of queries and of keys occurs among the subsequences with queries."""
        offset, step = k_len - q_len, self.step
        lengths = Counter(
            (len(range((phase - offset) % step, q_len, step)), len(range(phase, k_len, step)))
            for phase in range(min(step, k_len))
        )
        return Counter({(queries, keys): n for (queries, keys), n in lengths.items() if queries})


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

    A rule may look positions up in a tensor that it holds as a field, such as the document of each
    token (see `Documents`). It is never asked about positions outside the sequence.
    """

    @abstractmethod
    def allows(self, query: Positions, key: Positions) -> Any:
        """Whether position `query` may attend to position `key`; both broadcast against each other.

        Write it with operators that act elementwise (`abs`, comparisons, `%`, `//`, `&`, `|`), so
        that one expression serves numbers, tensors on any device, and FlexAttention's tracing.
        """

    def __repr__(self) -> str:  # of patterns that are no dataclasses
        return f"<{type(self).__name__}>"

    @classmethod
    def for_length(cls, seq_len: int) -> "AttentionPattern":
        """An example whose structure is visible in `seq_len` tokens, for pictures and tests.

        Raises:
            ValueError: The class needs options and does not say which suit a length.
        """
        try:
            return cls()
        except TypeError as error:
            raise ValueError(
                f"{cls.__name__} needs options: a class method `for_length(cls, seq_len)` may "
                "give the pattern with options that suit a length"
            ) from error

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
        with CPU:
            query = torch.arange(k_len - q_len, k_len)[:, None]
            key = torch.arange(k_len)[None, :]
            allowed = evaluate_rule(self.to(CPU), query, key)
        return allowed.broadcast_to(q_len, k_len).clone()

    def layout(
        self, q_len: int, k_len: int | None = None, block_size: int = CPU_BLOCK_SIZE
    ) -> BlockLayout:
        """The tiles of `block_size` x `block_size` pairs that hold at least one allowed pair.

        The default is the tile of the kernel on a CPU, 32; on a GPU it has 64. Where the pattern
        consists of several `parts`, the kernel visits a layout for each of them instead of this
        one; `attention_cost` counts these.
        """
        return _layout(self, q_len, check_lengths(q_len, k_len), block_size)

    def allowed_pairs(self, q_len: int, k_len: int | None = None) -> int:
        """The exact number of allowed pairs, counted tile by tile without making the mask."""
        k_len = check_lengths(q_len, k_len)
        return sum(
            count * part.pattern.layout(*lengths).allowed_pairs
            for part in self.parts()
            for lengths, count in part.subsequences(q_len, k_len).items()
        )

    def to(self: Self, device: torch.device | str) -> Self:
        """The same rule with the tensors that it holds on a device."""
        return on_device(self, device)

    def reach(self, seq_len: int, n_layers: int) -> Bool[Tensor, "positions positions"]:
        """Which tokens (columns) can influence which (rows) after `n_layers` layers.

        Every layer passes a token's own state on through its residual connection, so a token
        always reaches itself.
        """
        check_whole(0, n_layers=n_layers)
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

    def plot(self, seq_len: int = 64, *, tiles: bool = False, ax: "Axes | None" = None) -> "Axes":
        """Draw which keys each query sees, or the tiles that the kernel on a CPU visits.

        Where heads or sequences have patterns of their own, a pair is the darker the more of them
        see it.

        Args:
            seq_len: Number of queries and of keys.
            tiles: Draw the tiles.
            ax: Where to draw; None makes a new figure.
        """
        from sparse_transformers.utils.plots.patterns import plot_mask

        if tiles:
            return self.layout(seq_len).plot(ax)
        mask = self.mask(seq_len).float()
        mask = mask.flatten(0, -3).mean(0) if mask.ndim > 2 else mask
        return plot_mask(mask, title=repr(self), ax=ax)

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows."""
        return picture_or_none(self.plot)

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
            return right if left is None else left
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
class _PerMember(AttentionPattern):
    """A pattern of its own for every member of something: what heads and sequences share."""

    patterns: tuple[AttentionPattern, ...]

    member: ClassVar[str]

    def __post_init__(self) -> None:
        if isinstance(self.patterns, AttentionPattern) or not isinstance(self.patterns, Iterable):
            raise ValueError(f"patterns must be a sequence of patterns, got {self.patterns!r}")
        object.__setattr__(self, "patterns", tuple(self.patterns))
        if not self.patterns:
            raise ValueError(f"patterns must hold one pattern for each {self.member}, got none")
        for each in self.patterns:
            # Sequences may have patterns for each head; all other nesting has no meaning.
            nests = isinstance(each, _PerMember) and not (
                isinstance(self, PerSequence) and isinstance(each, PerHead)
            )
            if not isinstance(each, AttentionPattern) or nests:
                raise ValueError(f"patterns must be single attention patterns, got {each!r}")

    def allows(self, query: Positions, key: Positions) -> Any:
        raise self._has_several("rule")

    def mask(self, q_len: int, k_len: int | None = None) -> Bool[Tensor, "members *q_k"]:
        return torch.stack([pattern.mask(q_len, k_len) for pattern in self.patterns])

    def layout(
        self, q_len: int, k_len: int | None = None, block_size: int = CPU_BLOCK_SIZE
    ) -> BlockLayout:
        raise self._has_several("layout")

    def allowed_pairs(self, q_len: int, k_len: int | None = None) -> int:
        return sum(pattern.allowed_pairs(q_len, k_len) for pattern in self.patterns)

    @property
    def lookback(self) -> int | None:
        bounds = [pattern.lookback for pattern in self.patterns]
        return None if None in bounds else max(bound for bound in bounds if bound is not None)

    def __invert__(self) -> AttentionPattern:
        return type(self)(tuple(~pattern for pattern in self.patterns))

    def _has_several(self, what: str) -> ValueError:
        name = type(self).__name__
        return ValueError(
            f"{name} has one {what} for each {self.member}: use one of its `patterns`"
        )


@dataclass(frozen=True)
class PerHead(_PerMember):
    """A pattern of its own for every attention head.

    `mask` and `allowed_pairs` cover all heads; `layout` and `allows` belong to the single patterns.

    >>> import sparse_transformers as st
    >>> pattern = st.PerHead((st.LocalWindow(2), st.Dense()))
    >>> pattern.mask(4).shape
    torch.Size([2, 4, 4])
    >>> pattern.allowed_pairs(4)
    26

    Args:
        patterns: One pattern for each query head, each of them a single rule.
    """

    member = "head"

    def _sees(self, seq_len: int) -> Bool[Tensor, "positions positions"]:
        return self.mask(seq_len).any(0)


@dataclass(frozen=True)
class PerSequence(_PerMember):
    """A pattern of its own for every sequence of a batch, such as its documents or its prefix.

    `mask` and `allowed_pairs` cover all sequences; `layout`, `allows` and `reach` belong to the
    single patterns.

    >>> import sparse_transformers as st
    >>> prefixes = st.PerSequence([st.Causal() | st.AttentionSinks(n) for n in (1, 3)])
    >>> prefixes.mask(3).int()
    tensor([[[1, 0, 0],
             [1, 1, 0],
             [1, 1, 1]],
    <BLANKLINE>
            [[1, 1, 1],
             [1, 1, 1],
             [1, 1, 1]]], dtype=torch.int32)

    Args:
        patterns: One pattern for each sequence; a `PerHead` among them makes all of them so.
    """

    member = "sequence"

    def __post_init__(self) -> None:
        super().__post_init__()
        heads = {len(each.patterns) for each in self.patterns if isinstance(each, PerHead)}
        if len(heads) > 1:
            raise ValueError(f"patterns must have as many heads as each other, got {sorted(heads)}")
        for n_heads in heads:
            per_head = tuple(
                each if isinstance(each, PerHead) else PerHead((each,) * n_heads)
                for each in self.patterns
            )
            object.__setattr__(self, "patterns", per_head)

    def reach(self, seq_len: int, n_layers: int) -> Bool[Tensor, "positions positions"]:
        raise self._has_several("reach")


def members_of(
    pattern: AttentionPattern, n: int, several: type[PerHead] | type[PerSequence] = PerSequence
) -> tuple[AttentionPattern, ...]:
    """The pattern of each of `n` sequences (or heads)."""
    return pattern.patterns if isinstance(pattern, several) else (pattern,) * n


def same_rule(left: AttentionPattern, right: AttentionPattern) -> bool:
    """Whether two patterns are the same, whatever they hold; see `content_of`."""
    return left is right or content_of(left) == content_of(right)


def check_lengths(q_len: int, k_len: int | None) -> int:
    """Checks both lengths and returns `k_len`, or `q_len` if it is None."""
    k_len = q_len if k_len is None else k_len
    if not is_exporting():  # there a length is a symbol
        check_whole(1, q_len=q_len, k_len=k_len)
    if k_len < q_len:
        raise ValueError(f"k_len must be at least q_len ({q_len}), got {k_len}")
    return k_len


def _combine(
    combination: type[Intersection] | type[Union], left: AttentionPattern, right: AttentionPattern
) -> AttentionPattern:
    """Combines two patterns, one by one where either has one for each sequence or head."""
    if not isinstance(right, AttentionPattern):
        raise ValueError(f"a pattern combines with another pattern, got {right!r}")
    for several in (PerSequence, PerHead):
        n = next((len(each.patterns) for each in (left, right) if isinstance(each, several)), None)
        if n is not None:
            lefts, rights = (members_of(each, n, several) for each in (left, right))
            if len(lefts) != len(rights):
                members = "heads" if several is PerHead else "sequences"
                raise ValueError(
                    f"both sides must have as many {members}, got {len(lefts)} and {len(rights)}"
                )
            return several(
                tuple(_combine(combination, *pair) for pair in zip(lefts, rights, strict=True))
            )
    return combination(left, right)


def _elementwise_max(a: Positions, b: Positions) -> Tensor:
    return torch.maximum(torch.as_tensor(a), torch.as_tensor(b))


def _elementwise_min(a: Positions, b: Positions) -> Tensor:
    return torch.minimum(torch.as_tensor(a), torch.as_tensor(b))


LAYOUT_CACHE: ByteCache[BlockLayout] = ByteCache(256 << 20, lambda layout: layout.n_bytes)


def _layout(pattern: AttentionPattern, q_len: int, k_len: int, block_size: int) -> BlockLayout:
    """The layout, made if none was made for the same rule and lengths."""
    check_whole(1, block_size=block_size)  # 32.0 would find what was made for 32

    def make() -> BlockLayout:
        # The layout keeps the numbers of this moment, whatever happens to the pattern's tensors.
        rule = snapshot(pattern)
        for leaf in _without_hint(rule, k_len):
            _warn_about_probing(type(leaf))
        return build_layout(rule, q_len, k_len, block_size)

    return LAYOUT_CACHE.get((content_of(pattern), q_len, k_len, block_size), make)


def _without_hint(pattern: AttentionPattern, k_len: int) -> list[AttentionPattern]:
    """The rules inside a pattern because of which its layout has to try every tile."""
    if isinstance(pattern, Complement):
        return _without_hint(pattern.pattern, k_len)
    if isinstance(pattern, Intersection | Union):
        left, right = (_without_hint(each, k_len) for each in (pattern.left, pattern.right))
        if isinstance(pattern, Union):
            return left + right
        # One side's hint serves both, unless it is the whole sequence, as it is for `Causal`.
        if left and not right:
            return left if _spans_everything(pattern.right, k_len) else []
        if right and not left:
            return right if _spans_everything(pattern.left, k_len) else []
        return left + right
    return [pattern] if _last_candidates(pattern, k_len) is None else []


def _spans_everything(pattern: AttentionPattern, k_len: int) -> bool:
    """Whether the hint for the last query does not rule any key out."""
    ranges = _last_candidates(pattern, k_len)
    return ranges is None or any(int(start) <= 0 and int(stop) >= k_len for start, stop in ranges)


def _last_candidates(pattern: AttentionPattern, k_len: int) -> Ranges | None:
    with CPU:
        last = torch.tensor([k_len - 1])
        return pattern.candidate_keys(last, last, k_len)


@lru_cache
def _warn_about_probing(pattern: type[AttentionPattern]) -> None:
    """Warns once for each class of patterns that its layouts are slow to build."""
    logger.warning(
        "%s does not say where its keys are, so its layout tries every tile; "
        "a `candidate_keys` method would make it fast to build",
        pattern.__name__,
    )
