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
from sparse_transformers.utils.texts import check_list


@dataclass(frozen=True, eq=False)
class TokenLabels:
    """The labels of each input token.

    Attributes:
        kind: the kind of its statement, as an index into `STATEMENT_KINDS`.
        domain: the domain of its statement, as an index into `STATEMENT_DOMAINS`.
        statement: the number of its statement. Tokens of one statement are not independent.
        position: its position in its statement, from 0.
        kind_bits: the information about the kind, in bits, of the words of its statement up to this
            one. On average over tokens, no function of a causal model's states can have more.
    """

    kind: Int[Tensor, "rows seq"]
    domain: Int[Tensor, "rows seq"]
    statement: Int[Tensor, "rows seq"]
    position: Int[Tensor, "rows seq"]
    kind_bits: Float[Tensor, "rows seq"]


@dataclass(frozen=True, eq=False)
class StatementCorpus:
    """Statements one after the other, cut into rows of equal length without padding.

    Rows begin and end anywhere in a statement.

    Attributes:
        vocabulary: the word of each token id; the same for every corpus.
        train: rows to train on. The first token of a row is only an input, the last only a target.
        valid: rows of other statements to validate on.
        labels: labels of the inputs of the validation rows, `valid[:, :-1]`.
        generator_nats: -ln p of their targets, `valid[:, 1:]`, where p is the exact probability of
            the word given the grammar and the statement so far. Without a leak, a model's sum is
            lower by t nats with a probability of at most e^-t.
    """

    vocabulary: tuple[str, ...]
    train: Int[Tensor, "train_rows length"]
    valid: Int[Tensor, "rows length"]
    labels: TokenLabels
    generator_nats: Float[Tensor, "rows seq"]

    @property
    def seq_len(self) -> int:
        """Input words, and predictions, per row."""
        return self.valid.shape[1] - 1

    def sha256(self) -> str:
        """The hash by which a resumed run recognises its corpus."""
        contents = (" ".join(self.vocabulary).encode(), *map(_bytes, (self.train, self.valid)))
        return hashlib.sha256(b"\n".join(contents)).hexdigest()


class StatementTask:
    """Predict each word from those before it.

    Args:
        corpus: the rows to train and to validate on.
        max_valid_rows: the largest number of rows to validate on; the first ones are used.

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
        """Mean `generator_nats` of the words to validate on; a loss below it means a leak."""
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
    """Generate statements and cut them into rows; an incomplete last row is dropped.

    Training statements that occur among the validation statements are removed.

    Args:
        n_statements: number of statements to generate, each of 8 to 13 words and a full stop.
        seq_len: input words per row.
        valid_fraction: the share of the statements that are never trained on.
        seed: of the statements.

    Raises:
        ValueError: a number is out of range, or a part of the statements is shorter than a row.
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
        ValueError: a text holds a word outside the vocabulary.
    """
    check_list(texts=texts)
    tokens = {word: token for token, word in enumerate(statement_words())}
    try:
        return [[tokens[word] for word in [*text.split(), END]] for text in texts]
    except KeyError as error:
        raise ValueError(f"texts must hold words of the vocabulary only, got {error}") from error


def _running_ids(statements: pd.DataFrame) -> Int[np.ndarray, "tokens"]:
    encoded = encode_statements(statements["text"])
    return np.array([token for ids in encoded for token in ids], dtype=np.int64)


def _label_tokens(
    statements: pd.DataFrame,
) -> tuple[dict[str, np.ndarray], Float[np.ndarray, "tokens"]]:
    """The fields of `TokenLabels` and `generator_nats`, for all tokens in order."""
    likelihoods = [statement_likelihood([*text.split(), END]) for text in statements["text"]]
    lengths = [len(each.nats) for each in likelihoods]
    kinds = statements["kind"].map(STATEMENT_KINDS.index)
    domains = statements["domain"].map(STATEMENT_DOMAINS.index)
    kind_entropies = entropy(np.concatenate([each.kinds for each in likelihoods]), base=2, axis=1)
    labels = {
        "kind": np.repeat(kinds.to_numpy(), lengths),
        "domain": np.repeat(domains.to_numpy(), lengths),
        "statement": np.repeat(statements.index.to_numpy(), lengths),
        "position": np.concatenate([np.arange(length) for length in lengths]),
        "kind_bits": np.log2(len(STATEMENT_KINDS)) - kind_entropies,
    }
    return labels, np.concatenate([each.nats for each in likelihoods])


def _cut_rows(tokens: np.ndarray, seq_len: int) -> Tensor:
    n_rows = len(tokens) // (seq_len + 1)
    return torch.from_numpy(tokens[: n_rows * (seq_len + 1)]).view(n_rows, seq_len + 1)


def _bytes(rows: Tensor) -> bytes:
    return rows.numpy().tobytes()
