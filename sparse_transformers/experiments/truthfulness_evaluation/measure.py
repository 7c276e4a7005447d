"""How well is true told from false? A trained classifier beside honest baselines, with error bars.

Everything that learns, learns from the training rows alone, and what is chosen is chosen on them.
The held-out rows are looked at once, at the end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sparse_transformers.claims.config import ClaimClassifierConfig
from sparse_transformers.claims.corpora import TEXT, ClaimCorpus, make_corpus
from sparse_transformers.claims.tables import JUDGED, LIAR, Tables
from sparse_transformers.experiments.section import Visit
from sparse_transformers.experiments.truthfulness_evaluation.judgements import (
    Judgement,
    judge_by_baselines,
    judge_by_classifiers,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import (
    BAYES,
    TRUTHFUL,
    VERDICTS,
    ClaimEvaluation,
    ClaimEvaluationSettings,
    ClaimTask,
    JudgedModel,
)
from sparse_transformers.utils.arrays import Codes, Probabilities
from sparse_transformers.utils.dataset_synthesis import synthesize_liar
from sparse_transformers.utils.metrics.claim_scores import score_claims
from sparse_transformers.utils.metrics.significance import paired_bootstrap
from sparse_transformers.utils.metrics.thresholds import choose_threshold, threshold_analysis


@dataclass(frozen=True, eq=False)
class ClaimData:
    """A data set, and how to learn from it.

    Attributes:
        corpus: what to learn from, and what to judge.
        config: of the classifiers.
        posteriors: the exact probabilities of the held-out rows, given their text; None where they
            are not known.
    """

    corpus: ClaimCorpus
    config: ClaimClassifierConfig
    posteriors: Probabilities | None = None


def claim_data(settings: ClaimEvaluationSettings, tables: Tables, seed: int) -> list[ClaimData]:
    """LIAR and judged answers, those that the user has; without either, invented claims.

    Args:
        settings: how to learn from each kind of claims, and how many to invent.
        tables: as `load_tables` returns them.
        seed: of the invented claims.

    Raises:
        ValueError: nothing can be learned from a table.
    """
    corpora = [make_corpus(name, tables[name]) for name in (LIAR, JUDGED) if name in tables]
    if corpora:
        return [ClaimData(each, settings.config_for(each, invented=False)) for each in corpora]
    sample = synthesize_liar(
        settings.synthetic_rows,
        seed=seed,
        bayes_accuracy=settings.bayes_accuracy,
        leaky_history=settings.history,
    )
    corpus = make_corpus("synthetic LIAR", sample.table)
    held_out = sample.posteriors[(sample.table["split"] == "valid").to_numpy()]
    return [ClaimData(corpus, settings.config_for(corpus, invented=True), held_out)]


def evaluate_claims(visit: Visit) -> ClaimEvaluation:
    """Train on the training rows of every data set, and judge its held-out rows.

    Raises:
        ValueError: nothing can be learned from a table.
    """
    settings = visit.settings
    tasks: list[ClaimTask] = []
    for data in claim_data(settings, visit.tables, visit.seed):
        corpus, config = data.corpus, replace(data.config, seed=data.config.seed + visit.seed)
        judgements = list(
            judge_by_classifiers(
                corpus, config, history=settings.history, say=visit.say, progress=visit.progress
            )
        )
        if data.posteriors is not None:
            judgements.append(Judgement(BAYES, TEXT, data.posteriors))
        for task, merge in _tasks_of(corpus):
            visit.say(
                f"{corpus.name}, {task}: baselines and {settings.n_resamples} resamples of every "
                "score"
            )
            merged = [each.merged(merge) for each in judgements]
            tasks.append(_evaluate_task(settings, corpus, task, merge, merged, visit.seed))
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
    validated = {
        nth: float(np.mean(each.out_of_fold.argmax(1) == train))
        for nth, each in enumerate(judgements)
        if each.out_of_fold is not None and not each.leaks
    }
    main = judgements[max(validated, key=validated.__getitem__)]
    resampling: Any = {
        "groups": corpus.valid_groups,
        "n_resamples": settings.n_resamples,
        "seed": seed,
    }

    def judged(judgement: Judgement) -> JudgedModel:
        model = JudgedModel(
            judgement.model,
            judgement.inputs,
            judgement.leaks,
            score_claims(valid, judgement.probabilities, ordinal=task == VERDICTS, **resampling),
        )
        if judgement is not main and not judgement.leaks:
            lead = paired_bootstrap(
                lambda truth, predicted: np.mean(truth == predicted),
                valid,
                main.probabilities.argmax(1),
                judgement.probabilities.argmax(1),
                **resampling,
            )
            model = replace(model, lead=lead)
        return _with_training_rows(model, judgement, train, valid)

    return ClaimTask(
        corpus=corpus.name,
        task=task,
        classes=corpus.classes if task == VERDICTS else ("not truthful", "truthful"),
        n_train=len(train),
        n_valid=len(valid),
        group=corpus.group,
        n_groups=len(set(corpus.valid_groups)),
        models=tuple(judged(each) for each in (*baselines, *judgements)),
        main_model=f"{main.model}, {main.inputs}",
    )


def _with_training_rows(
    model: JudgedModel, judgement: Judgement, train: Codes, valid: Codes
) -> JudgedModel:
    """The model with what cross-validation says of it, if there was any."""
    if judgement.out_of_fold is None or judgement.folds is None:
        return model
    right = pd.Series(judgement.out_of_fold.argmax(1) == train)
    model = replace(model, fold_accuracies=tuple(right.groupby(judgement.folds).mean()))
    if judgement.probabilities.shape[1] != 2:
        return model
    chosen = choose_threshold(train, judgement.out_of_fold[:, 1], "f1")
    held_out = threshold_analysis(
        valid, judgement.probabilities[:, 1], thresholds=[chosen.threshold]
    )
    return replace(model, threshold=chosen, f1_at_threshold=held_out.f1[0])
