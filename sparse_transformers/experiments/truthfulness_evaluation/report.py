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
from sparse_transformers.utils.report import NO_VALUE, bullets, percent, prose, table
from sparse_transformers.utils.verdicts import compare_paired, in_points, spell


def findings(evaluation: ClaimEvaluation) -> list[str]:
    """For each task, the chosen classifier beside the best baseline and the majority."""
    return [
        f"{task.corpus}, {task.task}: {_lead(task)} The classifier is right in "
        f"{_accuracy(task.main)} of the held-out rows, the most common class in "
        f"{_accuracy(task.of(MAJORITY)[0])}."
        for task in evaluation.tasks
    ]


def describe_accuracies(evaluation: ClaimEvaluation) -> str:
    """What was trained on what, and how often it was right."""
    return "\n\n".join(
        [
            prose(f"""
            Ensembles of small members, sparse transformers over words and votes of single words and
            pairs, judge held-out rows. Whatever had to be chosen, the classifier to compare
            included, was chosen on training rows that the member in question had not learned from.
            Intervals are from {evaluation.settings.n_resamples} bootstrap resamples of whole
            groups. The figure shows every model, and further measures."""),
            summarise(evaluation),
            prose("""
            **Limits.** Nothing is looked up: what these classifiers find is how true and false
            claims are *phrased* in this data."""),
        ]
    )


def describe_roc(evaluation: ClaimEvaluation) -> str:
    """How to read the curves; the table above holds their AUC."""
    return prose("""
    The AUC is the probability that a truthful claim gets a higher score than another one. Each band
    holds 95% of the resampled curves at each point by itself.""")


def describe_confusion(evaluation: ClaimEvaluation) -> str:
    """Which classes are taken for which, and how far off the steps of a scale are."""
    steps = [
        f"{task.corpus}: {spell(scores.mean_absolute_error, '{:.2f}')} steps off on average, "
        f"within one step for {spell(scores.within_one, '{:.1%}')} of the claims, quadratic kappa "
        f"{scores.quadratic_kappa}."
        for task in evaluation.tasks
        if (scores := task.main.scores.ordinal) is not None
    ]
    return "\n\n".join(["The colour is the share of the true class.", bullets(steps)]).strip()


def describe_reliability(evaluation: ClaimEvaluation) -> str:
    """Whether probabilities mean what they say."""
    errors = [
        f"{task.corpus}, {task.task}: the calibration error, {found.error:.3f}, is "
        f"{'' if task.main.scores.is_miscalibrated else 'not shown to be '}above that of a "
        "calibrated model "
        f"({found.null_mean:.3f} on average, {found.confidence:.0%} below {found.null_high:.3f})."
        for task in evaluation.tasks
        for found in [task.main.scores.calibration]
    ]
    return "\n\n".join(
        [
            prose("""
            Of the verdicts that are given with 70%, about 70% should be right. Even the error of a
            perfect model is above 0, as each bin holds few rows."""),
            bullets(errors),
        ]
    )


def describe_thresholds(evaluation: ClaimEvaluation) -> str:
    """What moving the threshold does, and what became of the one that was chosen."""
    chosen = [
        f"{task.corpus}: the highest F1 on training rows, {task.main.threshold.f1:.3f}, is at "
        f"{task.main.threshold.threshold:.2f}; on held-out rows this gives "
        f"{task.main.f1_at_threshold:.3f}."
        for task in evaluation.binary_tasks
        if task.main.threshold is not None
    ]
    return "\n\n".join(
        [
            prose("""
            The threshold from which on a claim is called truthful was chosen on training rows: the
            best value on the rows of the choice is too good to report."""),
            bullets(chosen),
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
        "best possible judge": task.of(BAYES),
        "with the credit history, which counts these verdicts **(leaks)**": [
            m for m in task.of(main.model) if m.leaks
        ],
    }
    rows = {name: models[0] for name, models in candidates.items() if models}
    right = {name: _accuracy(model) for name, model in rows.items()}
    if folds := main.fold_accuracies:
        mean = percent(sum(folds) / len(folds))
        right["chosen, cross-validated"] = f"{mean} ({min(folds):.1%} to {max(folds):.1%})"
    leads = {
        name: f"{spell(points.difference, '{:+.1f}')}, p = {points.p_value:.3f}"
        for name, model in rows.items()
        if model.lead is not None
        for points in [in_points(model.lead)]
    }
    aucs = {
        name: str(model.scores.binary.roc.auc)
        for name, model in rows.items()
        if model.scores.binary is not None
    }
    columns = {task.task: right, f"{task.task}: chosen less it, points": leads}
    return columns | ({"AUC": aucs} if aucs else {})


def _lead(task: ClaimTask) -> str:
    """Whether the chosen classifier is more accurate than the best baseline."""
    baseline = task.best_baseline
    assert baseline.lead is not None
    return compare_paired(
        f"*{task.main_model}*",
        f"*{baseline.name}*",
        in_points(baseline.lead),
        above="more accurate than",
        below="less accurate than",
        form="{:+.1f}",
        unit="points",
    )


def _accuracy(model: JudgedModel) -> str:
    return spell(model.scores.accuracy, "{:.1%}")
