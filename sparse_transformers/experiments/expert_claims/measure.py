"""Do experts help to tell true from false? An encoder with experts beside dense ones.

The dense twin has as many weights that a token meets, the wide dense one as many in all. All read
the same rows in the same order, with the same folds and seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparse_transformers.claims.baselines import majority_probabilities
from sparse_transformers.claims.config import ClaimClassifierConfig
from sparse_transformers.claims.corpora import TEXT, ClaimCorpus, make_corpus
from sparse_transformers.claims.tables import JUDGED, LIAR, Tables
from sparse_transformers.experiments.expert_claims.encoders import (
    TrainedEncoder,
    encoders_from,
    train_encoder,
)
from sparse_transformers.experiments.expert_claims.records import (
    EXPERTS,
    TWIN,
    WIDE,
    ClaimReference,
    ExpertClaims,
    ExpertClaimsArm,
    ExpertClaimsCorpus,
    ExpertClaimsSettings,
    ExpertDifference,
)
from sparse_transformers.experiments.expert_claims.seed_resampling import RowsAndSeeds, Scores
from sparse_transformers.experiments.truthfulness_evaluation.measure import teaching_claims
from sparse_transformers.experiments.truthfulness_evaluation.records import BAYES, MAJORITY
from sparse_transformers.utils.arrays import Codes, Probabilities

Say = Callable[[str], object]


@dataclass(frozen=True, eq=False)
class _Scores:
    """What each held-out row says of a judge with each seed, (rows, seeds)."""

    right: Scores
    bits: Scores


def measure_expert_claims(
    settings: ExpertClaimsSettings,
    tables: Tables,
    *,
    seed: int = 0,
    say: Say = lambda step: None,
    progress: bool = False,
) -> ExpertClaims:
    """Train every encoder with every seed on the training rows, and judge the held-out ones.

    Args:
        settings: what to train.
        tables: as `load_tables` returns them; LIAR and judged answers are read. Without either,
            claims are invented, and the best possible judge of them is known.
        seed: of everything.
        say: is told what comes next.
        progress: show a progress bar for each member.

    Raises:
        ValueError: nothing can be learned from a table, the settings have no transformer member, or
            its width cannot be shared out among experts.
    """
    claims = {name: tables[name] for name in (LIAR, JUDGED) if name in tables}
    posteriors: dict[str, Probabilities] = {}
    if not claims:
        claims, posteriors = teaching_claims(settings.claims, seed=seed)
    corpora = []
    for name, table in claims.items():
        corpus = make_corpus(name, table)
        references = {MAJORITY: _majority(corpus)}
        if name in posteriors:
            references[BAYES] = posteriors[name][(table["split"] == "valid").to_numpy()]
        config = settings.claims.config_for(corpus, invented=name in posteriors)
        runs = _train(settings, corpus, config, seed=seed, say=say, progress=progress)
        corpora.append(_compare(settings, corpus, runs, references, seed))
    return ExpertClaims(settings, tuple(corpora))


def _train(
    settings: ExpertClaimsSettings,
    corpus: ClaimCorpus,
    config: ClaimClassifierConfig,
    *,
    seed: int,
    say: Say,
    progress: bool,
) -> dict[str, list[TrainedEncoder]]:
    """Each encoder with each seed, by name; seed after seed, so that timings are interleaved."""
    if config.transformer is None:
        raise ValueError(f"settings.claims must have a transformer to read {corpus.name}, got None")
    encoders = encoders_from(
        config.transformer, num_experts=settings.num_experts, top_k=settings.top_k
    )
    runs: dict[str, list[TrainedEncoder]] = {name: [] for name in encoders}
    for nth in range(settings.n_seeds):
        for name, member in encoders.items():
            of_seed = replace(
                config,
                fields=corpus.fields_of(TEXT),
                mark_repeats=corpus.mark_repeats,
                transformer=member,
                folds=settings.folds,
                seed=settings.n_seeds * seed + nth,
            )
            say(f"{corpus.name}, {name}, seed {nth + 1} of {settings.n_seeds}")
            runs[name].append(train_encoder(corpus, of_seed, progress=progress))
    _check_sizes(runs)
    return runs


def _check_sizes(runs: Mapping[str, Sequence[TrainedEncoder]]) -> None:
    """Nothing is compared unless the numbers of weights are those that the names promise."""
    experts, twin, wide = (runs[name][0].size for name in (EXPERTS, TWIN, WIDE))
    assert experts.active - experts.router == twin.active
    assert experts.total - experts.router == wide.total
    assert experts.embedding == twin.embedding == wide.embedding


def _compare(
    settings: ExpertClaimsSettings,
    corpus: ClaimCorpus,
    runs: Mapping[str, Sequence[TrainedEncoder]],
    references: Mapping[str, Probabilities],
    seed: int,
) -> ExpertClaimsCorpus:
    targets = np.array([corpus.classes.index(label) for label in corpus.valid_labels])
    said = {name: [run.probabilities for run in of_name] for name, of_name in runs.items()}
    # A reference has no seed: the same judge stands beside every one of them.
    said |= {name: [each] * settings.n_seeds for name, each in references.items()}
    scores = {name: _score(targets, of_seeds) for name, of_seeds in said.items()}
    resamples = RowsAndSeeds(corpus.valid_groups, settings.claims.n_resamples, seed)
    return ExpertClaimsCorpus(
        name=corpus.name,
        n_train=len(corpus.train),
        n_valid=len(corpus.valid),
        n_classes=len(corpus.classes),
        group=corpus.group,
        n_groups=len(set(corpus.valid_groups)),
        arms=tuple(
            ExpertClaimsArm(
                name=name,
                size=of_name[0].size,
                accuracy=resamples.mean(scores[name].right),
                loss_bits=resamples.mean(scores[name].bits),
                seed_accuracies=tuple(scores[name].right.mean(0).tolist()),
                seed_losses_bits=tuple(scores[name].bits.mean(0).tolist()),
                seconds=tuple(run.seconds for run in of_name),
                uses=tuple(use for run in of_name for use in run.uses),
            )
            for name, of_name in runs.items()
        ),
        references=tuple(
            ClaimReference(
                name, resamples.mean(scores[name].right), resamples.mean(scores[name].bits)
            )
            for name in references
        ),
        differences=tuple(
            ExpertDifference(
                other,
                resamples.difference(scores[EXPERTS].right, scores[other].right),
                resamples.difference(scores[EXPERTS].bits, scores[other].bits),
            )
            for other in (TWIN, WIDE, MAJORITY)
        ),
    )


def _score(targets: Codes, of_seeds: Sequence[Probabilities]) -> _Scores:
    probabilities = np.stack(of_seeds, axis=1)  # (rows, seeds, classes)
    right = probabilities.argmax(-1) == targets[:, None]
    of_truth = np.take_along_axis(probabilities, targets[:, None, None], axis=-1).squeeze(-1)
    return _Scores(right.astype(np.float64), -np.log2(of_truth))


def _majority(corpus: ClaimCorpus) -> Probabilities:
    train = np.array([corpus.classes.index(label) for label in corpus.train_labels])
    return majority_probabilities(train, len(corpus.valid), len(corpus.classes))
