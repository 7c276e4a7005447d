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
from sparse_transformers.utils.verdicts import compare_paired, spell


def findings(evaluation: ClaimEvaluation) -> list[str]:
    """For each task, the chosen classifier beside the best baseline and the majority."""
    return [
        f"{task.corpus}, {task.task}: {_lead(task, task.best_baseline, f'*{task.main_model}*')} "
        f"It is right in {_accuracy(task.main)} of the held-out rows, the most common class in "
        f"{_accuracy(task.of(MAJORITY)[0])}."
        for task in evaluation.tasks
    ]


def describe_accuracies(evaluation: ClaimEvaluation) -> str:
    """What was trained on what, and how often it was right."""
    parts = [
        prose(f"""
        Ensembles of small members, sparse transformers over words and votes of single words and
        pairs, judge held-out rows. Whatever had to be chosen was chosen on training rows that the
        member in question had not learned from, also the classifier that is compared (bold). The
        figure shows further measures. Intervals are from {evaluation.settings.n_resamples}
        bootstrap resamples of whole groups.""")
    ]
    for _, tasks in groupby(evaluation.tasks, key=lambda task: task.corpus):
        of_corpus = list(tasks)
        parts += [_chapter(of_corpus), bullets([said for each in of_corpus for said in _say(each)])]
    parts.append(
        prose("""
        **Limits.** Nothing is looked up: what these classifiers find is how true and false claims
        are *phrased* in this data.""")
    )
    return "\n\n".join(parts)


def describe_roc(evaluation: ClaimEvaluation) -> str:
    """How to read the curves."""
    return prose("""
    The AUC is the probability that a truthful claim gets a higher score than another one: 0.5 is a
    guess, 1 is perfect. Each band holds 95% of the resampled curves at each point by itself.""")


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
            Of the verdicts that are given with 70%, about 70% should be right. Even a perfect
            model's calibration error in bins is above 0, so it stands beside that of such a
            model."""),
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
            From the threshold on, a claim is called truthful. It was chosen on training rows, by
            members that had not learned from them: the best value on the rows of the choice is too
            good to report."""),
            bullets(chosen),
        ]
    )


def summarise(evaluation: ClaimEvaluation) -> str:
    """Every accuracy and AUC, a table for each data set."""
    by_corpus = groupby(evaluation.tasks, key=lambda task: task.corpus)
    return "\n\n".join(_chapter(list(tasks)) for _, tasks in by_corpus)


def highlight(evaluation: ClaimEvaluation) -> Highlight:
    """The chosen classifier beside the best baseline, on the first question."""
    task = evaluation.tasks[0]
    baseline = task.best_baseline
    return Highlight(
        question=f"{task.corpus}, {len(task.classes)} {task.task}: share of claims judged right",
        found=f"{task.main_model}: {_accuracy(task.main)}",
        beside=f"{baseline.name}: {_accuracy(baseline)}",
    )


def _chapter(tasks: list[ClaimTask]) -> str:
    """How many rows a data set has, and how well each model judges them."""
    first = tasks[0]
    columns = {
        task.task: {_label(each): _cell(task, each) for each in task.models} for task in tasks
    }
    columns["AUC"] = {
        _label(each): str(each.scores.binary.roc.auc)
        for each in tasks[-1].models
        if each.scores.binary is not None
    }
    frame = pd.DataFrame(columns).fillna(NO_VALUE).reset_index(names="right on held-out rows")
    about = prose(f"""
    **{first.corpus}:** {first.n_train:,} rows to learn from, {first.n_valid:,} held out, resampled
    by {first.group} ({first.n_groups:,} of them).""")
    return "\n\n".join([about, table(list(frame), frame.to_numpy().tolist())])


def _say(task: ClaimTask) -> list[str]:
    """The chosen classifier beside the majority and the best possible judge, and what to doubt."""
    said = [
        f"{task.task}: {_lead(task, other, 'the chosen classifier')}"
        for other in (*task.of(MAJORITY), *task.of(BAYES))
    ]
    folds = task.main.fold_accuracies
    if folds:
        said.append(
            f"{task.task}: cross-validated on the training rows, the chosen classifier is right in "
            f"{percent(sum(folds) / len(folds))}, {min(folds):.1%} to {max(folds):.1%} over the "
            "folds."
        )
    if any(each.leaks for each in task.models):
        said.append(
            f"{task.task}: the credit history counts the very verdicts that are asked for; the "
            "accuracy with it is a leak, not a skill."
        )
    return said


def _lead(task: ClaimTask, other: JudgedModel, subject: str) -> str:
    """Whether the chosen classifier is more accurate than another model."""
    assert other.lead is not None
    return compare_paired(
        subject,
        f"*{other.name}*",
        other.lead,
        above="more accurate than",
        below="less accurate than",
        form="{:+.1f}",
        unit="points",
        scale=100,
    )


def _label(model: JudgedModel) -> str:
    return f"{model.name} **(leaks)**" if model.leaks else model.name


def _cell(task: ClaimTask, model: JudgedModel) -> str:
    accuracy = _accuracy(model)
    return f"**{accuracy}**" if model is task.main else accuracy


def _accuracy(model: JudgedModel) -> str:
    return spell(model.scores.accuracy, "{:.1%}")
