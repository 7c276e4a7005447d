"""The claim evaluation in words: every verdict follows from the numbers."""

from sparse_transformers.experiments.truthfulness_evaluation.figures import (
    best_baseline,
    binary_tasks,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import (
    BAYES,
    MAJORITY,
    ClaimArm,
    ClaimDifference,
    ClaimEvaluation,
    ClaimTask,
)
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.report import (
    NO_VALUE,
    NOT_MEASURED,
    bullets,
    number,
    percent,
    prose,
    table,
)


def describe_accuracies(evaluation: ClaimEvaluation) -> str:
    """What was trained on what, and how often it was right."""
    settings = evaluation.settings
    parts = [
        prose(f"""
        Classifiers learn from the training rows and judge rows that were held out. They are
        ensembles of small members of two kinds: a bidirectional sparse transformer over words, and
        votes of single words and of pairs. Whatever had to be chosen (when to stop, how sure to be)
        was chosen on training rows that the member in question had not learned from. Intervals are
        95%, from {settings.n_resamples} bootstrap resamples of whole groups, so that rows of one
        group do not count as independent.""")
    ]
    for task in evaluation.tasks:
        parts += [f"**{task.corpus}: {task.task}**", _about(task), _table(task), _verdicts(task)]
    parts.append(
        prose("""
        **Limits.** Wording is all that these classifiers know: they do not look anything up. What
        they find is how true and false claims are *phrased* in this data, which may be different
        elsewhere.""")
    )
    return "\n\n".join(parts)


def describe_roc(evaluation: ClaimEvaluation) -> str:
    """What the order of the scores is worth, whatever the threshold."""
    rows = []
    for task in binary_tasks(evaluation):
        for arm in (task.arm(task.main_arm), best_baseline(task), *_ceiling(task)):
            auc = None if arm.scores.binary is None else arm.scores.binary.roc.auc
            rows.append((f"{task.corpus}, {arm.name}", NOT_MEASURED if auc is None else str(auc)))
    return "\n\n".join(
        [
            prose("""
            The AUC is the probability that a truthful claim gets a higher score than another one:
            0.5 is a guess, 1 is perfect. The band holds 95% of the resampled curves at each
            point by itself."""),
            table(("held-out claims", "AUC"), rows),
        ]
    )


def describe_confusion(evaluation: ClaimEvaluation) -> str:
    """Which classes are taken for which, and how far off the steps of a scale are."""
    lines = [
        prose("""
        Rows are the true classes, columns what the classifier called them; the colour is the share
        of the true class.""")
    ]
    verdicts = []
    for task in evaluation.tasks:
        ordinal = task.arm(task.main_arm).scores.ordinal
        if ordinal is not None:
            error, within = ordinal.mean_absolute_error, ordinal.within_one
            verdicts.append(
                f"{task.corpus}: the verdict is {error.estimate:.2f} steps off on average "
                f"({_range(error)}), within one step for {within.estimate:.1%} of the claims "
                f"({_percents(within)}), and its quadratic kappa is {ordinal.quadratic_kappa}."
            )
    return "\n\n".join([*lines, bullets(verdicts)] if verdicts else lines)


def describe_reliability(evaluation: ClaimEvaluation) -> str:
    """Whether probabilities mean what they say."""
    verdicts = []
    for task in evaluation.tasks:
        error = task.arm(task.main_arm).scores.calibration
        beyond = "more than" if error.error > error.null_high else "no more than"
        verdicts.append(
            f"{task.corpus}, {task.task}: the calibration error is {error.error:.3f}, {beyond} "
            f"the {error.null_high:.3f} that {error.confidence:.0%} of perfectly calibrated models "
            f"with these probabilities stay below (their mean is {error.null_mean:.3f})."
        )
    return "\n\n".join(
        [
            prose("""
            Of the verdicts that are given with 70%, about 70% should be right. A binned calibration
            error is never 0, not even for a perfect model, so it stands beside what such a model
            gets."""),
            bullets(verdicts),
        ]
    )


def describe_thresholds(evaluation: ClaimEvaluation) -> str:
    """What moving the threshold does, and what became of the one that was chosen."""
    verdicts = []
    for task in binary_tasks(evaluation):
        main = task.arm(task.main_arm)
        if main.threshold is None or main.f1_at_threshold is None:
            continue
        verdicts.append(
            f"{task.corpus}: the highest F1 on training rows, {main.threshold.f1:.3f}, is at "
            f"{main.threshold.threshold:.2f}; on held-out rows the same threshold gives "
            f"{main.f1_at_threshold:.3f}."
        )
    return "\n\n".join(
        [
            prose("""
            Measures on the held-out rows over the threshold from which on a claim is called
            truthful. The dashed line was chosen on training rows, judged by members that had not
            learned from them: the best value on the rows of the choice is too good to report."""),
            bullets(verdicts),
        ]
    )


def summarise(evaluation: ClaimEvaluation) -> str:
    """The tables, and for each the comparison with the best baseline."""
    parts = []
    for task in evaluation.tasks:
        parts += [f"**{task.corpus}: {task.task}.** {_about(task)}", _table(task), _verdicts(task)]
    return "\n\n".join(parts)


def _about(task: ClaimTask) -> str:
    return prose(f"""
    {task.n_train:,} rows to learn from, {task.n_valid:,} held out; resampled by {task.group}
    ({task.n_groups:,} of them).""")


def _table(task: ClaimTask) -> str:
    ordinal = any(arm.scores.ordinal is not None for arm in task.arms)
    binary = any(arm.scores.binary is not None for arm in task.arms)
    headers = ["model", "reads", "accuracy", "macro F1"]
    headers += ["AUC"] * binary + ["mean steps off"] * ordinal + ["nats", "calibration error"]
    return table(headers, [_row(arm, ordinal, binary) for arm in task.arms])


def _row(arm: ClaimArm, ordinal: bool, binary: bool) -> list[str]:
    scores = arm.scores
    row = [
        arm.model,
        f"{arm.inputs} **(leaks)**" if arm.leaks else arm.inputs,
        str(scores.accuracy),
        f"{scores.macro_f1.estimate:.3f}",
    ]
    if binary:
        row.append(NO_VALUE if scores.binary is None else str(scores.binary.roc.auc))
    if ordinal:
        steps = scores.ordinal
        row.append(NO_VALUE if steps is None else f"{steps.mean_absolute_error.estimate:.2f}")
    loss = "infinite" if scores.loss_nats is None else number(scores.loss_nats)
    return [*row, loss, f"{scores.calibration.error:.3f}"]


def _verdicts(task: ClaimTask) -> str:
    main = task.arm(task.main_arm)
    baseline = best_baseline(task)
    sentences = [
        _difference(main, difference)
        for name in (_majority(task).name, baseline.name, *(arm.name for arm in _ceiling(task)))
        for difference in task.differences
        if difference.arm == name
    ]
    if main.fold_accuracies:
        mean = sum(main.fold_accuracies) / len(main.fold_accuracies)
        sentences.append(
            f"Cross-validated on the training rows, *{main.name}* is right in {percent(mean)}, "
            f"{min(main.fold_accuracies):.1%} to {max(main.fold_accuracies):.1%} over the folds."
        )
    for arm in task.arms:
        if arm.leaks and arm.model == main.model:
            sentences.append(
                f"With the credit history, which counts the very verdicts that are asked for, the "
                f"accuracy is {arm.scores.accuracy}: a leak, not a skill."
            )
    return bullets(sentences)


def _difference(main: ClaimArm, difference: ClaimDifference) -> str:
    """Whether one classifier is more accurate than another beyond chance."""
    gap = difference.accuracy.difference
    text = f"{100 * abs(gap.estimate):.1f} points"
    limits = f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}, p = {difference.accuracy.p_value:.3f}"
    if gap.low <= 0 <= gap.high:
        return (
            f"*{main.name}* is not distinguishable from *{difference.arm}* "
            f"({100 * gap.estimate:+.1f} points; {limits})."
        )
    word = "more" if gap.estimate > 0 else "less"
    return f"*{main.name}* is {text} {word} accurate than *{difference.arm}* ({limits})."


def _majority(task: ClaimTask) -> ClaimArm:
    return next(arm for arm in task.arms if arm.model == MAJORITY)


def _ceiling(task: ClaimTask) -> list[ClaimArm]:
    return [arm for arm in task.arms if arm.model == BAYES]


def _range(interval: Interval) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}"


def _percents(interval: Interval) -> str:
    return f"{interval.low:.1%} to {interval.high:.1%}"


def findings(result: object) -> list[str]:
    """To be written."""
    return []
