"""TruthfulQA's multiple choice for a small language model, beside guesses that read nothing."""

from dataclasses import dataclass

import pandas as pd

from sparse_transformers.claims.answer_scores import answer_log_probabilities
from sparse_transformers.claims.tables import TRUTHFULQA
from sparse_transformers.experiments.section import Visit
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.next_byte import NextByteTask
from sparse_transformers.training.trainer import Trainer
from sparse_transformers.utils.dataset_synthesis import synthesize_truthfulqa
from sparse_transformers.utils.metrics.truthfulqa_scores import (
    McMeans,
    TruthfulQAResult,
    score_questions,
)

TRAINED, UNTRAINED, CHANCE = "trained model", "untrained model", "chance"
GUESS = "guess: {}"
"""Names of those that choose."""


@dataclass(frozen=True)
class TruthfulQAChoicesSettings:
    """The language model, and how much it is asked.

    Attributes:
        seconds: of training.
        seq_len: bytes that the model reads at once in training.
        d_model: width.
        n_layers: blocks.
        window_size: of its local attention.
        synthetic_questions: how many stand in where there is no TruthfulQA.
        n_resamples: of the questions, for every interval.
    """

    seconds: float = 5.0
    seq_len: int = 256
    d_model: int = 128
    n_layers: int = 2
    window_size: int = 64
    synthetic_questions: int = 150
    n_resamples: int = 499


@dataclass(frozen=True)
class TruthfulQAChoices:
    """How the language model chooses, and how those do who read nothing.

    Attributes:
        settings: as given.
        questions: name of the data set.
        n_questions: how many.
        text: what the model was trained on.
        train_seconds: for how long.
        bits_per_byte: of held-out text, after training.
        scores: of the model after and before its training, of chance and of each guess, by name.
    """

    settings: TruthfulQAChoicesSettings
    questions: str
    n_questions: int
    text: str
    train_seconds: float
    bits_per_byte: float
    scores: dict[str, McMeans]


def measure_choices(visit: Visit) -> TruthfulQAChoices:
    """Train a language model on bytes, and let it choose among the answers to each question."""
    settings, corpus, seed = visit.settings, visit.corpus, visit.seed
    name, table = "TruthfulQA", visit.tables.get(TRUTHFULQA)
    if table is None:
        name = "synthetic TruthfulQA"
        table = synthesize_truthfulqa(settings.synthetic_questions, seed=seed).table
    config = SparseTransformerConfig(
        d_model=settings.d_model,
        n_layers=settings.n_layers,
        max_seq_len=settings.seq_len,
        attention="local",
        attention_options={"window_size": settings.window_size},
    )
    model = SparseTransformer(config, seed=seed)
    visit.say("the untrained model chooses")
    untrained = _choose(model, table, settings.n_resamples, seed)
    visit.say(f"training a language model for {settings.seconds:g} s")
    training = TrainingConfig(
        steps=1_000_000,
        time_limit_s=settings.seconds,
        eval_every=1_000_000,
        device="cpu",
        seed=seed,
        progress=visit.progress,
    )
    training_run = Trainer(model, NextByteTask(corpus, settings.seq_len), training).train()
    visit.say(f"{len(table):,} questions")
    trained = _choose(model, table, settings.n_resamples, seed)
    controls = {
        name if name == CHANCE else GUESS.format(name): means
        for name, means in trained.controls.items()
    }
    return TruthfulQAChoices(
        settings=settings,
        questions=name,
        n_questions=len(table),
        text=corpus.name,
        train_seconds=training_run.train_seconds,
        bits_per_byte=training_run.final.loss_bits,
        scores={TRAINED: trained.model, UNTRAINED: untrained.model, **controls},
    )


def _choose(
    model: SparseTransformer, table: pd.DataFrame, n_resamples: int, seed: int
) -> TruthfulQAResult:
    """The scores of a model that prefers likely answers, and those of the guesses."""
    pairs = list(
        dict.fromkeys(
            (row.question, answer)
            for row in table.itertuples()
            for answer in (*row.correct_answers, *row.incorrect_answers)
        )
    )
    likelihoods = answer_log_probabilities(model, *zip(*pairs, strict=True))
    of_pair = dict(zip(pairs, likelihoods.tolist(), strict=True))
    return score_questions(
        table,
        lambda question, answer: of_pair[question, answer],
        n_resamples=n_resamples,
        seed=seed,
    )
