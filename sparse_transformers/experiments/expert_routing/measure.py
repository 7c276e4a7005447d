"""Experts trained with every way to balance them, beside the controls that say what it means.

The text is statements of eight kinds about four domains (`statement_kinds.py`), whose entropy is
known exactly. Whether experts have specialised is asked of trained routers, of the same routers
before training, of routers that never learned while the rest of the model did, and of a hash of
the word; and each time once more with shuffled classes.
"""

from collections.abc import Callable

from sparse_transformers.demos.statements import StatementCorpus, make_statement_corpus
from sparse_transformers.experiments.expert_routing.close_up import look_closer
from sparse_transformers.experiments.expert_routing.records import (
    CloseUp,
    ExpertRun,
    ExpertStudy,
    ExpertStudySettings,
)
from sparse_transformers.experiments.expert_routing.variants import (
    ARMS,
    BALANCED,
    UNBALANCED,
    build_model,
)
from sparse_transformers.experiments.expert_routing.watch import (
    WatchedStatements,
    ask_with_capacity,
    measure_specialization,
    take_snapshots,
)
from sparse_transformers.interpretability.routing_statistics import RoutingStatistics
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.task import nats_to_bits
from sparse_transformers.training.trainer import Trainer

WATCHED = BALANCED
WITH_CAPACITY = (UNBALANCED, BALANCED, "bias")
"""The arms that are asked again with less room; the noisy one would be asked with noise as well."""


def study_experts(
    settings: ExpertStudySettings,
    *,
    seed: int = 0,
    say: Callable[[str], object] = lambda step: None,
    progress: bool = False,
) -> ExpertStudy:
    """Train every arm with every seed, and look at what the routers do.

    Args:
        settings: sizes.
        seed: the first of the seeds, and that of the statements.
        say: is told what comes next.
        progress: show a progress bar for each run.
    """
    corpus = make_statement_corpus(settings.n_statements, seq_len=settings.seq_len, seed=seed)
    runs: list[ExpertRun] = []
    close_up: CloseUp | None = None
    for nth in range(settings.n_seeds):
        for name in ARMS:
            say(f"training {name}, seed {seed + nth}")
            run, model = _train(settings, name, corpus, seed + nth, progress)
            runs.append(run)
            if name == WATCHED and close_up is None:
                say(f"switching off the experts of {name}, one by one")
                close_up = look_closer(model, corpus, settings.valid_rows)
    assert close_up is not None
    read = slice(settings.valid_rows)
    return ExpertStudy(
        settings=settings,
        n_words=len(corpus.vocabulary),
        floor_bits=nats_to_bits(float(corpus.generator_nats[read].mean())),
        kind_bits=float(corpus.labels.kind_bits[read].mean()),
        watched_arm=WATCHED,
        runs=tuple(runs),
        close_up=close_up,
    )


def _train(
    settings: ExpertStudySettings, name: str, corpus: StatementCorpus, seed: int, progress: bool
) -> tuple[ExpertRun, SparseTransformer]:
    model = build_model(
        ARMS[name],
        vocab_size=len(corpus.vocabulary),
        d_model=settings.d_model,
        n_heads=settings.n_heads,
        n_layers=settings.n_layers,
        num_experts=settings.num_experts,
        top_k=settings.top_k,
        d_ff=settings.d_ff,
        seed=seed,
    )
    task = WatchedStatements(corpus, valid_rows=settings.valid_rows)
    config = TrainingConfig(
        steps=settings.steps,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        eval_every=-(-settings.steps // settings.n_snapshots),
        seed=seed,
        device="cpu",
        progress=progress,
    )
    result = Trainer(model, task, config).train()
    first, last = task.routings[0], task.routings[-1]
    statistics = RoutingStatistics()
    statistics.update(last)
    shuffles = {"n_shuffles": settings.n_shuffles, "seed": seed}
    run = ExpertRun(
        arm=name,
        seed=seed,
        n_parameters=model.num_parameters(),
        n_active_parameters=model.num_active_parameters(),
        train_seconds=result.train_seconds,
        snapshots=take_snapshots(result.evaluations, task.routings),
        layers=tuple(statistics.compute().values()) if last else (),
        scores=measure_specialization(last, corpus, **shuffles) if last else (),
        first_scores=(measure_specialization(first, corpus, **shuffles) if name == WATCHED else ()),
        capacities=(
            ask_with_capacity(model, task.rows, settings.capacity_factors)
            if name in WITH_CAPACITY
            else ()
        ),
    )
    return run, model
