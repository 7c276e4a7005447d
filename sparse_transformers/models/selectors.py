"""Selectors: which keys a query attends to, by content rather than by position.

A selector proposes keys for every query; `allowed_selection` then drops all that the pattern
forbids. The order matters: a top-k over masked scores returns k keys even where fewer are allowed,
so that masking beforehand alone would let future tokens in.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.pattern_base import AttentionPattern, PerHead, PerSequence
from sparse_transformers.models.ranking import top_indices
from sparse_transformers.models.registry import register, registered
from sparse_transformers.models.rule_values import evaluate_rule

SCORES_PER_CHUNK = 1 << 22
"""How many scores a selector holds at once: 16 MiB in single precision."""


class Selector(nn.Module, ABC):
    """Proposes keys for every query. It is a module, because a selector may have weights to learn.

    A new selector is a subclass with one method, `select`:

    >>> import sparse_transformers as st
    >>> import torch
    >>> class FirstKeys(st.Selector):
    ...     def select(self, hidden, query, key, pattern, key_lengths=None):
    ...         return torch.arange(2).expand(*query.shape[:3], 2)
    ...
    >>> block = st.SparseTransformerBlock(32, selector=FirstKeys())
    >>> block(torch.randn(1, 10, 32)).shape
    torch.Size([1, 10, 32])
    """

    @abstractmethod
    def select(
        self,
        hidden: Float[Tensor, "batch queries d_model"],
        query: Float[Tensor, "batch heads queries dim"],
        key: Float[Tensor, "batch kv_heads keys dim"],
        pattern: AttentionPattern,
        key_lengths: Int[Tensor, "batch"] | None = None,
    ) -> Int[Tensor, "batch heads queries selected"]:
        """The chosen keys of every query, each at most once, in any order.

        -1 stands for "no key". Fewer queries than keys means that the queries are the last
        positions. What `pattern` forbids may be proposed: it is dropped later.

        Args:
            hidden: The states that the queries were projected from.
            query: The queries of the attention, after rotary positions.
            key: The keys of the attention, after rotary positions. With fewer heads than `query`,
                each head is shared by a group of query heads.
            pattern: Which pairs are allowed at all, causality included.
            key_lengths: Number of real keys in each sequence; the keys behind them are padding.
        """


SELECTORS: dict[str, type[Selector]] = {}
"""The selectors by the names that configurations use."""

SelectorClass = TypeVar("SelectorClass", bound=type[Selector])


def register_selector(name: str) -> Callable[[SelectorClass], SelectorClass]:
    """A class decorator that gives a selector a name, under which configurations know it.

    >>> import sparse_transformers as st
    >>> import torch
    >>> @st.register_selector("first")
    ... class FirstKeys(st.Selector):
    ...     def __init__(self, count):
    ...         super().__init__()
    ...         self.count = count
    ...     def select(self, hidden, query, key, pattern, key_lengths=None):
    ...         return torch.arange(self.count).expand(*query.shape[:3], self.count)
    ...
    >>> config = st.SparseTransformerConfig(selector={"name": "first", "count": 4})

    Args:
        name: A plain word; a key of `SELECTORS` from then on.

    Raises:
        ValueError: The name is no plain word or belongs to another class, or the class is no
            subclass of `Selector`.
    """
    return register(SELECTORS, Selector, "selector", name)


@register_selector("top_k")
class TopKSelector(Selector):
    """The `top_k` allowed keys with the largest scores, which have most of the softmax's weight.

    Of keys with equal scores, the first ones are taken.

    It computes all scores, so it saves no time. It is the oracle that a cheap selector is compared
    with.

    >>> import sparse_transformers as st
    >>> import torch
    >>> query = key = torch.eye(4)[None, None]  # each query has its largest score at its own key
    >>> st.TopKSelector(1).select(query[0], query, key, st.Dense()).flatten()
    tensor([0, 1, 2, 3])

    Args:
        top_k: Number of keys for each query, at least 1.

    Source: Gupta et al. 2021, arXiv:2106.06899.
    """

    def __init__(self, top_k: int) -> None:
        super().__init__()
        check_whole(1, top_k=top_k)
        self.top_k = top_k

    @torch.no_grad()
    def select(
        self,
        hidden: Float[Tensor, "batch queries d_model"],
        query: Float[Tensor, "batch heads queries dim"],
        key: Float[Tensor, "batch kv_heads keys dim"],
        pattern: AttentionPattern,
        key_lengths: Int[Tensor, "batch"] | None = None,
    ) -> Int[Tensor, "batch heads queries selected"]:
        batch, heads, q_len, _ = query.shape
        k_len = key.shape[2]
        key = key.repeat_interleave(heads // key.shape[1], dim=1)
        n_selected = min(self.top_k, k_len)
        selected = query.new_full((batch, heads, q_len, n_selected), -1, dtype=torch.long)
        for rows in _chunks(q_len, batch * heads * k_len):
            query_positions = torch.arange(rows.start, rows.stop, device=key.device) + k_len - q_len
            stop = _last_candidate(pattern, query_positions, k_len)
            keys = torch.arange(stop, device=key.device)
            allowed = is_allowed(pattern, query_positions[:, None], keys)
            if key_lengths is not None:
                allowed = allowed & (keys < key_lengths[:, None, None, None])
            scores = query[:, :, rows] @ key[:, :, :stop].transpose(-1, -2)
            scores = scores.masked_fill(~allowed, -torch.inf)
            n_here = min(n_selected, stop)
            best = top_indices(scores, n_here)
            hidden_keys = scores.gather(-1, best) == -torch.inf
            selected[:, :, rows, :n_here] = best.masked_fill(hidden_keys, -1)
        return selected


def make_selector(options: Mapping[str, Any]) -> Selector:
    """Makes a selector from its name and its options, such as `{"name": "top_k", "top_k": 64}`.

    Raises:
        ValueError: An unknown name, or options that the selector does not have.
    """
    if not isinstance(options, Mapping):
        raise ValueError(
            "selector must be a dictionary such as {'name': 'top_k', 'top_k': 64}; a class of your "
            f"own gets a name by @register_selector('...'); got {options!r}"
        )
    name = options.get("name")
    selector = registered(SELECTORS, "selector", name)
    values = {option: value for option, value in options.items() if option != "name"}
    try:
        return selector(**values)
    except TypeError as error:
        raise ValueError(f"selector {name!r} does not take {values}: {error}") from error


def allowed_selection(
    selected: Int[Tensor, "batch heads queries selected"],
    pattern: AttentionPattern,
    k_len: int,
    key_lengths: Int[Tensor, "batch"] | None = None,
) -> Int[Tensor, "batch heads queries selected"]:
    """The selection with -1 in place of every key that the pattern or the padding hides."""
    q_len = selected.shape[2]
    queries = torch.arange(k_len - q_len, k_len, device=selected.device)[:, None]
    allowed = is_allowed(pattern, queries, selected)
    if key_lengths is not None:
        allowed = allowed & (selected < key_lengths[:, None, None, None])
    return selected.masked_fill(~allowed, -1)


def selection_mask(
    selected: Int[Tensor, "batch heads queries selected"], k_len: int
) -> Bool[Tensor, "batch heads queries keys"]:
    """The dense mask of a selection, for reading and testing."""
    # The entries of -1 go to an extra column, which is cut off.
    mask = selected.new_zeros(*selected.shape[:3], k_len + 1, dtype=torch.bool)
    return mask.scatter(-1, selected % (k_len + 1), True)[..., :k_len]


def is_allowed(pattern: AttentionPattern, queries: Tensor, keys: Tensor) -> Tensor:
    """`pattern.allows` for (batch, heads, queries, keys), as far as the pattern tells them apart.

    The keys are those of all sequences and heads, or have the two dimensions in front. A key of -1
    stands for none.
    """
    if isinstance(pattern, PerSequence):
        of_members = keys.unbind(0) if keys.ndim > 3 else [keys] * len(pattern.patterns)
    elif isinstance(pattern, PerHead):
        of_members = keys.unbind(-3) if keys.ndim > 2 else [keys] * len(pattern.patterns)
    else:
        # A rule is not asked about positions outside the sequence, and -1 is one.
        return evaluate_rule(pattern.to(keys.device), queries, keys.clamp(min=0)) & (keys >= 0)
    rules = [
        is_allowed(each, queries, of_member)
        for each, of_member in zip(pattern.patterns, of_members, strict=True)
    ]
    stacked = torch.broadcast_tensors(*rules)
    if isinstance(pattern, PerHead):
        return torch.stack(stacked, dim=-3)
    return torch.stack([rule if rule.ndim > 2 else rule[None] for rule in stacked])


def _chunks(q_len: int, scores_per_query: int) -> Iterator[slice]:
    step = max(1, SCORES_PER_CHUNK // scores_per_query)
    for start in range(0, q_len, step):
        yield slice(start, min(start + step, q_len))


def _last_candidate(pattern: AttentionPattern, queries: Tensor, k_len: int) -> int:
    """How many of the first keys these queries can see at most."""
    ranges = None
    if not isinstance(pattern, PerHead | PerSequence):
        with torch.device("cpu"):  # where patterns make their own tensors
            first, last = queries[:1].cpu(), queries[-1:].cpu()
            ranges = pattern.to("cpu").candidate_keys(first, last, k_len)
    if ranges is None:
        return k_len
    stops = [int(stop.max() if isinstance(stop, Tensor) else stop) for _, stop in ranges]
    return max(1, min(k_len, max(stops, default=1)))
