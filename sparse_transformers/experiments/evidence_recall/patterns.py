"""The patterns of the evidence experiment, each given about the same number of keys per query."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sparse_transformers.models.attention_choice import patterns_from_choices
from sparse_transformers.models.pattern_base import AttentionPattern, Causal

Choice = dict[str, Any]

ALWAYS_SEEN = ("dense", "top_k")
"""Attentions whose rule hides nothing that is earlier."""

N_SINKS = 4
N_GLOBAL = 16
BLOCK = 16


@dataclass(frozen=True)
class EvidenceAttention:
    """One attention at one length.

    Attributes:
        name: one of `ATTENTIONS`.
        seq_len: tokens.
        attention: the choice that a configuration takes.
        top_k: keys that are selected by content among those; None for all of them.
        pairs: attended pairs of a head, counted.
        causal_pairs: pairs of dense causal attention.
    """

    name: str
    seq_len: int
    attention: dict[str, Any]
    top_k: int | None
    pairs: int
    causal_pairs: int

    @property
    def density(self) -> float:
        """Which share of the causal pairs is attended."""
        return self.pairs / self.causal_pairs

    def model_changes(self) -> dict[str, Any]:
        """What to change in a configuration."""
        selector = None if self.top_k is None else {"name": "top_k", "top_k": self.top_k}
        return {"attention": (self.attention,) * 2, "selector": selector}

    def rule(self) -> AttentionPattern:
        """Which pairs may be attended at all."""
        return _rule(self.attention)


def evidence_attention(name: str, seq_len: int, keys_per_query: int) -> EvidenceAttention:
    """The attention called `name`, sized to attend to about as many pairs as a window.

    Args:
        name: one of `ATTENTIONS`.
        seq_len: tokens, for which the pairs are counted.
        keys_per_query: the window.

    Raises:
        ValueError: there is no such attention.
    """
    if name not in ATTENTIONS:
        raise ValueError(f"unknown attention {name!r}; known are {', '.join(ATTENTIONS)}")
    causal_pairs = seq_len * (seq_len + 1) // 2
    window = min(keys_per_query, seq_len)
    budget = window * seq_len - window * (window - 1) // 2
    if name in ALWAYS_SEEN:
        top_k = None if name == "dense" else keys_per_query
        pairs = causal_pairs if name == "dense" else budget
        return EvidenceAttention(name, seq_len, {"name": "dense"}, top_k, pairs, causal_pairs)
    candidates = ATTENTIONS[name](seq_len, keys_per_query)
    counted = [(choice, _rule(choice).allowed_pairs(seq_len)) for choice in candidates]
    choice, pairs = min(counted, key=lambda each: abs(each[1] - budget))
    return EvidenceAttention(name, seq_len, choice, None, pairs, causal_pairs)


def _rule(choice: Choice) -> AttentionPattern:
    return patterns_from_choices([choice], {})[0] & Causal()


def _local(seq_len: int, keys: int) -> list[Choice]:
    return [{"name": "local", "window_size": keys}]


def _sinks(seq_len: int, keys: int) -> list[Choice]:
    window = {"name": "local", "window_size": max(1, keys - N_SINKS)}
    return [{"any_of": [{"name": "sinks", "count": N_SINKS}, window]}]


def _strided(seq_len: int, keys: int) -> list[Choice]:
    return [{"name": "strided", "stride": stride} for stride in _sizes(keys // 2, keys)]


def _longformer(seq_len: int, keys: int) -> list[Choice]:
    step = max(1, seq_len // N_GLOBAL)
    places = list(range(0, seq_len, step))
    return [
        {"name": "longformer", "window_size": size, "global_positions": places}
        for size in _sizes(keys // 4, keys)
    ]


def _bigbird(seq_len: int, keys: int) -> list[Choice]:
    return [
        {"name": "bigbird", "block_size": BLOCK, "random_blocks": n_blocks}
        for n_blocks in range(0, 2 * keys // BLOCK + 1)
    ]


def _random(seq_len: int, keys: int) -> list[Choice]:
    # The near half of the keys is a window: a claim must at least be able to see itself.
    window = {"name": "local", "window_size": max(1, keys // 2)}
    shares = [(keys // 2) / (seq_len / 2) * factor for factor in (0.9, 1.0, 1.1, 1.2)]
    return [
        {"any_of": [window, {"name": "random", "sparsity": max(0.0, 1 - share)}]}
        for share in shares
    ]


def _sizes(low: int, high: int) -> Iterable[int]:
    return range(max(1, low), high + 1, max(1, (high - low) // 16))


ATTENTIONS: dict[str, Callable[[int, int], list[Choice]]] = {
    "dense": _local,
    "top_k": _local,
    "local": _local,
    "sinks": _sinks,
    "strided": _strided,
    "longformer": _longformer,
    "bigbird": _bigbird,
    "random": _random,
}
