"""The words about claims say what the numbers say."""

import json
from dataclasses import replace

import pytest
from claim_results import (
    ALIKE,
    LESS,
    MAIN,
    MORE,
    around,
    made_up_evaluation,
    made_up_task,
    scores_of,
    usual_arms,
)

from sparse_transformers.experiments.truthfulness_evaluation.records import (
    TRUTHFUL,
    VERDICTS,
    ClaimEvaluation,
)
from sparse_transformers.experiments.truthfulness_evaluation.report import (
    describe_accuracies,
    describe_confusion,
    describe_reliability,
    describe_roc,
    describe_thresholds,
    summarise,
)
from sparse_transformers.experiments.truthfulness_evaluation.scores import OrdinalScores
from sparse_transformers.utils.metrics.calibration import CalibrationNull
from sparse_transformers.utils.records import from_json, to_json

MAJORITY_ARM, CEILING = "majority, nothing", "Bayes classifier, text"
BASELINE, WEAKER_BASELINE = (
    "TF-IDF + logistic regression, text",
    "TF-IDF + logistic regression, metadata",
)


def with_main_scores(task, **changes):
    """The task with other scores of its main arm."""
    arms = tuple(
        replace(arm, scores=replace(arm.scores, **changes)) if arm.name == task.main_arm else arm
        for arm in task.arms
    )
    return replace(task, arms=arms)


def rows_of(text):
    """The rows of Markdown tables, as lists of cells."""
    lines = (line for line in text.splitlines() if line.startswith("| "))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def bullets_of(text):
    return [line for line in text.splitlines() if line.startswith("- ")]


@pytest.mark.parametrize("ceiling", [False, True])
@pytest.mark.parametrize("task", [VERDICTS, TRUTHFUL])
def test_results_survive_json(task, ceiling):
    arms = usual_arms(task, ceiling=ceiling, leaking=True)
    evaluation = made_up_evaluation(made_up_task(task, arms))
    text = json.dumps(to_json(evaluation), allow_nan=False)
    assert from_json(ClaimEvaluation, json.loads(text)) == evaluation


@pytest.mark.parametrize("describe", [describe_accuracies, summarise])
@pytest.mark.parametrize("task", [VERDICTS, TRUTHFUL])
@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (MORE, "is 12.0 points more accurate than *{}* (+5.0 to +20.0, p = 0.004)."),
        (LESS, "is 8.0 points less accurate than *{}* (-15.0 to -1.0, p = 0.020)."),
        (
            ALIKE,
            "is not distinguishable from *{}* (+3.0 points; -2.0 to +8.0, p = 0.300).",
        ),
        (
            (0.03, 0.0, 0.06, 0.06),
            "is not distinguishable from *{}* (+3.0 points; +0.0 to +6.0, p = 0.060).",
        ),
        (
            (-0.03, -0.06, 0.0, 0.06),
            "is not distinguishable from *{}* (-3.0 points; -6.0 to +0.0, p = 0.060).",
        ),
    ],
)
def test_a_difference_is_one_only_beyond_its_interval(describe, task, difference, verdict):
    for arm in (MAJORITY_ARM, BASELINE):
        text = describe(made_up_evaluation(made_up_task(task, differences={arm: difference})))
        (said,) = [line for line in bullets_of(text) if f"*{arm}*" in line]
        assert said == f"- *{MAIN}* {verdict.format(arm)}"


@pytest.mark.parametrize("describe", [describe_accuracies, summarise])
def test_compared_are_the_majority_the_best_baseline_and_the_ceiling(describe):
    def compared(ceiling):
        arms = usual_arms(VERDICTS, ceiling=ceiling)
        lines = bullets_of(describe(made_up_evaluation(made_up_task(VERDICTS, arms))))
        return [line.split("*")[3] for line in lines if "points" in line]

    assert compared(ceiling=False) == [MAJORITY_ARM, BASELINE]
    assert compared(ceiling=True) == [MAJORITY_ARM, BASELINE, CEILING]


def test_the_best_baseline_is_the_one_with_the_highest_accuracy():
    arms = usual_arms(TRUTHFUL)
    metadata = replace(arms[1], scores=scores_of(TRUTHFUL, 35))
    text = summarise(made_up_evaluation(made_up_task(TRUTHFUL, [arms[0], metadata, *arms[2:]])))
    assert f"from *{WEAKER_BASELINE}*" in text
    assert f"*{BASELINE}*" not in text


def test_words_tell_what_was_asked_of_how_many():
    text = describe_accuracies(made_up_evaluation(made_up_task(VERDICTS, corpus="fables")))
    assert "**fables: verdicts**" in text
    assert "1,234 rows to learn from, 60 held out; resampled by speaker (60 of them)." in text
    assert "from 321 bootstrap resamples" in text


def test_words_tell_of_cross_validation_where_there_was_some():
    arms = usual_arms(VERDICTS)
    said = "Cross-validated on the training rows, *transformer, text* is right in 60%, 50.0% to 70"
    assert said in summarise(made_up_evaluation(made_up_task(VERDICTS, arms)))
    arms[-1] = replace(arms[-1], fold_accuracies=())
    assert "Cross-validated" not in summarise(made_up_evaluation(made_up_task(VERDICTS, arms)))


@pytest.mark.parametrize("describe", [describe_accuracies, summarise])
def test_words_denounce_a_leak(describe):
    leak = "the accuracy is 0.900 [0.800, 1.000]: a leak, not a skill."
    leaking = made_up_task(TRUTHFUL, usual_arms(TRUTHFUL, leaking=True))
    text = describe(made_up_evaluation(leaking))
    assert leak in text
    assert "| transformer | text + history **(leaks)** | 0.900 [0.800, 1.000] |" in text
    assert "leak" not in describe(made_up_evaluation(made_up_task(TRUTHFUL)))


def test_table_of_two_classes_has_an_auc_and_no_steps():
    task = made_up_task(TRUTHFUL, usual_arms(TRUTHFUL, ceiling=True))
    headers, _, *rows = rows_of(summarise(made_up_evaluation(task)))
    assert headers == [
        "model",
        "reads",
        "accuracy",
        "macro F1",
        "AUC",
        "nats",
        "calibration error",
    ]
    assert [row[:2] for row in rows] == [[arm.model, arm.inputs] for arm in task.arms]
    # 36 of 60 rows are right with 0.7, 24 are wrong with 0.3; so are the classes, half each.
    main = rows[4]
    assert main[2] == "0.600 [0.500, 0.700]"
    assert float(main[3]) == pytest.approx(0.6, abs=5e-4)
    assert main[4] == "0.500 [0.400, 0.600]"
    assert main[5] == "0.696"  # -(0.6 ln 0.7 + 0.4 ln 0.3)
    assert rows[-1][2] == "0.800 [0.700, 0.900]"


def test_table_of_verdicts_has_steps_and_no_auc():
    headers, _, *rows = rows_of(summarise(made_up_evaluation(made_up_task(VERDICTS))))
    assert headers[4:] == ["mean steps off", "nats", "calibration error"]
    # 24 rows are a class too far, of each class four; the last class is taken for the first.
    assert rows[4][4] == f"{(20 * 1 + 4 * 5) / 60:.2f}"
    assert rows[4][5] == f"{-(0.6 * -0.3567 + 0.4 * -2.8134):.2f}"


def test_a_true_class_held_impossible_costs_infinitely():
    task = with_main_scores(made_up_task(VERDICTS), loss_nats=None)
    rows = rows_of(describe_accuracies(made_up_evaluation(task)))[2:]
    assert [row[5] == "infinite" for row in rows] == [False, False, False, False, True]


@pytest.mark.parametrize("ceiling", [False, True])
def test_words_about_roc_are_of_two_classes(ceiling):
    arms = usual_arms(TRUTHFUL, ceiling=ceiling)
    binary = replace(arms[4].scores.binary, roc=replace(arms[4].scores.binary.roc, auc=around(0.7)))
    task = with_main_scores(made_up_task(TRUTHFUL, arms, corpus="fables"), binary=binary)
    text = describe_roc(made_up_evaluation(made_up_task(VERDICTS), task))
    rows = [
        ["fables, transformer, text", "0.700 [0.600, 0.800]"],
        [f"fables, {BASELINE}", "0.500 [0.400, 0.600]"],
        [f"fables, {CEILING}", "0.500 [0.400, 0.600]"],
    ]
    assert rows_of(text)[2:] == (rows if ceiling else rows[:2])


def test_words_about_steps_are_of_verdicts():
    steps = OrdinalScores(
        mean_absolute_error=around(1.25), quadratic_kappa=around(0.4), within_one=around(0.65)
    )
    task = with_main_scores(made_up_task(VERDICTS, corpus="fables"), ordinal=steps)
    assert bullets_of(describe_confusion(made_up_evaluation(made_up_task(TRUTHFUL), task))) == [
        "- fables: the verdict is 1.25 steps off on average (1.15 to 1.35), within one step for "
        "65.0% of the claims (55.0% to 75.0%), and its quadratic kappa is 0.400 [0.300, 0.500]."
    ]
    assert not bullets_of(describe_confusion(made_up_evaluation(made_up_task(TRUTHFUL))))


@pytest.mark.parametrize(
    ("error", "said"),
    [(0.09, "more than the 0.080"), (0.08, "no more than the 0.080"), (0.01, "no more than")],
)
@pytest.mark.parametrize("task", [VERDICTS, TRUTHFUL])
def test_calibration_is_held_against_that_of_a_calibrated_model(task, error, said):
    calibration = CalibrationNull(
        error=error, null_mean=0.05, null_high=0.08, confidence=0.95, p_value=0.5
    )
    evaluation = made_up_evaluation(with_main_scores(made_up_task(task), calibration=calibration))
    (line,) = bullets_of(describe_reliability(evaluation))
    assert f"claims, {task}: the calibration error is {error:.3f}, {said}" in line
    assert "that 95% of perfectly calibrated models" in line
    assert line.endswith("(their mean is 0.050).")


def test_words_about_thresholds_are_of_those_that_were_chosen():
    chosen = made_up_task(TRUTHFUL, corpus="fables")
    arms = usual_arms(TRUTHFUL)
    arms[-1] = replace(arms[-1], threshold=None, f1_at_threshold=None)
    without = made_up_task(TRUTHFUL, arms, corpus="riddles")
    text = describe_thresholds(made_up_evaluation(made_up_task(VERDICTS), chosen, without))
    assert bullets_of(text) == [
        "- fables: the highest F1 on training rows, 0.646, is at 0.44; on held-out rows the same "
        "threshold gives 0.591."
    ]


def test_summary_holds_the_tables_and_verdicts_of_the_report():
    evaluation = made_up_evaluation(
        made_up_task(VERDICTS, usual_arms(VERDICTS, ceiling=True)),
        made_up_task(TRUTHFUL, differences={BASELINE: MORE}, corpus="answers"),
    )
    summary, report = summarise(evaluation), describe_accuracies(evaluation)
    assert "**claims: verdicts.** 1,234 rows to learn from" in summary
    assert "**answers: truthful or not.** 1,234 rows to learn from" in summary
    assert rows_of(summary) == rows_of(report)
    assert bullets_of(summary) == bullets_of(report)
    assert len(bullets_of(summary)) == 4 + 3
