"""Dense and sparse byte models, trained on the same text for the same time."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from sparse_transformers.efficiency.memory import peak_extra_bytes
from sparse_transformers.experiments.model_comparison.byte_baselines import (
    ByteBaseline,
    byte_baselines,
)
from sparse_transformers.experiments.section import Visit
from sparse_transformers.interpretability.causality import find_future_leak
from sparse_transformers.models.pattern_base import Causal
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.next_byte import NextByteTask
from sparse_transformers.training.progress import TrainingResult
from sparse_transformers.training.trainer import Trainer
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.plots.style import style_of
from sparse_transformers.utils.verdicts import paired_over_seeds

UNLIMITED_STEPS = 1_000_000  # the clock ends a run long before
LEAK_PROBES = 8
DENSE = style_of("dense").label


@dataclass(frozen=True)
class ModelComparisonSettings:
    """Sizes of models and runs, the same for every model but for its pattern.

    Attributes:
        seq_len: bytes that a model reads at once.
        batch_size: rows per step.
        d_model: width of the models.
        n_layers: blocks of the models.
        n_heads: heads per block.
        window_size: of the model with a local window.
        stride: of the model with strided attention.
        learning_rate: the largest.
        seconds: of training for each run; validation does not count.
        n_seeds: runs of each model, which differ in weights and batches.
        eval_every: steps between validations.
        valid_windows: rows of held-out text at most.
    """

    seq_len: int = 2048
    batch_size: int = 1
    d_model: int = 128
    n_layers: int = 2
    n_heads: int = 4
    window_size: int = 128
    stride: int = 64
    learning_rate: float = 2e-3
    seconds: float = 8.0
    n_seeds: int = 3
    eval_every: int = 25
    valid_windows: int = 4


@dataclass(frozen=True)
class Validation:
    """How well a model predicts the held-out text at one moment of its training."""

    seconds: float
    tokens: int
    bits_per_byte: float


@dataclass(frozen=True)
class TrainedModel:
    """One run of one model.

    Attributes:
        name: of the pattern; the key of its colour and label.
        seed: of weights and batches.
        steps: that the clock allowed.
        train_seconds: of training, validation not counted.
        validations: from the untrained model to the last step.
        leaks: whether the leak probe found that a prediction depends on a later byte.
        largest_leak: the largest change of a logit that it found.
    """

    name: str
    seed: int
    steps: int
    train_seconds: float
    validations: tuple[Validation, ...]
    leaks: bool
    largest_leak: float


@dataclass(frozen=True)
class ComparedModel:
    """What is the same in all runs of a model.

    Attributes:
        name: of the pattern.
        pattern: written as Python, without `Causal()`.
        density: allowed pairs per pair of dense causal attention.
        n_parameters: number of weights.
        step_bytes: measured peak of extra memory of one forward and backward pass.
    """

    name: str
    pattern: str
    density: float
    n_parameters: int
    step_bytes: int


@dataclass(frozen=True)
class ModelComparison:
    """All runs, and the marks to beat.

    Attributes:
        settings: sizes.
        text: its name.
        train_bytes: bytes of it to train on.
        valid_bytes: bytes of it that are held out.
        predicted_bytes: held-out bytes that every validation predicts.
        baselines: the marks to beat.
        models: what is the same in all runs of a model.
        runs: of every model with every seed.
    """

    settings: ModelComparisonSettings
    text: str
    train_bytes: int
    valid_bytes: int
    predicted_bytes: int
    baselines: tuple[ByteBaseline, ...]
    models: tuple[ComparedModel, ...]
    runs: tuple[TrainedModel, ...]

    def by_seed(self, column: str) -> pd.DataFrame:
        """A row for each seed and a column for each model, under its label.

        Args:
            column: "bits" (per held-out byte, after the last step), "bytes_read", or
                "bytes_per_second" (of training).
        """
        runs = pd.DataFrame(
            {
                "label": style_of(run.name).label,
                "seed": run.seed,
                "bits": run.validations[-1].bits_per_byte,
                "bytes_read": run.validations[-1].tokens,
                "bytes_per_second": run.validations[-1].tokens / run.train_seconds,
            }
            for run in self.runs
        )
        labels = [style_of(model.name).label for model in self.models]
        return runs.pivot(index="seed", columns="label", values=column)[labels]

    def gaps(self) -> dict[str, Interval]:
        """Final bits per byte of each sparse model less those of the dense one, paired by seed."""
        bits = self.by_seed("bits")
        return {
            label: paired_over_seeds(bits[label].tolist(), bits[DENSE].tolist())
            for label in bits.columns.drop(DENSE)
        }


def compare_models(visit: Visit) -> ModelComparison:
    """Train each model with each seed for the same time, and validate on the same held-out text.

    Raises:
        ValueError: the corpus is too short for `seq_len`.
    """
    settings, corpus = visit.settings, visit.corpus
    task = NextByteTask(corpus, settings.seq_len, max_valid_windows=settings.valid_windows)
    windows = corpus.valid_windows(max_windows=settings.valid_windows, seq_len=settings.seq_len)
    attentions = _attentions(settings)

    visit.say("measuring the memory of a training step")
    models = [_describe(settings, name, choice, task) for name, choice in attentions.items()]
    names, runs = list(attentions), []
    for nth in range(settings.n_seeds):
        # Another model goes first with every seed, in case the machine slows down on the way.
        turn = nth % len(names)
        for name in names[turn:] + names[:turn]:
            visit.say(f"training {name}, seed {visit.seed + nth}, for {settings.seconds:g} s")
            runs.append(
                _train(settings, name, attentions[name], task, visit.seed + nth, visit.progress)
            )
    return ModelComparison(
        settings=settings,
        text=corpus.name,
        train_bytes=len(corpus.train),
        valid_bytes=len(corpus.valid),
        predicted_bytes=windows[:, 1:].numel(),
        baselines=byte_baselines(corpus.train, windows),
        models=tuple(models),
        runs=tuple(runs),
    )


def _attentions(settings: ModelComparisonSettings) -> dict[str, dict[str, Any]]:
    return {
        "dense": {"name": "dense"},
        "local": {"name": "local", "window_size": settings.window_size},
        "strided": {"name": "strided", "stride": settings.stride},
    }


def _model(
    settings: ModelComparisonSettings, choice: dict[str, Any], seed: int
) -> SparseTransformer:
    config = SparseTransformerConfig(
        d_model=settings.d_model,
        n_heads=settings.n_heads,
        n_layers=settings.n_layers,
        max_seq_len=settings.seq_len,
        attention=(choice,) * settings.n_layers,
    )
    return SparseTransformer(config, seed=seed)


def _describe(
    settings: ModelComparisonSettings, name: str, choice: dict[str, Any], task: NextByteTask
) -> ComparedModel:
    model = _model(settings, choice, seed=0)
    batch = task.batch(0, batch_size=settings.batch_size, seed=0)
    task.loss(model, batch).backward()  # gradients and layouts are there before
    rule = model.config.layer_patterns()[0]
    pattern = rule & Causal()
    seq_len = settings.seq_len
    return ComparedModel(
        name=name,
        pattern=repr(rule),
        density=pattern.allowed_pairs(seq_len) / Causal().allowed_pairs(seq_len),
        n_parameters=model.num_parameters(),
        step_bytes=peak_extra_bytes(lambda: task.loss(model, batch).backward()),
    )


def _train(
    settings: ModelComparisonSettings,
    name: str,
    choice: dict[str, Any],
    task: NextByteTask,
    seed: int,
    progress: bool,
) -> TrainedModel:
    model = _model(settings, choice, seed)
    config = TrainingConfig(
        steps=UNLIMITED_STEPS,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        eval_every=settings.eval_every,
        seed=seed,
        device="cpu",
        time_limit_s=settings.seconds,
        progress=progress,
    )
    result = Trainer(model, task, config).train()
    held_out = task.corpus.valid[None, : settings.seq_len].long()
    leak = find_future_leak(model, held_out, n_probes=LEAK_PROBES, seed=seed)
    return TrainedModel(
        name=name,
        seed=seed,
        steps=result.steps,
        train_seconds=result.train_seconds,
        validations=_validations(result, tokens_per_step=result.tokens // result.steps),
        leaks=leak.leaks,
        largest_leak=leak.largest_change,
    )


def _validations(result: TrainingResult, tokens_per_step: int) -> tuple[Validation, ...]:
    return tuple(
        Validation(
            seconds=row["seconds"],
            tokens=row["step"] * tokens_per_step,
            bits_per_byte=row["valid_bits_per_byte"],
        )
        for row in result.metrics
        if "valid_bits_per_byte" in row
    )
