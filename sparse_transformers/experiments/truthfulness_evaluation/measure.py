"""How well is true told from false? A trained classifier beside honest baselines, with error bars.

Everything that learns, learns from the training rows alone, and what is chosen is chosen on them.
The held-out rows are looked at once, at the end.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from sparse_transformers.claims.corpora import TEXT, ClaimCorpus, make_corpus
from sparse_transformers.experiments.truthfulness_evaluation.judgements import (
    Judgement,
    judge_by_baselines,
    judge_by_classifiers,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import (
    BAYES,
    TRUTHFUL,
    VERDICTS,
    ClaimArm,
    ClaimDifference,
    ClaimEvaluation,
    ClaimEvaluationSettings,
    ClaimTask,
)
from sparse_transformers.experiments.truthfulness_evaluation.scores import score_claims
from sparse_transformers.utils.arrays import Codes, Probabilities
from sparse_transformers.utils.dataset_synthesis import synthesize_liar
from sparse_transformers.utils.metrics.significance import PairedDifference, paired_bootstrap
from sparse_transformers.utils.metrics.thresholds import choose_threshold, threshold_analysis


def teaching_claims(
    settings: ClaimEvaluationSettings, *, seed: int = 0
) -> tuple[dict[str, pd.DataFrame], dict[str, Probabilities]]:
    """Invented claims, and the exact probabilities of their verdicts given their text."""
    sample = synthesize_liar(
        settings.synthetic_rows,
        seed=seed,
        bayes_accuracy=settings.bayes_accuracy,
        leaky_history=settings.history,
    )
    return {"synthetic LIAR": sample.table}, {"synthetic LIAR": sample.posteriors}


def evaluate_claims(
    settings: ClaimEvaluationSettings,
    tables: Mapping[str, pd.DataFrame],
    *,
    posteriors: Mapping[str, Probabilities] | None = None,
    seed: int = 0,
    say: Callable[[str], object] = lambda step: None,
    progress: bool = False,
) -> ClaimEvaluation:
    """Train on the training rows of every table, and judge its held-out rows.

    Args:
        settings: what to train.
        tables: by name, as `load_liar` or `load_judged_answers` return them, with a `split` column.
        posteriors: by name, where they are known: the exact probability of each class, for every
            row of the table.
        seed: of folds, weights, batches and resamples.
        say: is told what comes next.
        progress: show a progress bar for each member.

    Raises:
        ValueError: there is no table, or one that nothing can be learned from.
    """
    if not tables:
        raise ValueError("tables must hold at least one table, got none")
    tasks: list[ClaimTask] = []
    for name, table in tables.items():
        corpus = make_corpus(name, table)
        ceiling = (posteriors or {}).get(name)
        config = settings.config_for(corpus, invented=ceiling is not None)
        judgements = list(
            judge_by_classifiers(
                corpus,
                replace(config, seed=config.seed + seed),
                history=settings.history,
                say=say,
                progress=progress,
            )
        )
        if ceiling is not None:
            of_valid = ceiling[(table["split"] == "valid").to_numpy()]
            judgements.append(Judgement(BAYES, TEXT, of_valid))
        for task, merge in _tasks_of(corpus):
            say(f"{name}, {task}: baselines and {settings.n_resamples} resamples of every score")
            merged = [each.merged(merge) for each in judgements]
            tasks.append(_evaluate_task(settings, corpus, task, merge, merged, seed))
    return ClaimEvaluation(settings, tuple(tasks))


def _tasks_of(corpus: ClaimCorpus) -> Iterator[tuple[str, Codes]]:
    """The questions to a corpus: what each of its classes counts as."""
    if len(corpus.classes) > 2:
        yield VERDICTS, np.arange(len(corpus.classes))
    yield TRUTHFUL, np.array([int(label in corpus.truthful) for label in corpus.classes])


def _evaluate_task(
    settings: ClaimEvaluationSettings,
    corpus: ClaimCorpus,
    task: str,
    merge: Codes,
    judgements: Sequence[Judgement],
    seed: int,
) -> ClaimTask:
    train, valid = (
        merge[[corpus.classes.index(label) for label in labels]]
        for labels in (corpus.train_labels, corpus.valid_labels)
    )
    baselines = judge_by_baselines(
        corpus, train, n_classes=int(merge.max()) + 1, linear_strength=settings.linear_strength
    )
    every = [*baselines, *judgements]
    honest = [each for each in judgements if each.out_of_fold is not None and not each.leaks]
    main = max(honest, key=lambda each: _cross_validated_accuracy(each, train))

    def score(judgement: Judgement) -> ClaimArm:
        scores = score_claims(
            valid,
            judgement.probabilities,
            groups=corpus.valid_groups,
            ordinal=task == VERDICTS,
            n_resamples=settings.n_resamples,
            seed=seed,
        )
        arm = ClaimArm(judgement.model, judgement.inputs, judgement.leaks, scores)
        return _with_training_rows(arm, judgement, train, valid)

    def compare(judgement: Judgement) -> PairedDifference:
        return paired_bootstrap(
            lambda truth, predicted: np.mean(truth == predicted),
            valid,
            main.probabilities.argmax(1),
            judgement.probabilities.argmax(1),
            groups=corpus.valid_groups,
            n_resamples=settings.n_resamples,
            seed=seed,
        )

    arms = tuple(score(each) for each in every)
    return ClaimTask(
        corpus=corpus.name,
        task=task,
        classes=corpus.classes if task == VERDICTS else ("not truthful", "truthful"),
        n_train=len(train),
        n_valid=len(valid),
        group=corpus.group,
        n_groups=len(set(corpus.valid_groups)),
        arms=arms,
        main_arm=arms[every.index(main)].name,
        differences=tuple(
            ClaimDifference(arm.name, compare(each))
            for arm, each in zip(arms, every, strict=True)
            if each is not main and not each.leaks
        ),
    )


def _cross_validated_accuracy(judgement: Judgement, train: Codes) -> float:
    assert judgement.out_of_fold is not None
    return float(np.mean(judgement.out_of_fold.argmax(1) == train))


def _with_training_rows(
    arm: ClaimArm, judgement: Judgement, train: Codes, valid: Codes
) -> ClaimArm:
    """The arm with what cross-validation says of it, if there was any."""
    if judgement.out_of_fold is None or judgement.folds is None:
        return arm
    folds, right = judgement.folds, judgement.out_of_fold.argmax(1) == train
    arm = replace(
        arm,
        fold_accuracies=tuple(float(right[folds == nth].mean()) for nth in np.unique(folds)),
    )
    if judgement.probabilities.shape[1] != 2:
        return arm
    chosen = choose_threshold(train, judgement.out_of_fold[:, 1], "f1")
    held_out = threshold_analysis(
        valid, judgement.probabilities[:, 1], thresholds=[chosen.threshold]
    )
    return replace(arm, threshold=chosen, f1_at_threshold=held_out.f1[0])
