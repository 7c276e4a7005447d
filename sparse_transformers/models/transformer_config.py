"""What a model is made of, as plain values that JSON can hold."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from sparse_transformers.models.attention_choice import AttentionChoice, patterns_from_choices
from sparse_transformers.models.attention_ops import BACKENDS, Backend
from sparse_transformers.models.checks import check_dropout, check_heads, check_whole
from sparse_transformers.models.embeddings import check_positions
from sparse_transformers.models.experts.layer import MoELayer
from sparse_transformers.models.pattern_base import AttentionPattern, PerHead
from sparse_transformers.models.selectors import make_selector


@dataclass(frozen=True)
class SparseTransformerConfig:
    """The shape of a `SparseTransformer`; everything is checked when it is made.

    A causal model is a decoder, a model that is not causal an encoder. `attention` is a pattern's
    name, or a list with one entry for each layer:

        SparseTransformerConfig(attention="strided", attention_options={"stride": 32})
        SparseTransformerConfig(n_layers=2, attention=["local", {"name": "dense"}])

    An entry may also be a list with one choice for each head, or `{"any_of": [...]}` for a union,
    such as sinks and a window. Lists are kept as tuples.

    Raises:
        ValueError: A value is out of range, unknown, or does not fit another one.
    """

    vocab_size: int = 256
    d_model: int = 256
    n_heads: int = 4
    n_kv_heads: int | None = None
    """Heads of keys and values, shared by groups of query heads; None: as many as `n_heads`."""
    n_layers: int = 4
    d_ff: int | None = None
    """Width inside the feed-forward part; None: `4 * d_model`."""
    experts: dict[str, Any] | tuple[dict[str, Any] | None, ...] | None = None
    """Takes the place of the feed-forward part: what `MoELayer` takes, such as `{"num_experts": 8,
    "router": "switch"}`, for every layer, or a list with such an entry or None for each layer."""
    max_seq_len: int = 1024
    """Where learned positions end. Other positions have no end, and models with them no limit."""
    attention: AttentionChoice = "local"
    attention_options: dict[str, Any] = field(default_factory=dict)
    """Options of patterns given as a bare name. A bare "local" has a window of 256 by default."""
    causal: bool = True
    positions: str = "rotary"
    """One of "rotary", "learned", "sinusoidal", "none"."""
    rotary_fraction: float = 1.0
    """Share of each head's dimensions that rotary positions turn."""
    token_shift: bool = False
    """Whether keys, and half of the feed-forward input, come from the token before."""
    selector: dict[str, Any] | None = None
    """Chooses each query's keys among the allowed ones: `{"name": "top_k", "top_k": 64}`."""
    dropout: float = 0.0
    token_dropout: float = 0.0
    """Share of the tokens whose embedding is zero in training, so that no word is relied upon."""
    tie_embeddings: bool = True
    """Whether the logits are products with the token embeddings, rather than a map of their own."""
    norm_eps: float = 1e-5
    backend: Backend = "auto"
    """How attention is computed; see `sparse_attention`."""
    num_classes: int | None = None
    """If set, a `TruthfulnessHead` judges the whole text instead of predicting tokens."""
    linear_head: bool = False
    """Whether that head is a single linear map: learns faster from a few thousand texts."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "attention", _lists_to_tuples(self.attention))
        object.__setattr__(self, "attention_options", _lists_to_tuples(self.attention_options))
        object.__setattr__(self, "experts", _lists_to_tuples(self.experts))
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
        # Where weights take neither time nor memory.
        with torch.device("meta"):
            self.make_layer_experts()

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.d_model // self.n_heads

    @property
    def rotary_dims(self) -> int:
        """How many dimensions of each head rotary positions turn; 0 for other positions."""
        return round(self.rotary_fraction * self.head_dim) if self.positions == "rotary" else 0

    def layer_patterns(self) -> tuple[AttentionPattern, ...]:
        """The attention pattern of each layer; causality comes on top of it.

        Raises:
            ValueError: `attention` does not describe as many layers, or as many heads.
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
            ValueError: `experts` does not describe as many layers, or `MoELayer` refuses an entry.
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
        """The fields as plain values, which `from_dict` takes back, also out of JSON."""
        return dataclasses.asdict(self)

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
            raise ValueError(f"experts have {', '.join(repeated)} from the model: leave it out")
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


def _lists_to_tuples(value: Any) -> Any:
    """A copy in which every list is a tuple, so that a configuration is the same after JSON."""
    if isinstance(value, Mapping):
        return {key: _lists_to_tuples(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_lists_to_tuples(item) for item in value)
    return value
