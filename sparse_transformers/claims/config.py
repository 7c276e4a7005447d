"""The settings of a claim classifier and of its members."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sparse_transformers.models.attention_choice import AttentionChoice
from sparse_transformers.models.checks import check_types
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.utils.records import from_json, to_json

TOKENIZERS = ("words", "bytes")


@dataclass(frozen=True)
class TransformerMember:
    """A small encoder: a `SparseTransformer` that is not causal, with a linear `TruthfulnessHead`.

    The defaults suit a few thousand short texts: with so few, strong regularisation is needed.

    Attributes:
        d_model: width of the encoder.
        n_heads: attention heads per block.
        n_layers: number of blocks.
        attention: the attention pattern, as in `SparseTransformerConfig`: a name of `PATTERNS`, or
            a pattern whose class has one.
        attention_options: options of a pattern that is given by its name, such as
            `{"window_size": 16}`.
        d_ff: width inside the feed-forward part; None for `4 * d_model`.
        experts: arguments of the `MoELayer` that replaces the feed-forward part of every block,
            such as `{"num_experts": 8, "router": "top_k", "d_ff": 128}`; None for no experts.
        dropout: share of activations dropped in training.
        token_dropout: share of the tokens whose embedding is dropped in training.
        epochs: passes over the training rows, if training does not stop early.
        learning_rate: the largest of the schedule.
        weight_decay: of AdamW, on matrices only.

    Raises:
        ValueError: a size is out of range, the attention, the router or an option is unknown, or
            the pattern has no name.
    """

    d_model: int = 64
    n_heads: int = 2
    n_layers: int = 1
    attention: AttentionChoice = "dense"
    attention_options: dict[str, int] = field(default_factory=dict)
    d_ff: int | None = None
    experts: dict[str, Any] | None = None
    dropout: float = 0.2
    token_dropout: float = 0.4
    epochs: int = 3
    learning_rate: float = 1e-3
    weight_decay: float = 1.0

    def __post_init__(self) -> None:
        check_types(self)
        if self.experts is not None and not _survives_json(self.experts):
            raise ValueError(
                f"experts must be a dictionary that JSON can hold, or None, got {self.experts!r}"
            )
        config = self.model_config(vocab_size=1, num_classes=2)
        config.to_dict()  # refuses a pattern that cannot be saved, before anything is trained
        for name in ("attention", "attention_options"):
            object.__setattr__(self, name, getattr(config, name))

    def model_config(self, *, vocab_size: int, num_classes: int) -> SparseTransformerConfig:
        """The configuration of the encoder for a vocabulary and a number of classes."""
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

    def with_experts(self, num_experts: int, *, top_k: int = 2) -> "TransformerMember":
        """The same member with experts, and with as many active weights per token as before.

        Each token is routed to `top_k` experts, each of which is 1 / `top_k` as wide as the dense
        feed-forward part. Only the weights of the router are added to what a token uses.

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
        """Width inside the feed-forward part, or inside an expert without a width of its own."""
        return 4 * self.d_model if self.d_ff is None else self.d_ff


@dataclass(frozen=True)
class NGramMember:
    """A linear model of single words and pairs of words: an `NGramClassifier`.

    Attributes:
        max_n: length of the longest n-gram, in tokens.
        n_buckets: rows of the hash table.
        dropout: share of the n-grams dropped in training.
        epochs: passes over the training rows, if training does not stop early.
        learning_rate: the largest of the schedule; high, because most n-grams are rare and their
            weights get few updates.
        weight_decay: of AdamW, on the weights of the n-grams.
    """

    max_n: int = 2
    n_buckets: int = 2**17
    dropout: float = 0.5
    epochs: int = 4
    learning_rate: float = 1e-2
    weight_decay: float = 0.2

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class ClaimClassifierConfig:
    """How a `ClaimClassifier` turns rows into tokens, and how its members are trained.

    >>> import sparse_transformers as st
    >>> config = st.ClaimClassifierConfig(fields=("statement", "speaker"), folds=3)
    >>> list(config.members)
    ['transformer', 'ngrams']
    >>> st.ClaimClassifierConfig.from_dict(config.to_dict()) == config
    True

    Attributes:
        fields: the fields of a row that are used, in this order.
        tokenizer: "words" (a vocabulary of the training rows) or "bytes" (UTF-8).
        min_count: in at least so many rows a field must hold a word for the word to be in the
            vocabulary.
        mark_repeats: whether a word that an earlier field holds too is a token of its own, such as
            a word of the answer that the question holds; only with "words".
        max_tokens: rows are cut to so many tokens.
        transformer: settings of the transformer members; None for no such members.
        ngrams: settings of the n-gram members; None for no such members.
        folds: number of folds, and of members of each kind. Each member learns from all folds but
            one, on which it is validated and calibrated.
        batch_size: rows per optimiser step.
        patience: a member stops after so many validations without a lower loss; there are two
            validations per epoch.
        balanced: whether the loss gives all classes the same total weight. The probabilities are
            then those for equally frequent classes.
        seed: of the folds, the initial weights, the batches and the dropout.

    Raises:
        ValueError: a value is out of range, or both `transformer` and `ngrams` are None.
    """

    fields: tuple[str, ...] = ("text",)
    tokenizer: str = "words"
    min_count: int = 2
    mark_repeats: bool = False
    max_tokens: int = 128
    transformer: TransformerMember | None = field(default_factory=TransformerMember)
    ngrams: NGramMember | None = field(default_factory=NGramMember)
    folds: int = 5
    batch_size: int = 64
    patience: int = 2
    balanced: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "fields", tuple(self.fields))
        if self.tokenizer not in TOKENIZERS:
            raise ValueError(
                f"unknown tokenizer {self.tokenizer!r}; known are {', '.join(TOKENIZERS)}"
            )
        if self.mark_repeats and self.tokenizer != "words":
            raise ValueError(f"mark_repeats needs the tokenizer 'words', got {self.tokenizer!r}")
        if not self.members:
            raise ValueError("transformer or ngrams must be given, got None for both")
        least = {"min_count": 1, "max_tokens": 1, "folds": 2, "batch_size": 1, "patience": 1}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise ValueError(f"{name} must be at least {smallest}, got {getattr(self, name)}")

    @property
    def members(self) -> dict[str, TransformerMember | NGramMember]:
        """The settings of each kind of member that is not None: "transformer", "ngrams"."""
        kinds = {"transformer": self.transformer, "ngrams": self.ngrams}
        return {kind: settings for kind, settings in kinds.items() if settings is not None}

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
