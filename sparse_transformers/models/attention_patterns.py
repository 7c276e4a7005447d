"""The static attention patterns of the literature, each one a rule about positions.

The rules treat earlier and later keys alike. Causality is a rule of its own, so a causal window is
`LocalWindow(256) & Causal()`, or `LocalWindow(256)` and `causal=True` where a function has that
argument.

To add a pattern: write a frozen dataclass with `allows` and `for_length`, under `register_pattern`.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, get_args

import torch

from sparse_transformers.models.checks import MOST, check_options, check_whole
from sparse_transformers.models.pattern_base import (
    AttentionPattern,
    Causal,
    Complement,
    Interleaved,
    Intersection,
    PerHead,
    Positions,
    Ranges,
    Union,
)
from sparse_transformers.models.registry import register, registered

__all__ = [
    "PATTERNS",
    "AttentionPattern",
    "AttentionSinks",
    "BigBird",
    "BlockSparse",
    "Causal",
    "Complement",
    "Dense",
    "DilatedWindow",
    "Fixed",
    "GlobalTokens",
    "Interleaved",
    "Intersection",
    "LocalWindow",
    "Longformer",
    "PerHead",
    "RandomSparse",
    "Strided",
    "Union",
    "make_pattern",
    "register_pattern",
]

Part = Literal["both", "local", "column"]

PATTERNS: dict[str, type[AttentionPattern]] = {}
"""The patterns by the names that `make_pattern`, configurations and the command line take."""

Pattern = TypeVar("Pattern", bound=type[AttentionPattern])


def register_pattern(name: str) -> Callable[[Pattern], Pattern]:
    """A class decorator that gives a pattern a name, under which it can be made and saved.

    >>> import sparse_transformers as st
    >>> from dataclasses import dataclass
    >>> @st.register_pattern("even")
    ... @dataclass(frozen=True)
    ... class EvenKeys(st.AttentionPattern):
    ...     step: int = 2
    ...     def allows(self, query, key):
    ...         return key % self.step == 0
    ...
    >>> st.make_pattern("even", step=3)
    EvenKeys(step=3)
    >>> st.SparseTransformerConfig(attention=EvenKeys() & st.Causal()).to_dict()["attention"]
    {'all_of': [{'name': 'even', 'step': 2}, {'name': 'causal'}]}

    Args:
        name: A plain word; a key of `PATTERNS` from then on.

    Raises:
        ValueError: The name is no plain word or belongs to another class, or the class is no
            subclass of `AttentionPattern`.
    """
    return register(PATTERNS, AttentionPattern, "pattern", name)


@register_pattern("dense")
@dataclass(frozen=True)
class Dense(AttentionPattern):
    """Every query sees every key.

    >>> import sparse_transformers as st
    >>> st.Dense().allowed_pairs(4)
    16

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.
    """

    def allows(self, query: Positions, key: Positions) -> Any:
        return (query >= 0) & (key >= 0)

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        return [(0, k_len)]


register_pattern("causal")(Causal)


@register_pattern("local")
@dataclass(frozen=True)
class LocalWindow(AttentionPattern):
    """Every query sees the keys nearer than `window_size`.

    With `Causal` these are exactly `window_size` keys, the query's own included; without it,
    `window_size - 1` more on the other side.

    >>> import sparse_transformers as st
    >>> (st.LocalWindow(2) & st.Causal()).mask(4).int()
    tensor([[1, 0, 0, 0],
            [1, 1, 0, 0],
            [0, 1, 1, 0],
            [0, 0, 1, 1]], dtype=torch.int32)

    Args:
        window_size: Number of keys on one side, the query's own included; at least 1.

    Source: Beltagy et al. 2020, arXiv:2004.05150, section 3.1.
    """

    window_size: int

    def __post_init__(self) -> None:
        check_options(self, 1, "window_size")

    @classmethod
    def for_length(cls, seq_len: int) -> "LocalWindow":
        return cls(max(1, seq_len // 8))

    def allows(self, query: Positions, key: Positions) -> Any:
        return abs(query - key) < self.window_size

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        return [(first - self.window_size + 1, last + self.window_size)]

    @property
    def lookback(self) -> int:
        return self.window_size


@register_pattern("dilated")
@dataclass(frozen=True)
class DilatedWindow(AttentionPattern):
    """A window with gaps: `window_size` keys on each side (itself included), `dilation` apart.

    >>> import sparse_transformers as st
    >>> st.DilatedWindow(2, dilation=2).mask(4).int()
    tensor([[1, 0, 1, 0],
            [0, 1, 0, 1],
            [1, 0, 1, 0],
            [0, 1, 0, 1]], dtype=torch.int32)

    Args:
        window_size: Number of keys on one side, the query's own included; at least 1.
        dilation: Distance between neighbouring keys, in positions; at least 1 (no gaps).

    Source: Beltagy et al. 2020, arXiv:2004.05150, section 3.1.
    """

    window_size: int
    dilation: int

    def __post_init__(self) -> None:
        check_options(self, 1, "window_size", "dilation")

    @classmethod
    def for_length(cls, seq_len: int) -> "DilatedWindow":
        return cls(max(1, seq_len // 8), dilation=2)

    def allows(self, query: Positions, key: Positions) -> Any:
        distance = query - key
        return (abs(distance) < self.lookback) & (distance % self.dilation == 0)

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        return [(first - self.lookback + 1, last + self.lookback)]

    @property
    def lookback(self) -> int:
        return (self.window_size - 1) * self.dilation + 1

    def parts(self) -> list[Interleaved]:
        return [Interleaved(self.dilation, LocalWindow(self.window_size))]


@register_pattern("strided")
@dataclass(frozen=True)
class Strided(AttentionPattern):
    """The positions up to `stride` away, and every `stride`-th position beyond.

    `part="local"` and `part="column"` are the two heads of the paper's factorised form,
    A1 = {i - stride, ..., i} and A2 = {j : (i - j) mod stride = 0}; "both" is their union. The
    local part has `stride + 1` keys, as the paper's formula has; OpenAI's code has `stride`.

    >>> import sparse_transformers as st
    >>> (st.Strided(2) & st.Causal()).mask(6).int()[-1]
    tensor([0, 1, 0, 1, 1, 1], dtype=torch.int32)

    Args:
        stride: Distance in positions, at least 1.
        part: "both", "local" or "column".

    Source: Child et al. 2019, arXiv:1904.10509, section 4.3.
    """

    stride: int
    part: Part = "both"

    def __post_init__(self) -> None:
        check_options(self, 1, "stride")
        _check_part(self.part)

    @classmethod
    def for_length(cls, seq_len: int) -> "Strided":
        return cls(max(1, seq_len // 8))

    def allows(self, query: Positions, key: Positions) -> Any:
        distance = query - key
        local = abs(distance) <= self.stride
        column = distance % self.stride == 0
        return _choose_part(self.part, local, column, local | column)

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        if self.part == "local":
            return [(first - self.stride, last + self.stride + 1)]
        return [(0, k_len)]

    @property
    def lookback(self) -> int | None:
        return self.stride + 1 if self.part == "local" else None

    def parts(self) -> list[Interleaved]:
        column = Interleaved(self.stride, Dense())
        local = Interleaved(1, LocalWindow(min(self.stride + 1, MOST)))
        # The local part has the column's keys at distance 0 and `stride`, which are the same and
        # the neighbouring number in the subsequence.
        beyond_local = Interleaved(self.stride, ~LocalWindow(2))
        return _choose_part(self.part, [local], [column], [local, beyond_local])


@register_pattern("fixed")
@dataclass(frozen=True)
class Fixed(AttentionPattern):
    """The query's own block, and the last `summary_size` positions of every block.

    All heads share the summary positions; in the paper, heads may have sub-blocks of their own.

    `part="local"` and `part="column"` are the two heads of the paper's factorised form;
    "both" is their union.

    >>> import sparse_transformers as st
    >>> (st.Fixed(3) & st.Causal()).mask(8).int()[-1]
    tensor([0, 0, 1, 0, 0, 1, 1, 1], dtype=torch.int32)

    Args:
        block_size: Length of a block in positions, at least 1.
        summary_size: Number of positions at the end of each block that all queries see; from 1 to
            `block_size`.
        part: "both", "local" or "column".

    Source: Child et al. 2019, arXiv:1904.10509, section 4.3.
    """

    block_size: int
    summary_size: int = 1
    part: Part = "both"

    def __post_init__(self) -> None:
        check_options(self, 1, "block_size", "summary_size")
        if self.summary_size > self.block_size:
            raise ValueError(
                f"summary_size must be at most block_size ({self.block_size}), "
                f"got {self.summary_size}"
            )
        _check_part(self.part)

    @classmethod
    def for_length(cls, seq_len: int) -> "Fixed":
        return cls(max(1, seq_len // 8))

    def allows(self, query: Positions, key: Positions) -> Any:
        local = query // self.block_size == key // self.block_size
        column = key % self.block_size >= self.block_size - self.summary_size
        return _choose_part(self.part, local, column, local | column)

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        own_block = (
            first // self.block_size * self.block_size,
            (last // self.block_size + 1) * self.block_size,
        )
        return [own_block] if self.part == "local" else [own_block, (0, k_len)]


@register_pattern("block")
@dataclass(frozen=True)
class BlockSparse(AttentionPattern):
    """Random blocks of `block_size` x `block_size` pairs: a share of `sparsity` is skipped.

    Every query also sees its own block, so that no query is without a key. Which blocks are kept
    depends on `seed` and on the block's place, and not on the length of the sequence.

    >>> import sparse_transformers as st
    >>> st.BlockSparse(64, sparsity=0.9).layout(512, block_size=64).to_dense()
    tensor([[2, 0, 0, 0, 0, 0, 2, 0],
            [0, 2, 0, 0, 0, 0, 0, 0],
            [0, 0, 2, 0, 0, 0, 0, 0],
            [0, 0, 0, 2, 0, 0, 0, 0],
            [2, 0, 0, 0, 2, 0, 0, 0],
            [0, 0, 0, 0, 0, 2, 0, 0],
            [0, 0, 0, 0, 0, 0, 2, 0],
            [0, 2, 0, 0, 0, 0, 0, 2]])

    Args:
        block_size: Length of a block in positions, at least 1.
        sparsity: Probability that a block is skipped, from 0 (dense) to 1 (own block only).
        seed: A whole number; another seed keeps other blocks.

    Source: Gray, Radford, Kingma 2017, "GPU Kernels for Block-Sparse Weights", section 3.
    """

    block_size: int
    sparsity: float
    seed: int = 0

    def __post_init__(self) -> None:
        check_options(self, 1, "block_size")
        _check_random(self)

    @classmethod
    def for_length(cls, seq_len: int) -> "BlockSparse":
        return cls(max(1, seq_len // 8), sparsity=0.5)

    def allows(self, query: Positions, key: Positions) -> Any:
        row, column = query // self.block_size, key // self.block_size
        return (_uniform(row, column, self.seed) >= self.sparsity * _HASH_RANGE) | (row == column)

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        # One row of blocks is asked for each of the blocks that the tile row touches. The number
        # of ranges is that of the blocks in the longest row.
        n_blocks = -(-k_len // self.block_size)
        columns = torch.arange(n_blocks)
        top, bottom = (torch.as_tensor(edge) // self.block_size for edge in (first, last))
        visible = torch.zeros(*top.shape, n_blocks, dtype=torch.bool)
        for step in range(int((bottom - top).max()) + 1):
            row = torch.minimum(top + step, bottom)[..., None]
            visible |= (_uniform(row, columns, self.seed) >= self.sparsity * _HASH_RANGE) | (
                row == columns
            )
        # Columns of visible blocks first: entry n is the n-th visible block of every row.
        order = torch.argsort(visible, dim=-1, descending=True, stable=True)
        most = int(visible.sum(-1).max())
        ranges: Ranges = []
        for nth in range(most):
            column = order[..., nth]
            exists = torch.gather(visible, -1, column[..., None])[..., 0]
            start = column * self.block_size
            ranges.append((start, torch.where(exists, start + self.block_size, start)))
        return ranges


@register_pattern("random")
@dataclass(frozen=True)
class RandomSparse(AttentionPattern):
    """Single random pairs: a share of `sparsity` is skipped, and every query sees itself.

    Unstructured sparsity leaves hardly any tile empty, so it saves next to no time: the `fill` of
    its layout is low. Which pairs are kept depends on `seed` and on the two positions.

    >>> import sparse_transformers as st
    >>> layout = st.RandomSparse(sparsity=0.9).layout(512)
    >>> layout.n_tiles, round(layout.fill, 2)
    (256, 0.1)

    Args:
        sparsity: Probability that a pair is skipped, from 0 (dense) to 1 (itself only).
        seed: A whole number; another seed keeps other pairs.

    Source: the "sparse random" attention of many tutorials; no kernel profits from it.
    """

    sparsity: float
    seed: int = 0

    def __post_init__(self) -> None:
        _check_random(self)

    @classmethod
    def for_length(cls, seq_len: int) -> "RandomSparse":
        return cls(sparsity=0.8)

    def allows(self, query: Positions, key: Positions) -> Any:
        return (_uniform(query, key, self.seed) >= self.sparsity * _HASH_RANGE) | (query == key)

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        return [(0, k_len)]


@register_pattern("global")
@dataclass(frozen=True)
class GlobalTokens(AttentionPattern):
    """The tokens at `positions` see every token, and every token sees them.

    >>> import sparse_transformers as st
    >>> st.GlobalTokens((0,)).mask(3).int()
    tensor([[1, 1, 1],
            [1, 0, 0],
            [1, 0, 0]], dtype=torch.int32)

    Args:
        positions: Positions of the global tokens, at least one, each 0 or more.

    Source: Beltagy et al. 2020, arXiv:2004.05150, section 3.1 (global attention);
    Zaheer et al. 2020, arXiv:2007.14062, section 2 (BigBird-ITC).
    """

    positions: tuple[int, ...]

    def __post_init__(self) -> None:
        positions = _whole_positions(positions=self.positions)
        object.__setattr__(self, "positions", tuple(sorted(set(positions))))

    @classmethod
    def for_length(cls, seq_len: int) -> "GlobalTokens":
        return cls((0,))

    def allows(self, query: Positions, key: Positions) -> Any:
        return self._is_global(query) | self._is_global(key)

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        first, last = torch.as_tensor(first), torch.as_tensor(last)
        runs = self._runs()
        holds_global = torch.zeros_like(first, dtype=torch.bool)
        for start, stop in runs:
            holds_global |= (first < stop) & (last >= start)
        return [(0, torch.where(holds_global, k_len, 0)), *runs]

    def _is_global(self, position: Positions) -> Any:
        hit = position < 0
        for start, stop in self._runs():
            hit = hit | ((position >= start) & (position < stop))
        return hit

    def _runs(self) -> list[tuple[int, int]]:
        """The positions as `[start, stop)` runs of neighbours."""
        runs: list[tuple[int, int]] = []
        for position in self.positions:
            if runs and runs[-1][1] == position:
                runs[-1] = (runs[-1][0], position + 1)
            else:
                runs.append((position, position + 1))
        return runs


@register_pattern("sinks")
@dataclass(frozen=True)
class AttentionSinks(AttentionPattern):
    """Every query sees the first `count` keys.

    These are tokens of the text. Learned sinks, such as `s_aux` in Hugging Face's gpt-oss, are not:
    they only add to the softmax's sum, which makes them `output * sigmoid(lse - sink)`.

    It is used in a union, such as `AttentionSinks(4) | LocalWindow(256)`.

    >>> import sparse_transformers as st
    >>> pattern = st.AttentionSinks(1) | st.LocalWindow(2)
    >>> (pattern & st.Causal()).mask(5).int()[-1]
    tensor([1, 0, 0, 1, 1], dtype=torch.int32)

    Args:
        count: Number of keys at the start of the sequence, at least 1.

    Source: Xiao et al. 2023, arXiv:2309.17453, section 3.2.
    """

    count: int

    def __post_init__(self) -> None:
        check_options(self, 1, "count")

    @classmethod
    def for_length(cls, seq_len: int) -> "AttentionSinks":
        return cls(min(4, seq_len))

    def allows(self, query: Positions, key: Positions) -> Any:
        return (query >= 0) & (key < self.count)

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        return [(0, self.count)]


@register_pattern("longformer")
@dataclass(frozen=True)
class Longformer(AttentionPattern):
    """A window, dilated if wanted, and a few global tokens.

    The model's separate projections for global tokens are not part of the pattern.

    >>> import sparse_transformers as st
    >>> st.Longformer(window_size=2).mask(4).int()
    tensor([[1, 1, 1, 1],
            [1, 1, 1, 0],
            [1, 1, 1, 1],
            [1, 0, 1, 1]], dtype=torch.int32)

    Args:
        window_size: Number of keys on one side, the query's own included; at least 1.
        global_positions: Positions of the global tokens, each 0 or more.
        dilation: Distance between neighbouring keys of the window, in positions; at least 1.

    Source: Beltagy et al. 2020, arXiv:2004.05150, section 3.1.
    """

    window_size: int
    global_positions: tuple[int, ...] = (0,)
    dilation: int = 1

    def __post_init__(self) -> None:
        check_options(self, 1, "window_size", "dilation")
        positions = _whole_positions(global_positions=self.global_positions)
        object.__setattr__(self, "global_positions", positions)

    @cached_property
    def _union(self) -> AttentionPattern:
        window: AttentionPattern = LocalWindow(self.window_size)
        if self.dilation != 1:
            window = DilatedWindow(self.window_size, self.dilation)
        return window | GlobalTokens(self.global_positions)

    @classmethod
    def for_length(cls, seq_len: int) -> "Longformer":
        return cls(max(1, seq_len // 8))

    def allows(self, query: Positions, key: Positions) -> Any:
        return self._union.allows(query, key)

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges | None:
        return self._union.candidate_keys(first, last, k_len)

    def parts(self) -> list[Interleaved]:
        return self._union.parts()


@register_pattern("bigbird")
@dataclass(frozen=True)
class BigBird(AttentionPattern):
    """Blocks of tokens: a window of `window_blocks`, `global_blocks` first ones, and random ones.

    For each block of queries, `random_blocks` blocks of keys are drawn, with repetition, from the
    first `seq_len` positions as in the paper. Without `seq_len` they are drawn from the blocks up
    to its own, which suits causal use. The draws depend on `seed` and on the block's number.
    Hugging Face's BigBird makes the first and the last block global; here global blocks are the
    first ones.

    >>> import sparse_transformers as st
    >>> pattern = st.BigBird(block_size=64)
    >>> pattern.layout(512, block_size=64).to_dense()
    tensor([[2, 2, 2, 2, 2, 2, 2, 2],
            [2, 2, 2, 0, 0, 0, 0, 0],
            [2, 2, 2, 2, 0, 0, 0, 0],
            [2, 2, 2, 2, 2, 0, 0, 0],
            [2, 2, 0, 2, 2, 2, 0, 0],
            [2, 0, 0, 0, 2, 2, 2, 0],
            [2, 2, 2, 0, 2, 2, 2, 2],
            [2, 0, 2, 0, 0, 0, 2, 2]])

    Args:
        block_size: Length of a block in positions, at least 1.
        window_blocks: Blocks in the window, the query's own included; odd.
        global_blocks: Blocks at the start whose tokens are global; 0 for none.
        random_blocks: Draws for each block of queries; 0 for none.
        seed: A whole number; another seed draws other blocks.
        seq_len: Length that the draws are made from, in positions; None: up to the query's block.

    Source: Zaheer et al. 2020, arXiv:2007.14062, section 2 and appendix D.
    """

    block_size: int
    window_blocks: int = 3
    global_blocks: int = 1
    random_blocks: int = 3
    seed: int = 0
    seq_len: int | None = None

    def __post_init__(self) -> None:
        check_options(self, 1, "block_size", "window_blocks")
        check_options(self, 0, "global_blocks", "random_blocks")
        if self.window_blocks % 2 == 0:
            raise ValueError(
                f"window_blocks must be odd (the same on both sides), got {self.window_blocks}"
            )
        _check_seed(self)
        if self.seq_len is not None:
            check_options(self, 1, "seq_len")

    @classmethod
    def for_length(cls, seq_len: int) -> "BigBird":
        return cls(max(1, seq_len // 16))

    def allows(self, query: Positions, key: Positions) -> Any:
        row, column = query // self.block_size, key // self.block_size
        seen = abs(row - column) <= self.window_blocks // 2
        seen = seen | (row < self.global_blocks) | (column < self.global_blocks)
        for nth in range(self.random_blocks):
            seen = seen | (column == self._draw(row, nth))
        return seen

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        size, side = self.block_size, self.window_blocks // 2
        first, last = torch.as_tensor(first), torch.as_tensor(last)
        top, bottom = first // size, last // size
        ranges: Ranges = [
            ((top - side) * size, (bottom + side + 1) * size),
            (0, self.global_blocks * size),
            (0, torch.where(top < self.global_blocks, k_len, 0)),
        ]
        for step in range(int((bottom - top).max()) + 1):
            row = torch.minimum(top + step, bottom)
            for nth in range(self.random_blocks):
                column = self._draw(row, nth)
                ranges.append((column * size, (column + 1) * size))
        return ranges

    def _draw(self, row: Positions, nth: int) -> Any:
        """The number of the `nth` random block of keys that block `row` of queries sees."""
        n_blocks = row + 1 if self.seq_len is None else -(-self.seq_len // self.block_size)
        return _uniform(row, nth, self.seed) % n_blocks


def make_pattern(name: str, **options: Any) -> AttentionPattern:
    """The pattern called `name` in `PATTERNS`.

    >>> import sparse_transformers as st
    >>> st.make_pattern("local", window_size=9)
    LocalWindow(window_size=9)

    Args:
        name: A key of `PATTERNS`: "dense", "causal", "local", "dilated", "strided", "fixed",
            "block", "random", "global", "sinks", "longformer", "bigbird", or a registered one.
        **options: The arguments of the pattern's class.

    Raises:
        ValueError: The name is unknown, or an option is unknown, missing or out of range.
    """
    pattern = registered(PATTERNS, "pattern", name)
    parameters = inspect.signature(pattern).parameters
    unknown = [option for option in options if option not in parameters]
    if unknown:
        raise ValueError(
            f"pattern {name!r} has no option {', '.join(unknown)}; "
            f"its options are {', '.join(parameters) or 'none'}"
        )
    missing = [
        option
        for option, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty and option not in options
    ]
    if missing:
        raise ValueError(f"pattern {name!r} needs the option {', '.join(missing)}")
    return pattern(**options)


_HASH_RANGE = 1 << 31


def _uniform(a: Positions, b: Positions, seed: int) -> Any:
    """A number in [0, 2**31) that depends on the three arguments alone, evenly spread.

    A counter-based generator, so that a random pattern is a rule like any other: the same pair
    gives the same answer on every device and in every order. Multiplications stay below 2**62.
    The mixing steps are those of Wellons' "lowbias32" hash (2018), cut to 31 bits.
    """
    return _mix(_mix(a * 2 + 1) ^ _mix(b * 2 + _mix(seed)))


def _mix(x: Positions) -> Any:
    x = x % _HASH_RANGE
    x = ((x ^ (x >> 16)) * 0x7FEB352D) % _HASH_RANGE
    x = ((x ^ (x >> 15)) * 0x46CA68B5) % _HASH_RANGE
    return x ^ (x >> 16)


def _choose_part(part: Part, local: Any, column: Any, both: Any) -> Any:
    return {"local": local, "column": column, "both": both}[part]


def _check_part(part: str) -> None:
    if part not in get_args(Part):
        raise ValueError(f"part must be one of {', '.join(get_args(Part))}, got {part!r}")


def _whole_positions(**options: Iterable[int]) -> tuple[int, ...]:
    [(name, given)] = options.items()
    positions = () if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not positions:
        raise ValueError(f"{name} must be a sequence of positions such as (0,), got {given!r}")
    for position in positions:
        check_whole(0, **{name: position})
    return tuple(map(int, positions))


def _check_random(pattern: BlockSparse | RandomSparse) -> None:
    sparsity = pattern.sparsity
    if isinstance(sparsity, bool) or not isinstance(sparsity, Real) or not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be a number between 0 and 1, got {sparsity!r}")
    object.__setattr__(pattern, "sparsity", float(sparsity))
    _check_seed(pattern)


def _check_seed(pattern: BlockSparse | RandomSparse | BigBird) -> None:
    if isinstance(pattern.seed, bool) or not isinstance(pattern.seed, Integral):
        raise ValueError(f"seed must be a whole number, got {pattern.seed!r}")
    object.__setattr__(pattern, "seed", int(pattern.seed))
