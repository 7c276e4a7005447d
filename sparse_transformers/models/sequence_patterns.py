"""Rules about one sequence of a batch: its documents, its real keys, and where it begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from sparse_transformers.models.pattern_base import AttentionPattern, PerHead, PerSequence
from sparse_transformers.models.rule_values import Positions, Ranges

_WHOLE_NUMBERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@dataclass(frozen=True)
class Documents(AttentionPattern):
    """Every query sees the keys of its own document, for several texts in one sequence.

    Training on packed texts is `model(input_ids, pattern=st.Documents(ids))`. For a batch, give
    each sequence its own: `st.PerSequence([st.Documents(row) for row in ids])`.

    >>> import sparse_transformers as st
    >>> (st.Documents([7, 7, 9, 9]) & st.Causal()).mask(4).int()
    tensor([[1, 0, 0, 0],
            [1, 1, 0, 0],
            [0, 0, 1, 0],
            [0, 0, 1, 1]], dtype=torch.int32)

    Args:
        ids: The number of each position's document: a sequence of whole numbers, or a tensor
            (positions,), of which a copy is kept. The same number is the same document, whether
            its tokens are neighbours or not.

    Source: Dong et al. 2024, arXiv:2412.05496, section 3.3 (document masking).
    """

    ids: Integer[Tensor, "positions"] | Sequence[int]

    def __post_init__(self) -> None:
        ids = self.ids if isinstance(self.ids, Tensor) else torch.tensor(self.ids, device="cpu")
        if ids.ndim != 1 or not len(ids) or ids.dtype not in _WHOLE_NUMBERS:
            raise ValueError(
                "ids must be one whole number for each position, "
                f"got {ids.dtype} of shape {tuple(ids.shape)}"
            )
        object.__setattr__(self, "ids", ids.clone())

    def allows(self, query: Positions, key: Positions) -> Any:
        ids = cast(Tensor, self.ids)
        return ids[query] == ids[key]

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        if k_len > len(self.ids):
            raise ValueError(
                f"Documents must have an id for each of the {k_len} positions, got {len(self.ids)}"
            )
        first, last = torch.as_tensor(first), torch.as_tensor(last)
        longest = int((last - first).max()) + 1
        queries = torch.minimum(
            first[..., None] + torch.arange(longest, device=first.device), last[..., None]
        )
        starts, stops = self._extents
        return [(starts[queries].amin(-1), stops[queries].amax(-1))]

    @cached_property
    def _extents(self) -> tuple[Int[Tensor, "positions"], Int[Tensor, "positions"]]:
        """Where the document of each position starts and stops."""
        _, document = cast(Tensor, self.ids).unique(return_inverse=True)
        positions = torch.arange(len(document), device=document.device)
        starts, stops = (
            torch.zeros_like(positions).scatter_reduce(
                0, document, positions, reduce, include_self=False
            )[document]
            for reduce in ("amin", "amax")
        )
        return starts, stops + 1

    def __repr__(self) -> str:
        return f"Documents({len(cast(Tensor, self.ids).unique())} in {len(self.ids)} positions)"


@dataclass(frozen=True)
class KeysBetween(AttentionPattern):
    """Every query sees the keys from `start` to before `stop`: the real tokens of a sequence."""

    start: int
    stop: int

    def allows(self, query: Positions, key: Positions) -> Any:
        return (query >= 0) & (key >= self.start) & (key < self.stop)

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        return [(self.start, self.stop)]


@dataclass(frozen=True)
class KeysWhere(AttentionPattern):
    """Every query sees the keys that are marked: the real tokens, with padding between them."""

    real: Bool[Tensor, "keys"]

    def allows(self, query: Positions, key: Positions) -> Any:
        return (query >= 0) & self.real[key]

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges:
        return [(0, k_len)]


@dataclass(frozen=True)
class Shifted(AttentionPattern):
    """A pattern whose position 0 is at position `offset`; before it there is nothing.

    It is what a pattern means in a sequence that padding on the left has moved.
    """

    pattern: AttentionPattern
    offset: int

    def allows(self, query: Positions, key: Positions) -> Any:
        inside = (query >= self.offset) & (key >= self.offset)
        query, key = (
            torch.clamp(position - self.offset, min=0)
            if isinstance(position, Tensor)
            else max(0, position - self.offset)
            for position in (query, key)
        )
        return self.pattern.allows(query, key) & inside

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges | None:
        if k_len <= self.offset:
            return []
        first, last = (
            torch.as_tensor(position).sub(self.offset).clamp(min=0) for position in (first, last)
        )
        ranges = self.pattern.candidate_keys(first, last, k_len - self.offset)
        if ranges is None:
            return None
        return [
            (torch.as_tensor(start).clamp(min=0) + self.offset, stop + self.offset)
            for start, stop in ranges
        ]


def shifted(pattern: AttentionPattern, offset: int) -> AttentionPattern:
    """The pattern of a sequence that begins at position `offset`."""
    if offset == 0:
        return pattern
    if isinstance(pattern, PerHead):
        return PerHead(tuple(shifted(each, offset) for each in pattern.patterns))
    return Shifted(pattern, offset)


def follows_previous(
    pattern: AttentionPattern | None, hidden: Float[Tensor, "batch seq d_model"]
) -> Bool[Tensor, "batch_or_1 seq"] | None:
    """Whether a token may see the one before it; False for the first token of a document."""
    if pattern is None:
        return None
    later = torch.arange(1, hidden.shape[1], device=hidden.device)
    patterns = pattern.patterns if isinstance(pattern, PerSequence) else (pattern,)
    rows = [
        torch.as_tensor(each.to(hidden.device).allows(later, later - 1), device=hidden.device)
        for each in patterns
    ]
    return F.pad(torch.stack([row.expand(later.shape) for row in rows]), (1, 0), value=True)


def real_keys(
    k_len: int,
    key_lengths: Int[Tensor, "batch"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
) -> AttentionPattern | None:
    """The rule that hides padding from every query; None if there is no padding.

    Args:
        k_len: Number of keys, padding included.
        key_lengths: The number of real keys of each sequence, with padding on the right.
        key_mask: True for real keys, wherever the padding is.
    """
    lengths = [k_len] * len(key_mask) if key_lengths is None and key_mask is not None else []
    lengths = lengths if key_lengths is None else key_lengths.tolist()
    if key_mask is None:
        rules: Sequence[AttentionPattern] = [KeysBetween(0, length) for length in lengths]
    else:
        rules = [
            _real_keys_of(row & (torch.arange(k_len, device="cpu") < length))
            for row, length in zip(key_mask.cpu(), lengths, strict=True)
        ]
    if all(rule == KeysBetween(0, k_len) for rule in rules):
        return None
    return PerSequence(tuple(rules))


def _real_keys_of(real: Bool[Tensor, "keys"]) -> AttentionPattern:
    places = real.nonzero().flatten()
    if not len(places):
        return KeysBetween(0, 0)
    start, stop = int(places[0]), int(places[-1]) + 1
    return KeysBetween(start, stop) if stop - start == len(places) else KeysWhere(real)
