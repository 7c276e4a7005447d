"""Evaluations of claims with numbers made up by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from sparse_transformers.experiments.truthfulness_evaluation.records import (
    BAYES,
    LINEAR,
    MAJORITY,
    NGRAMS,
    TRANSFORMER,
    TRUTHFUL,
    VERDICTS,
    ClaimEvaluation,
    ClaimEvaluationSettings,
    ClaimTask,
    JudgedModel,
)
from sparse_transformers.utils.dataset_loaders import LIAR_LABELS
from sparse_transformers.utils.metrics.claim_scores import ClaimScores, score_claims
from sparse_transformers.utils.metrics.significance import Interval, PairedDifference
from sparse_transformers.utils.metrics.thresholds import ThresholdChoice

N_ROWS = 60
CLASSES = {VERDICTS: LIAR_LABELS, TRUTHFUL: ("not truthful", "truthful")}
MAIN = f"{TRANSFORMER}, text"
THRESHOLD = ThresholdChoice("f1", 0.44, 0.6, 0.7, 0.646, 0.2, 0.6, 0.4)
MORE, LESS, ALIKE = (0.12, 0.05, 0.2, 0.004), (-0.08, -0.15, -0.01, 0.02), (0.03, -0.02, 0.08, 0.3)
"""A difference in accuracy, its limits, and its p-value."""


@cache
def scores_of(task: str, n_right: int) -> ClaimScores:
    """Of sixty rows, so many of them right: the true class has 0.7 there, the next one elsewhere.

    The intervals are a tenth wide to either side; the AUC is that of a guess.
    """
    n_classes = len(CLASSES[task])
    targets = np.arange(N_ROWS) % n_classes
    predicted = np.where(np.arange(N_ROWS) < n_right, targets, (targets + 1) % n_classes)
    probabilities = np.full((N_ROWS, n_classes), 0.3 / (n_classes - 1))
    probabilities[np.arange(N_ROWS), predicted] = 0.7
    scores = score_claims(
        targets,
        probabilities,
        groups=[f"speaker {row}" for row in range(N_ROWS)],
        ordinal=task == VERDICTS,
        n_resamples=19,
    )
    scores = replace(scores, accuracy=around(n_right / N_ROWS))
    if scores.binary is None:
        return scores
    roc = replace(scores.binary.roc, auc=around(0.5))
    return replace(scores, binary=replace(scores.binary, roc=roc))


def around(estimate: float) -> Interval:
    """An interval a tenth wide to either side."""
    return Interval(estimate, estimate - 0.1, estimate + 0.1)


def usual_models(task: str, *, ceiling: bool = False, leaking: bool = False) -> list[JudgedModel]:
    """A majority, two baselines of which the second is better, two classifiers, and more if asked.

    A threshold is chosen where there are two classes.
    """
    is_binary = task == TRUTHFUL
    main = JudgedModel(
        TRANSFORMER,
        "text",
        leaks=False,
        scores=scores_of(task, 36),
        fold_accuracies=(0.5, 0.7),
        threshold=THRESHOLD if is_binary else None,
        f1_at_threshold=0.591 if is_binary else None,
    )
    models = [
        JudgedModel(MAJORITY, "nothing", False, scores_of(task, 30)),
        JudgedModel(LINEAR, "metadata", False, scores_of(task, 31)),
        JudgedModel(LINEAR, "text", False, scores_of(task, 33)),
        JudgedModel(NGRAMS, "text", False, scores_of(task, 39), fold_accuracies=(0.4, 0.5)),
        main,
    ]
    if leaking:
        history = replace(main, inputs="text + history", leaks=True, scores=scores_of(task, 54))
        models.append(history)
    if ceiling:
        models.append(JudgedModel(BAYES, "text", False, scores_of(task, 48)))
    return models


def made_up_task(
    task: str,
    models: Sequence[JudgedModel] | None = None,
    leads: Mapping[str, tuple[float, float, float, float]] | None = None,
    *,
    corpus: str = "claims",
) -> ClaimTask:
    """A task with these models; the leads of `MAIN` are by model, all others are `ALIKE`."""

    def with_lead(model: JudgedModel) -> JudgedModel:
        if model.name == MAIN or model.leaks:
            return model
        estimate, low, high, p_value = (leads or {}).get(model.name, ALIKE)
        other = model.scores.accuracy.estimate
        interval = Interval(estimate, low, high)
        lead = PairedDifference(other + estimate, other, interval, p_value)
        return replace(model, lead=lead)

    return ClaimTask(
        corpus=corpus,
        task=task,
        classes=CLASSES[task],
        n_train=1234,
        n_valid=N_ROWS,
        group="speaker",
        n_groups=N_ROWS,
        models=tuple(map(with_lead, usual_models(task) if models is None else models)),
        main_model=MAIN,
    )


def made_up_evaluation(*tasks: ClaimTask) -> ClaimEvaluation:
    """All these tasks."""
    return ClaimEvaluation(ClaimEvaluationSettings(n_resamples=321), tasks)
