"""The configuration of a model, as plain values that JSON can hold."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from sparse_transformers.models.attention_choice import (
    AttentionChoice,
    describe_pattern,
    patterns_from_choices,
    written_choice,
)
from sparse_transformers.models.attention_ops import BACKENDS, Backend
from sparse_transformers.models.checks import check_dropout, check_heads, check_types, check_whole
from sparse_transformers.models.embeddings import check_positions
from sparse_transformers.models.experts.layer import MoELayer
from sparse_transformers.models.pattern_base import AttentionPattern, PerHead
from sparse_transformers.models.selectors import make_selector


@dataclass(frozen=True)
class SparseTransformerConfig:
    """The shape of a `SparseTransformer`; every value is checked when the configuration is made.

    A causal model is a decoder, and a model that is not causal an encoder.

    >>> import sparse_transformers as st
    >>> config = st.SparseTransformerConfig(attention="strided", attention_options={"stride": 32})
    >>> config.head_dim
    64
    >>> config = st.SparseTransformerConfig(n_layers=2, attention=["local", {"name": "dense"}])
    >>> config.layer_patterns()
    (LocalWindow(window_size=256), Dense())

    Attributes:
        vocab_size: Number of token ids, at least 1; 256 suits bytes.
        d_model: Width of the hidden states, a multiple of `n_heads`.
        n_heads: Number of query heads in each layer, at least 1.
        n_kv_heads: Number of key and value heads, each shared by a group of query heads; a divisor
            of `n_heads`. None: as many as `n_heads`.
        n_layers: Number of blocks, at least 1.
        d_ff: Width inside the feed-forward part, at least 1. None: `4 * d_model`.
        experts: Experts in place of the feed-forward part: the arguments of `MoELayer`, such as
            `{"num_experts": 8, "router": "switch"}`, for every layer, or a list with such an entry
            or None for each layer. None: no experts.
        max_seq_len: Number of positions that learned positions have, at least 1. Models with other
            positions take sequences of any length.
        attention: The pattern: a name of `PATTERNS`; a name with options, such as `{"name":
            "strided", "stride": 64}`; `{"any_of": [...]}`, `{"all_of": [...]}`, `{"not": ...}` and
            `{"per_head": [...]}` for combinations; an `AttentionPattern`, which is written in one
            of these forms if `register_pattern` has given its class a name; a list with one of
            these for each layer. An entry of that list may be a list with one choice for each
            head. Lists are kept as tuples.
        attention_options: Options of the patterns that are given by a name alone. The name "local"
            has a window of 256 by default.
        causal: Whether later keys are hidden, whatever the pattern allows.
        positions: "rotary", "learned", "sinusoidal" or "none".
        rotary_fraction: Share of each head's dimensions that rotary positions rotate, above 0 and
            at most 1; it must come to an even number of dimensions.
        token_shift: Whether keys, and half of the feed-forward input, are made from the token
            before.
        selector: Selects each query's keys among the allowed ones, by content: `{"name": "top_k",
            "top_k": 64}`. None: all allowed keys.
        dropout: Share of each sub-layer's output that is dropped in training, at least 0 and
            below 1.
        token_dropout: Share of the tokens whose embedding is set to zero in training, so that the
            model does not rely on single words; at least 0 and below 1.
        tie_embeddings: Whether the logits are products with the token embeddings. False: a linear
            map of their own.
        norm_eps: Added to the variance in the norms, above 0.
        backend: "auto", "reference", "tiled" or "flex"; see `sparse_attention`.
        num_classes: Number of classes, at least 2, for a model with a `TruthfulnessHead` that
            classifies the whole text. None: the model predicts tokens.
        linear_head: Whether that head is a single linear map, which learns faster from a few
            thousand texts than the default of three layers.

    Raises:
        ValueError: A value is out of range, unknown, or does not fit another one.
    """

    vocab_size: int = 256
    d_model: int = 256
    n_heads: int = 4
    n_kv_heads: int | None = None
    n_layers: int = 4
    d_ff: int | None = None
    experts: dict[str, Any] | tuple[dict[str, Any] | None, ...] | None = None
    max_seq_len: int = 1024
    attention: AttentionChoice = "local"
    attention_options: dict[str, Any] = field(default_factory=dict)
    causal: bool = True
    positions: str = "rotary"
    rotary_fraction: float = 1.0
    token_shift: bool = False
    selector: dict[str, Any] | None = None
    dropout: float = 0.0
    token_dropout: float = 0.0
    tie_embeddings: bool = True
    norm_eps: float = 1e-5
    backend: Backend = "auto"
    num_classes: int | None = None
    linear_head: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("attention", "attention_options", "experts", "selector"):
            object.__setattr__(self, name, _as_json(getattr(self, name)))
        object.__setattr__(self, "attention", written_choice(self.attention))
        check_whole(1, vocab_size=self.vocab_size, n_layers=self.n_layers)
        check_whole(1, max_seq_len=self.max_seq_len)
        check_heads(self.d_model, self.n_heads, self.n_kv_heads)
        if self.d_ff is not None:
            check_whole(1, d_ff=self.d_ff)
        if self.num_classes is not None:
            check_whole(2, num_classes=self.num_classes)
        check_dropout(self.dropout)
        check_dropout(self.token_dropout, "token_dropout")
        if not self.norm_eps > 0:
            raise ValueError(f"norm_eps must be above 0, got {self.norm_eps}")
        if self.backend not in BACKENDS:
            raise ValueError(f"unknown backend {self.backend!r}; known are {', '.join(BACKENDS)}")
        check_positions(self.positions, self.d_model)
        self._check_rotary_fraction()
        if self.selector is not None:
            make_selector(self.selector)
        self.layer_patterns()
        # On the "meta" device weights take neither time nor memory.
        with torch.device("meta"):
            self.make_layer_experts()

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.d_model // self.n_heads

    @property
    def rotary_dims(self) -> int:
        """How many dimensions of each head rotary positions rotate; 0 for other positions."""
        return round(self.rotary_fraction * self.head_dim) if self.positions == "rotary" else 0

    def layer_patterns(self) -> tuple[AttentionPattern, ...]:
        """The attention pattern of each layer; causality comes on top of it.

        Raises:
            ValueError: `attention` has another number of layers or of heads than the model.
        """
        if isinstance(self.attention, tuple):
            choices = self.attention
        else:
            choices = (self.attention,) * self.n_layers
        if len(choices) != self.n_layers:
            raise ValueError(
                f"attention must be one entry, or one for each of the n_layers ({self.n_layers}) "
                f"layers, got {len(choices)} entries"
            )
        patterns = patterns_from_choices(choices, self.attention_options)
        for layer, pattern in enumerate(patterns):
            if isinstance(pattern, PerHead) and len(pattern.patterns) != self.n_heads:
                raise ValueError(
                    f"attention of layer {layer} must hold one choice for each of the n_heads "
                    f"({self.n_heads}) heads, got {len(pattern.patterns)}"
                )
        return patterns

    def make_layer_experts(self) -> tuple[MoELayer | None, ...]:
        """New experts for each layer, None for a layer with a plain feed-forward part.

        Raises:
            ValueError: `experts` has another number of layers than the model, or an entry that
                `MoELayer` does not accept.
        """
        if isinstance(self.experts, tuple):
            entries = self.experts
        else:
            entries = (self.experts,) * self.n_layers
        if len(entries) != self.n_layers:
            raise ValueError(
                f"experts must be one entry, or one for each of the n_layers ({self.n_layers}) "
                f"layers, got {len(entries)} entries"
            )
        return tuple(None if entry is None else self._make_experts(entry) for entry in entries)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, which `from_dict` takes back, also out of JSON.

        Raises:
            ValueError: An attention pattern has no name; see `register_pattern`.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: _to_plain(value) for name, value in fields.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SparseTransformerConfig":
        """The configuration with these fields, and defaults for the others.

        Raises:
            ValueError: There is no such field.
        """
        fields = [field.name for field in dataclasses.fields(cls)]
        unknown = [name for name in values if name not in fields]
        if unknown:
            raise ValueError(
                f"unknown configuration entries {', '.join(unknown)}; known are {', '.join(fields)}"
            )
        return cls(**values)

    def _make_experts(self, options: Mapping[str, Any]) -> MoELayer:
        if not isinstance(options, Mapping):
            raise ValueError(f"experts must hold dictionaries of options or None, got {options!r}")
        of_model = {"d_model": self.d_model, "causal": self.causal, "vocab_size": self.vocab_size}
        repeated = [name for name in options if name in of_model]
        if repeated:
            raise ValueError(f"experts take {', '.join(repeated)} from the model: leave it out")
        if not isinstance(options.get("router", "top_k"), str | Mapping):
            raise ValueError(
                "the router of experts must be a name or a dictionary here, so that each layer "
                f"gets its own and JSON can hold it, got {options['router']!r}"
            )
        try:
            return MoELayer(**{"d_ff": self.d_ff, **options, **of_model})
        except TypeError as error:
            raise ValueError(f"experts do not take {dict(options)}: {error}") from error

    def _check_rotary_fraction(self) -> None:
        if not 0 < self.rotary_fraction <= 1:
            raise ValueError(
                f"rotary_fraction must be above 0 and at most 1, got {self.rotary_fraction}"
            )
        n_dims = self.rotary_fraction * self.head_dim
        whole = math.isclose(n_dims, round(n_dims))
        if self.positions == "rotary" and (round(n_dims) % 2 or not whole):
            raise ValueError(
                "rotary_fraction must turn an even whole number of the "
                f"{self.head_dim} dimensions of a head, got {self.rotary_fraction} ({n_dims:g})"
            )


def _as_json(value: Any) -> Any:
    """A copy that is the same after JSON: lists as tuples, and NumPy's numbers as Python's."""
    if isinstance(value, Mapping):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_as_json(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value


def _to_plain(value: Any) -> Any:
    """Copies of dictionaries and lists, with tuples as lists and patterns as names and options."""
    if isinstance(value, AttentionPattern):
        return _to_plain(describe_pattern(value))
    if isinstance(value, dict):
        return {name: _to_plain(held) for name, held in value.items()}
    return [_to_plain(each) for each in value] if isinstance(value, list | tuple) else value
