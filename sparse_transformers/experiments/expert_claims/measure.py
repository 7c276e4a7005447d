"""Do experts help to tell true from false? An encoder with experts beside dense ones.

The dense twin has as many weights that a token meets, the wide dense one as many in all. All learn
from the same rows in the same order, with the same folds and seeds.
"""

from dataclasses import replace

import numpy as np

from sparse_transformers.claims.baselines import majority_probabilities
from sparse_transformers.claims.corpora import TEXT
from sparse_transformers.experiments.expert_claims.encoders import (
    TrainedEncoder,
    encoders_from,
    train_encoder,
)
from sparse_transformers.experiments.expert_claims.records import (
    EXPERTS,
    TWIN,
    WIDE,
    ClaimJudge,
    ExpertClaims,
    ExpertClaimsCorpus,
    ExpertClaimsSettings,
    SeedScores,
)
from sparse_transformers.experiments.section import Visit
from sparse_transformers.experiments.truthfulness_evaluation.measure import ClaimData, claim_data
from sparse_transformers.experiments.truthfulness_evaluation.records import BAYES, MAJORITY
from sparse_transformers.utils.metrics.seed_resampling import RowsAndSeeds, Scores

Runs = dict[str, list[TrainedEncoder]]
"""Each encoder with each seed, by name."""


def measure_expert_claims(visit: Visit) -> ExpertClaims:
    """Train every encoder with every seed on the training rows, and judge the held-out ones.

    Raises:
        ValueError: nothing can be learned from a table, the settings have no transformer, or its
            width cannot be shared out among experts.
    """
    settings = visit.settings
    corpora = []
    for data in claim_data(settings.claims, visit.tables, visit.seed):
        runs = _train(data, visit)
        corpora.append(_compare(settings, data, runs, visit.seed))
    return ExpertClaims(settings, tuple(corpora))


def _train(data: ClaimData, visit: Visit) -> Runs:
    """Seed after seed, so that timings are interleaved."""
    settings, corpus, dense = visit.settings, data.corpus, data.config.transformer
    if dense is None:
        raise ValueError(f"settings.claims must have a transformer to read {corpus.name}, got None")
    encoders = encoders_from(dense, num_experts=settings.num_experts, top_k=settings.top_k)
    runs: Runs = {name: [] for name in encoders}
    for nth in range(settings.n_seeds):
        for name, transformer in encoders.items():
            of_seed = replace(
                data.config,
                fields=corpus.fields_of(TEXT),
                mark_repeats=corpus.mark_repeats,
                transformer=transformer,
                folds=settings.folds,
                seed=settings.n_seeds * visit.seed + nth,
            )
            visit.say(f"{corpus.name}, {name}, seed {nth + 1} of {settings.n_seeds}")
            runs[name].append(train_encoder(corpus, of_seed, progress=visit.progress))
    # Nothing is compared unless the numbers of weights are those that the names promise.
    experts, twin, wide = (runs[name][0].size for name in (EXPERTS, TWIN, WIDE))
    assert experts.active - experts.router == twin.active
    assert experts.total - experts.router == wide.total
    assert experts.embedding == twin.embedding == wide.embedding
    return runs


def _compare(
    settings: ExpertClaimsSettings, data: ClaimData, runs: Runs, seed: int
) -> ExpertClaimsCorpus:
    corpus = data.corpus
    train, valid = (
        np.array([corpus.classes.index(label) for label in labels])
        for labels in (corpus.train_labels, corpus.valid_labels)
    )
    said = {name: [run.probabilities for run in of_name] for name, of_name in runs.items()}
    # A reference has no seed: the same judge stands beside every one of them.
    majority = majority_probabilities(train, len(valid), len(corpus.classes))
    said[MAJORITY] = [majority] * settings.n_seeds
    if data.posteriors is not None:
        said[BAYES] = [data.posteriors] * settings.n_seeds
    scores: dict[str, dict[str, Scores]] = {}
    for name, of_seeds in said.items():
        probabilities = np.stack(of_seeds, axis=1)  # (rows, seeds, classes)
        of_truth = np.take_along_axis(probabilities, valid[:, None, None], axis=2).squeeze(2)
        is_right = (probabilities.argmax(2) == valid[:, None]).astype(np.float64)
        scores[name] = {"accuracy": is_right, "loss_bits": -np.log2(of_truth)}
    resamples = RowsAndSeeds(corpus.valid_groups, settings.claims.n_resamples, seed)

    def measured(name: str, measure: str) -> SeedScores:
        own, experts = scores[name][measure], scores[EXPERTS][measure]
        is_compared = name not in (EXPERTS, BAYES)
        return SeedScores(
            mean=resamples.mean(own),
            of_seeds=tuple(own.mean(0).tolist()) if name in runs else (),
            lead=resamples.difference(experts, own) if is_compared else None,
        )

    return ExpertClaimsCorpus(
        name=corpus.name,
        n_train=len(train),
        n_valid=len(valid),
        n_classes=len(corpus.classes),
        group=corpus.group,
        n_groups=len(set(corpus.valid_groups)),
        judges=tuple(
            ClaimJudge(
                name=name,
                accuracy=measured(name, "accuracy"),
                loss_bits=measured(name, "loss_bits"),
                size=runs[name][0].size if name in runs else None,
                seconds=tuple(run.seconds for run in runs.get(name, [])),
                uses=tuple(use for run in runs.get(name, []) for use in run.uses),
            )
            for name in said
        ),
    )
