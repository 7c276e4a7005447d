"""What a claim classifier is made of, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
        dropout: of channels.
        token_dropout: of whole words. With a few thousand texts, much of it.
        epochs: how often each row is seen.
        learning_rate: the largest.
        weight_decay: likewise strong, for the same reason.
    """

    d_model: int = 64
    n_heads: int = 2
    n_layers: int = 1
    attention: str = "dense"
    attention_options: dict[str, int] = field(default_factory=dict)
    dropout: float = 0.2
    token_dropout: float = 0.4
    epochs: int = 3
    learning_rate: float = 1e-3
    weight_decay: float = 1.0


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
        """The configuration with exactly these fields.

        Raises:
            ValueError: a field is missing, unknown or out of range.
        """
        return from_json(cls, values)
