"""What a claim classifier is made of, as plain values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.utils.records import from_json, to_json

TOKENIZERS = ("words", "bytes")


@dataclass(frozen=True)
class TransformerReader:
    """A small encoder: a `SparseTransformer` that is not causal, with a linear `TruthfulnessHead`.

    Attributes:
        d_model: width.
        n_heads: heads per block.
        n_layers: blocks.
        attention: name of the pattern.
        attention_options: of the pattern.
        d_ff: width inside the feed-forward part; None for `4 * d_model`.
        experts: what takes the place of that part in every block, as `MoELayer` takes it:
            `{"num_experts": 8, "router": "top_k", "d_ff": 128}`; None for no experts.
        dropout: of channels.
        token_dropout: of whole words. With a few thousand texts, much of it.
        epochs: how often each row is seen.
        learning_rate: the largest.
        weight_decay: likewise strong, for the same reason.

    Raises:
        ValueError: a size is out of range, or the attention, the router or an option is unknown.
    """

    d_model: int = 64
    n_heads: int = 2
    n_layers: int = 1
    attention: str = "dense"
    attention_options: dict[str, int] = field(default_factory=dict)
    d_ff: int | None = None
    experts: dict[str, Any] | None = None
    dropout: float = 0.2
    token_dropout: float = 0.4
    epochs: int = 3
    learning_rate: float = 1e-3
    weight_decay: float = 1.0

    def __post_init__(self) -> None:
        if self.experts is not None and not _survives_json(self.experts):
            raise ValueError(
                f"experts must be a dictionary that JSON can hold, or None, got {self.experts!r}"
            )
        self.model_config(vocab_size=1, num_classes=2)

    def model_config(self, *, vocab_size: int, num_classes: int) -> SparseTransformerConfig:
        """The encoder for so many words and classes."""
        return SparseTransformerConfig(
            vocab_size=vocab_size,
            d_model=self.d_model,
            n_heads=self.n_heads,
            n_layers=self.n_layers,
            d_ff=self.d_ff,
            experts=self.experts,
            attention=self.attention,
            attention_options=self.attention_options,
            causal=False,
            dropout=self.dropout,
            token_dropout=self.token_dropout,
            num_classes=num_classes,
            linear_head=True,
        )

    def with_experts(self, num_experts: int, *, top_k: int = 2) -> "TransformerReader":
        """The same reader with experts of which each token meets as many weights as before.

        Each token is read by `top_k` experts, each of which is 1 / `top_k` as wide as the dense
        feed-forward part. What comes on top are the weights of the router.

        Raises:
            ValueError: the width cannot be divided by `top_k`, or there are too few experts.
        """
        width = self.inner_width
        if top_k < 1 or width % top_k:
            raise ValueError(f"top_k must divide d_ff ({width}), got {top_k}")
        router = {"name": "top_k", "top_k": top_k}
        return replace(
            self, experts={"num_experts": num_experts, "router": router, "d_ff": width // top_k}
        )

    @property
    def inner_width(self) -> int:
        """Width inside the feed-forward part, or inside an expert that does not say its own."""
        return 4 * self.d_model if self.d_ff is None else self.d_ff


@dataclass(frozen=True)
class NGramReader:
    """Votes of words and of pairs of words: an `NGramClassifier`.

    Attributes:
        max_n: the longest run of words.
        n_buckets: rows of the hash table.
        dropout: of runs.
        epochs: how often each row is seen.
        learning_rate: the largest; high, since most runs are rare and move seldom.
        weight_decay: of the votes.
    """

    max_n: int = 2
    n_buckets: int = 2**17
    dropout: float = 0.5
    epochs: int = 4
    learning_rate: float = 1e-2
    weight_decay: float = 0.2


@dataclass(frozen=True)
class ClaimClassifierConfig:
    """How to read claims, and how to learn from them.

    Attributes:
        fields: which fields of a row are read, in this order.
        tokenizer: "words" or "bytes".
        min_count: in how many rows a field must hold a word for it to be known.
        mark_repeats: see `WordTokenizer`.
        max_tokens: longer rows are cut.
        transformer: the one kind of reader; None for none.
        ngrams: the other kind of reader; None for none.
        folds: readers of each kind. Each of them learns from all parts of the training rows but
            one, and that one decides when it stops and how sure it may be.
        batch_size: rows per step.
        patience: validations, two per epoch, that a reader goes on without getting better.
        balanced: whether rare classes weigh as much as frequent ones. The probabilities are then
            those of a world in which all classes are equally frequent.
        seed: of folds, weights, batches and dropout.

    Raises:
        ValueError: a value is out of range, or there is no reader.
    """

    fields: tuple[str, ...] = ("text",)
    tokenizer: str = "words"
    min_count: int = 2
    mark_repeats: bool = False
    max_tokens: int = 128
    transformer: TransformerReader | None = field(default_factory=TransformerReader)
    ngrams: NGramReader | None = field(default_factory=NGramReader)
    folds: int = 5
    batch_size: int = 64
    patience: int = 2
    balanced: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", tuple(self.fields))
        if self.tokenizer not in TOKENIZERS:
            raise ValueError(
                f"unknown tokenizer {self.tokenizer!r}; known are {', '.join(TOKENIZERS)}"
            )
        if self.mark_repeats and self.tokenizer != "words":
            raise ValueError(f"mark_repeats needs the tokenizer 'words', got {self.tokenizer!r}")
        if not self.readers:
            raise ValueError("transformer or ngrams must be given, got None for both")
        least = {"min_count": 1, "max_tokens": 1, "folds": 2, "batch_size": 1, "patience": 1}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise ValueError(f"{name} must be at least {smallest}, got {getattr(self, name)}")

    @property
    def readers(self) -> dict[str, TransformerReader | NGramReader]:
        """The kinds of reader that there are, by the name of their field."""
        kinds = {"transformer": self.transformer, "ngrams": self.ngrams}
        return {name: reader for name, reader in kinds.items() if reader is not None}

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values, which `from_dict` takes back."""
        values: dict[str, Any] = to_json(self)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ClaimClassifierConfig":
        """The configuration with these fields, and defaults for the others.

        Raises:
            ValueError: a field is unknown or out of range.
        """
        return from_json(cls, values)


def _survives_json(value: object) -> bool:
    try:
        return isinstance(value, dict) and json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        return False
