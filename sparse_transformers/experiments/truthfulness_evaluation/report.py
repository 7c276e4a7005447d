"""The claim evaluation in words: every verdict follows from the numbers."""

from itertools import groupby

import pandas as pd

from sparse_transformers.experiments.section import Highlight
from sparse_transformers.experiments.truthfulness_evaluation.records import (
    BAYES,
    MAJORITY,
    ClaimEvaluation,
    ClaimTask,
    JudgedModel,
)
from sparse_transformers.utils.report import NO_VALUE, bullets, join, percent, prose, table
from sparse_transformers.utils.verdicts import ABOVE, by_verdict, in_points, list_by_verdict, spell


def findings(evaluation: ClaimEvaluation) -> list[str]:
    """The chosen classifiers beside the best baselines and the most common classes."""
    leads = {
        f"{task.corpus}, {task.task} ({_lead(task.best_baseline)})": task.best_baseline
        for task in evaluation.tasks
    }
    differences = {name: model.lead.difference for name, model in leads.items() if model.lead}
    chosen = [f"{task.main.scores.accuracy.estimate:.1%}" for task in evaluation.tasks]
    majority = [f"{task.of(MAJORITY)[0].scores.accuracy.estimate:.1%}" for task in evaluation.tasks]
    return [
        "Accuracy of the chosen classifier, in points: "
        f"{list_by_verdict(differences, 0, 'the best baseline')}",
        f"It is right in {join(chosen)} of the held-out rows, the most common class in "
        f"{join(majority)}.",
    ]


def describe_accuracies(evaluation: ClaimEvaluation) -> str:
    """What was trained on what, and how often it was right."""
    return "\n\n".join(
        [
            prose(f"""
            Ensembles of small members, sparse transformers over words and votes of single words and
            pairs, judge held-out rows. Whatever was chosen, was chosen on training rows that the
            member had not learned from. Intervals are from {evaluation.settings.n_resamples}
            bootstrap resamples of whole groups.{_ceiling(evaluation)}"""),
            summarise(evaluation),
            *_passes(evaluation),
            "**Limits.** Nothing is looked up: the classifiers find how true and false claims are "
            "*phrased*.",
        ]
    )


def _ceiling(evaluation: ClaimEvaluation) -> str:
    """What the Bayes classifier is, where it is known."""
    if not any(task.of(BAYES) for task in evaluation.tasks):
        return ""
    return (
        f" The *{BAYES}* knows the rules by which the claims were made, and judges by the exact "
        "probabilities: nothing that reads the same text can be expected to do better."
    )


def _passes(evaluation: ClaimEvaluation) -> list[str]:
    """Which models are above the Bayes classifier, as chance may have it on the held-out rows."""
    found = []
    for task in evaluation.tasks:
        for ceiling in task.of(BAYES):
            best = ceiling.scores.accuracy.estimate
            above = {
                model.name: model.scores.accuracy
                for model in task.models
                if model.scores.accuracy.estimate > best and not model.leaks
            }
            beyond = by_verdict(above, best)[ABOVE]
            noise = f"beyond noise: {join(beyond)}" if beyond else "within noise"
            if above:
                found.append(f"{task.task}: {join(list(above))} above the {BAYES}, {noise}.")
    return [bullets(found)] if found else []


def describe_roc(evaluation: ClaimEvaluation) -> str:
    """How to read the curves; the legend holds their AUC."""
    return prose("""
    The AUC is the probability that a truthful claim gets a higher score than another one; bands
    hold 95% of the resampled curves at each point.""")


def describe_confusion(evaluation: ClaimEvaluation) -> str:
    """How far off the steps of a scale are."""
    return bullets(
        [
            f"{task.corpus}: {spell(scores.mean_absolute_error, '{:.2f}')} steps off on average, "
            f"within one step for {spell(scores.within_one, '{:.1%}')} of the claims, quadratic "
            f"kappa {scores.quadratic_kappa}."
            for task in evaluation.tasks
            if (scores := task.main.scores.ordinal) is not None
        ]
    )


def describe_reliability(evaluation: ClaimEvaluation) -> str:
    """How to read the diagrams; titles and legends hold the errors."""
    return prose("""
    *ECE* is the expected calibration error. Each bin holds few rows, so that even a calibrated
    model errs: the legend has its error, too.""")


def describe_thresholds(evaluation: ClaimEvaluation) -> str:
    """What became of the threshold that was chosen."""
    return bullets(
        [
            f"{task.corpus}: the highest F1 on training rows, {task.main.threshold.f1:.3f}, is at "
            f"{task.main.threshold.threshold:.2f}; on held-out rows this gives "
            f"{task.main.f1_at_threshold:.3f}."
            for task in evaluation.binary_tasks
            if task.main.threshold is not None
        ]
    )


def summarise(evaluation: ClaimEvaluation) -> str:
    """The chosen classifier beside all that bounds it, a table for each data set."""
    parts = []
    for corpus, of_corpus in groupby(evaluation.tasks, key=lambda task: task.corpus):
        tasks = list(of_corpus)
        parts.append(
            f"**{corpus}:** {tasks[0].n_train:,} rows to learn from, {tasks[0].n_valid:,} held "
            f"out, resampled by {tasks[0].group} ({tasks[0].n_groups:,} of them)."
        )
        columns = {name: cells for task in tasks for name, cells in _columns(task).items()}
        frame = pd.DataFrame(columns).fillna(NO_VALUE).reset_index(names="right in")
        parts.append(table(list(frame), frame.to_numpy().tolist()))
    return "\n\n".join(parts)


def highlight(evaluation: ClaimEvaluation) -> Highlight:
    """The chosen classifier beside the best baseline, on the first question."""
    task = evaluation.tasks[0]
    baseline = task.best_baseline
    assert baseline.lead is not None
    lead = spell(in_points(baseline.lead).difference, "{:+.1f}", "points")
    return Highlight(
        question=f"{task.corpus}, {len(task.classes)} classes: claims judged right",
        found=f"{task.main_model}: {_accuracy(task.main)}; difference {lead}",
        beside=f"{baseline.name}: {_accuracy(baseline)}",
    )


def _columns(task: ClaimTask) -> dict[str, dict[str, str]]:
    """The columns of one question in the table of its data set: cells by the name of the row."""
    main = task.main
    candidates = {
        "chosen classifier": [main],
        "best baseline": [task.best_baseline],
        "most common class": task.of(MAJORITY),
        BAYES: task.of(BAYES),
        "with the credit history, which counts these verdicts **(leaks)**": [
            m for m in task.of(main.model) if m.leaks
        ],
    }
    rows = {name: models[0] for name, models in candidates.items() if models}
    names = {name: rows[name].name for name in ("chosen classifier", "best baseline")}
    right = {
        name: f"{_accuracy(model)}" + (f", *{names[name]}*" if name in names else "")
        for name, model in rows.items()
    }
    if folds := main.fold_accuracies:
        mean = percent(sum(folds) / len(folds))
        right["chosen, cross-validated"] = f"{mean} ({min(folds):.1%} to {max(folds):.1%})"
    leads = {
        name: f"{_lead(model)}, {model.lead.p_value:.3f}"
        for name, model in rows.items()
        if model.lead is not None
    }
    return {task.task: right, f"{task.task}: chosen less it (points), p": leads}


def _lead(model: JudgedModel) -> str:
    """How much more accurate the chosen classifier is, in points."""
    assert model.lead is not None
    return spell(in_points(model.lead).difference, "{:+.1f}")


def _accuracy(model: JudgedModel) -> str:
    return spell(model.scores.accuracy, "{:.1%}")
