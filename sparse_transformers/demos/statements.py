"""Language modelling on generated statements whose kinds, domains and exact entropy are known."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.stats import entropy
from torch import Tensor, nn

from sparse_transformers.models.checks import check_whole
from sparse_transformers.training.task import (
    Batch,
    Evaluation,
    evaluate_predictions,
    next_token_batch,
    predict_next_tokens,
)
from sparse_transformers.utils.datasets.statement_kinds import (
    END,
    STATEMENT_DOMAINS,
    STATEMENT_KINDS,
    generate_statements,
    statement_words,
)
from sparse_transformers.utils.datasets.statement_likelihood import statement_likelihood


@dataclass(frozen=True, eq=False)
class TokenLabels:
    """What is known of each token that a model reads.

    Attributes:
        kind: the kind of its statement, as a place in `STATEMENT_KINDS`.
        domain: the domain of its statement, as a place in `STATEMENT_DOMAINS`.
        statement: the number of its statement. Tokens of one statement are no independent draws.
        position: its place in its statement, from 0.
        kind_bits: what the words of its statement, up to this one, tell of the kind. Whatever a
            causal model makes of the token cannot tell more, on average over tokens.
    """

    kind: Int[Tensor, "rows seq"]
    domain: Int[Tensor, "rows seq"]
    statement: Int[Tensor, "rows seq"]
    position: Int[Tensor, "rows seq"]
    kind_bits: Float[Tensor, "rows seq"]


@dataclass(frozen=True, eq=False)
class StatementCorpus:
    """Statements one after the other, cut into rows without padding, wherever a row happens to end.

    Attributes:
        vocabulary: the words behind the token ids; the same for every corpus.
        train: rows to train on; the last token of a row is only predicted, the first only read.
        valid: rows of other statements to validate on.
        labels: of the tokens that are read in the validation rows: `valid[:, :-1]`.
        generator_nats: of the tokens that are predicted in them, `valid[:, 1:]`: -ln p to one who
            knows the grammar and the statement so far. A model that knows no better than that has
            a sum lower by t nats with a probability of at most e^-t: more is a leak.
    """

    vocabulary: tuple[str, ...]
    train: Int[Tensor, "train_rows seq+1"]
    valid: Int[Tensor, "rows seq+1"]
    labels: TokenLabels
    generator_nats: Float[Tensor, "rows seq"]

    @property
    def seq_len(self) -> int:
        """How many words a model reads, and predicts, in one row."""
        return self.valid.shape[1] - 1

    def sha256(self) -> str:
        """The fingerprint by which a resumed run recognises its corpus."""
        contents = (" ".join(self.vocabulary).encode(), *map(_bytes, (self.train, self.valid)))
        return hashlib.sha256(b"\n".join(contents)).hexdigest()


class StatementTask:
    """Predict each word from those before it.

    Args:
        corpus: where the words come from.
        max_valid_rows: validate on at most so many rows, the first ones.

    Raises:
        ValueError: `max_valid_rows` is below 1.
    """

    target_unit = "word"

    def __init__(self, corpus: StatementCorpus, *, max_valid_rows: int = 64) -> None:
        check_whole(1, max_valid_rows=max_valid_rows)
        self.corpus = corpus
        self.max_valid_rows = max_valid_rows

    @property
    def floor_nats(self) -> float:
        """Mean `generator_nats` of the words to validate on: what no model should get below."""
        return float(self.corpus.generator_nats[: self.max_valid_rows].mean())

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        n_rows = len(self.corpus.train)
        rows = np.random.default_rng([seed, step]).integers(n_rows, size=batch_size)
        return next_token_batch(self.corpus.train[rows])

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        return F.cross_entropy(*predict_next_tokens(model, batch))

    def evaluate(self, model: nn.Module, *, batch_size: int) -> Evaluation:
        rows = self.corpus.valid[: self.max_valid_rows]
        batches = next_token_batch(rows).split(batch_size)
        return evaluate_predictions(model, predict_next_tokens, batches)

    def description(self) -> dict[str, Any]:
        return {
            "task": "next word",
            "seq_len": self.corpus.seq_len,
            "max_valid_rows": self.max_valid_rows,
            "train_rows": len(self.corpus.train),
            "valid_rows": len(self.corpus.valid),
            "corpus_sha256": self.corpus.sha256(),
        }


def make_statement_corpus(
    n_statements: int = 10_000, *, seq_len: int = 64, valid_fraction: float = 0.1, seed: int = 0
) -> StatementCorpus:
    """Generate statements and cut them into rows; what is left over fills no row and is dropped.

    A statement that is for validation too, by chance, is left out of the training rows.

    Args:
        n_statements: how many to generate, of 8 to 13 words and a full stop each.
        seq_len: how many words a model reads in one row.
        valid_fraction: the share of the statements that are never trained on.
        seed: of the statements.

    Raises:
        ValueError: a number is out of range, or a part of the statements does not fill one row.
    """
    check_whole(1, n_statements=n_statements, seq_len=seq_len)
    if not 0 < valid_fraction < 1:
        raise ValueError(f"valid_fraction must be between 0 and 1, got {valid_fraction}")
    statements = generate_statements(n_statements, seed=seed)
    n_train = n_statements - round(n_statements * valid_fraction)
    train, valid = statements[:n_train], statements[n_train:]
    train = train[~train["text"].isin(valid["text"])]

    train_ids, valid_ids = _running_ids(train), _running_ids(valid)
    for part, ids in (("training", train_ids), ("validation", valid_ids)):
        if len(ids) <= seq_len:
            raise ValueError(
                f"n_statements must be larger: its {part} part has {len(ids)} words, and a row "
                f"of seq_len={seq_len} takes {seq_len + 1}"
            )

    labels, generator_nats = _label_tokens(valid)
    return StatementCorpus(
        vocabulary=statement_words(),
        train=_cut_rows(train_ids, seq_len),
        valid=_cut_rows(valid_ids, seq_len),
        labels=TokenLabels(
            **{name: _cut_rows(each, seq_len)[:, :-1] for name, each in labels.items()}
        ),
        generator_nats=_cut_rows(generator_nats, seq_len)[:, 1:],
    )


def encode_statements(texts: Iterable[str]) -> list[list[int]]:
    """The token ids of each statement, and of the full stop after it.

    Raises:
        ValueError: a text holds a word that is in no statement.
    """
    tokens = {word: token for token, word in enumerate(statement_words())}
    try:
        return [[tokens[word] for word in [*text.split(), END]] for text in texts]
    except KeyError as error:
        raise ValueError(f"texts must hold words of statements only, got {error}") from error


def _running_ids(statements: pd.DataFrame) -> Int[np.ndarray, "tokens"]:
    encoded = encode_statements(statements["text"])
    return np.array([token for ids in encoded for token in ids], dtype=np.int64)


def _label_tokens(
    statements: pd.DataFrame,
) -> tuple[dict[str, np.ndarray], Float[np.ndarray, "tokens"]]:
    """The fields of `TokenLabels` for all tokens, one after the other, and the generator's nats."""
    likelihoods = [statement_likelihood([*text.split(), END]) for text in statements["text"]]
    lengths = [len(each.nats) for each in likelihoods]
    kinds = statements["kind"].map(STATEMENT_KINDS.index)
    domains = statements["domain"].map(STATEMENT_DOMAINS.index)
    doubt_bits = [entropy(each.kinds, base=2, axis=1) for each in likelihoods]
    labels = {
        "kind": np.repeat(kinds.to_numpy(), lengths),
        "domain": np.repeat(domains.to_numpy(), lengths),
        "statement": np.repeat(statements.index.to_numpy(), lengths),
        "position": np.concatenate([np.arange(length) for length in lengths]),
        "kind_bits": np.log2(len(STATEMENT_KINDS)) - np.concatenate(doubt_bits),
    }
    return labels, np.concatenate([each.nats for each in likelihoods])


def _cut_rows(tokens: np.ndarray, seq_len: int) -> Tensor:
    n_rows = len(tokens) // (seq_len + 1)
    return torch.from_numpy(tokens[: n_rows * (seq_len + 1)]).view(n_rows, seq_len + 1)


def _bytes(rows: Tensor) -> bytes:
    return rows.numpy().tobytes()
