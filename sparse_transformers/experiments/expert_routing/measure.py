"""Experts trained with every way to balance them, beside controls.

The text is statements of eight kinds about four domains (`statement_kinds.py`), whose entropy is
known exactly. Specialization is measured for trained routers, for the same routers before training,
for routers that are frozen while the rest of the model learns, and for a hash of the word; and each
time once more with shuffled classes.
"""

from sparse_transformers.demos.statements import StatementCorpus, make_statement_corpus
from sparse_transformers.experiments.expert_routing.records import (
    CloseUp,
    ExpertRun,
    ExpertStudy,
    ExpertStudySettings,
)
from sparse_transformers.experiments.expert_routing.variants import (
    BALANCED,
    UNBALANCED,
    VARIANTS,
    Variant,
)
from sparse_transformers.experiments.expert_routing.watch import (
    RecordingTask,
    layers_of,
    limit_capacity,
    look_closer,
    measure_specialization,
    take_snapshots,
)
from sparse_transformers.experiments.section import Visit
from sparse_transformers.models.experts.router import Router
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.task import nats_to_bits
from sparse_transformers.training.trainer import Trainer

WITH_CAPACITY = (UNBALANCED, BALANCED, "bias")
"""The variants that are tested with limited capacity; noisy routing would add its noise there."""


def study_experts(visit: Visit) -> ExpertStudy:
    """Train every variant with every seed, and record the routing."""
    settings = visit.settings
    corpus = make_statement_corpus(settings.n_statements, seq_len=settings.seq_len, seed=visit.seed)
    runs: list[ExpertRun] = []
    close_up: CloseUp | None = None
    for run_seed in range(visit.seed, visit.seed + settings.n_seeds):
        for name in VARIANTS:
            visit.say(f"training {name}, seed {run_seed}")
            run, model = _train(settings, name, corpus, run_seed, visit.progress)
            runs.append(run)
            if name == BALANCED and close_up is None:
                visit.say(f"switching off the experts of {name}, one by one")
                close_up = look_closer(model, corpus, settings.valid_rows)
    assert close_up is not None
    rows = slice(settings.valid_rows)
    return ExpertStudy(
        settings=settings,
        n_words=len(corpus.vocabulary),
        floor_bits=nats_to_bits(float(corpus.generator_nats[rows].mean())),
        kind_bits=float(corpus.labels.kind_bits[rows].mean()),
        main_variant=BALANCED,
        runs=tuple(runs),
        close_up=close_up,
    )


def build_model(
    variant: Variant, settings: ExpertStudySettings, *, vocab_size: int, seed: int
) -> SparseTransformer:
    """A causal language model of the variant, with as many active weights in each."""
    experts = None
    if variant.router is not None:
        experts = {
            "num_experts": settings.num_experts,
            "d_ff": settings.d_ff,
            "router": {**variant.router, "top_k": settings.top_k},
            "loss_weights": variant.loss_weights,
        }
    config = SparseTransformerConfig(
        vocab_size=vocab_size,
        d_model=settings.d_model,
        n_heads=settings.n_heads,
        n_layers=settings.n_layers,
        d_ff=settings.top_k * settings.d_ff,
        attention="causal",
        experts=experts,
    )
    model = SparseTransformer(config, seed=seed)
    if variant.frozen:
        for module in model.modules():
            if isinstance(module, Router):
                module.requires_grad_(False)
    return model


def _train(
    settings: ExpertStudySettings, name: str, corpus: StatementCorpus, seed: int, progress: bool
) -> tuple[ExpertRun, SparseTransformer]:
    model = build_model(VARIANTS[name], settings, vocab_size=len(corpus.vocabulary), seed=seed)
    task = RecordingTask(corpus, max_valid_rows=settings.valid_rows)
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
    shuffles = {"n_shuffles": settings.n_shuffles, "seed": seed}
    rows, factors = corpus.valid[: settings.valid_rows], settings.capacity_factors
    run = ExpertRun(
        variant=name,
        seed=seed,
        n_parameters=model.num_parameters(),
        n_active_parameters=model.num_active_parameters(),
        train_seconds=result.train_seconds,
        snapshots=take_snapshots(result.evaluations, task.routings),
        layers=layers_of(last),
        scores=measure_specialization(last, corpus, **shuffles),
        first_scores=measure_specialization(first, corpus, **shuffles) if name == BALANCED else (),
        capacities=limit_capacity(model, rows, factors) if name in WITH_CAPACITY else (),
    )
    return run, model
