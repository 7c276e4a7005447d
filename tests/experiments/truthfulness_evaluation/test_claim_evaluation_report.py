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
    usual_models,
)

from sparse_transformers.experiments.truthfulness_evaluation.records import (
    TRUTHFUL,
    VERDICTS,
    ClaimEvaluation,
)
from sparse_transformers.experiments.truthfulness_evaluation.report import (
    describe_accuracies,
    describe_confusion,
    describe_roc,
    describe_thresholds,
    findings,
    highlight,
    summarise,
)
from sparse_transformers.utils.metrics.claim_scores import OrdinalScores
from sparse_transformers.utils.records import from_json, to_json

MAJORITY_MODEL, CEILING = "majority, nothing", "Bayes classifier, text"
BASELINE, WEAKER_BASELINE = (
    "TF-IDF + logistic regression, text",
    "TF-IDF + logistic regression, metadata",
)


def with_main_scores(task, **changes):
    """The task with other scores of its main model."""
    models = tuple(
        replace(each, scores=replace(each.scores, **changes)) if each is task.main else each
        for each in task.models
    )
    return replace(task, models=models)


def rows_of(text):
    """The rows of Markdown tables, as lists of cells."""
    lines = (line for line in text.splitlines() if line.startswith("| "))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def bullets_of(text):
    return [line for line in text.splitlines() if line.startswith("- ")]


@pytest.mark.parametrize("ceiling", [False, True])
@pytest.mark.parametrize("task", [VERDICTS, TRUTHFUL])
def test_results_survive_json(task, ceiling):
    models = usual_models(task, ceiling=ceiling, leaking=True)
    evaluation = made_up_evaluation(made_up_task(task, models))
    text = json.dumps(to_json(evaluation), allow_nan=False)
    assert from_json(ClaimEvaluation, json.loads(text)) == evaluation


def table_of(*tasks):
    """The rows of the first data set by name, and the headers."""
    headers, _, *rows = rows_of(summarise(made_up_evaluation(*tasks)))
    return headers, {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("task", [VERDICTS, TRUTHFUL])
@pytest.mark.parametrize(
    ("lead", "verdict", "numbers"),
    [
        (MORE, "Above the best baseline", "+12.0 [+5.0, +20.0]"),
        (LESS, "Below the best baseline", "-8.0 [-15.0, -1.0]"),
        (ALIKE, "Not shown to differ from the best baseline", "+3.0 [-2.0, +8.0]"),
        (
            (0.03, 0.0, 0.06, 0.06),
            "Not shown to differ from the best baseline",
            "+3.0 [+0.0, +6.0]",
        ),
        (
            (-0.03, -0.06, 0.0, 0.06),
            "Not shown to differ from the best baseline",
            "-3.0 [-6.0, +0.0]",
        ),
    ],
)
def test_a_difference_is_one_only_beyond_its_interval(task, lead, verdict, numbers):
    difference, shares = findings(made_up_evaluation(made_up_task(task, leads={BASELINE: lead})))
    assert difference.endswith(f": {verdict}: claims, {task} ({numbers}).")
    assert shares == ("It is right in 60.0% of the held-out rows, the most common class in 50.0%.")


def test_findings_are_about_every_task():
    tasks = [
        made_up_task(VERDICTS, leads={BASELINE: MORE}),
        made_up_task(TRUTHFUL, leads={BASELINE: LESS}, corpus="answers"),
    ]
    difference, shares = findings(made_up_evaluation(*tasks))
    assert "Above the best baseline: claims, verdicts (+12.0" in difference
    assert "Below the best baseline: answers, truthful or not (-8.0" in difference
    assert "60.0% and 60.0% of the held-out rows, the most common class in 50.0% and 50" in shares


@pytest.mark.parametrize(
    ("lead", "cell"),
    [
        (MORE, "+12.0 [+5.0, +20.0], 0.004"),
        (LESS, "-8.0 [-15.0, -1.0], 0.020"),
        (ALIKE, "+3.0 [-2.0, +8.0], 0.300"),
    ],
)
@pytest.mark.parametrize(
    ("other", "row"),
    [
        (MAJORITY_MODEL, "most common class"),
        (BASELINE, "best baseline"),
        (CEILING, "Bayes classifier"),
    ],
)
def test_table_holds_the_differences(lead, cell, other, row):
    models = usual_models(VERDICTS, ceiling=True)
    _, rows = table_of(made_up_task(VERDICTS, models, {other: lead}))
    assert rows[row][1] == cell
    assert rows["chosen classifier"][1] == "–"


@pytest.mark.parametrize("ceiling", [False, True])
def test_compared_are_the_majority_the_best_baseline_and_the_ceiling(ceiling):
    _, rows = table_of(made_up_task(VERDICTS, usual_models(VERDICTS, ceiling=ceiling)))
    shares = {name: row[0].split()[0] for name, row in rows.items()}
    assert shares == {
        "chosen classifier": "60.0%",
        "best baseline": "55.0%",
        "most common class": "50.0%",
        **({"Bayes classifier": "80.0%"} if ceiling else {}),
        "chosen, cross-validated": "60%",
    }


def test_the_best_baseline_is_the_one_with_the_highest_accuracy():
    models = usual_models(TRUTHFUL)
    models[1] = replace(models[1], scores=scores_of(TRUTHFUL, 35))
    _, rows = table_of(made_up_task(TRUTHFUL, models))
    assert rows["best baseline"][0].endswith(f"*{WEAKER_BASELINE}*")
    assert rows["chosen classifier"][0].endswith(f"*{MAIN}*")


def test_words_tell_what_was_asked_of_how_many():
    text = describe_accuracies(made_up_evaluation(made_up_task(VERDICTS, corpus="fables")))
    assert "**fables:** 1,234 rows to learn from, 60 held out, resampled by speaker (60 of" in text
    assert "from 321 bootstrap resamples" in text


def test_table_tells_of_cross_validation_where_there_was_some():
    models = usual_models(VERDICTS)
    _, rows = table_of(made_up_task(VERDICTS, models))
    assert rows["chosen, cross-validated"][0] == "60% (50.0% to 70.0%)"
    models[-1] = replace(models[-1], fold_accuracies=())
    assert "chosen, cross-validated" not in table_of(made_up_task(VERDICTS, models))[1]


@pytest.mark.parametrize("describe", [describe_accuracies, summarise])
def test_words_denounce_a_leak(describe):
    leaking = made_up_task(TRUTHFUL, usual_models(TRUTHFUL, leaking=True))
    text = describe(made_up_evaluation(leaking))
    row = "| with the credit history, which counts these verdicts **(leaks)** | "
    assert f"{row}90.0% [80.0%, 100.0%] | – |" in text
    assert "leak" not in describe(made_up_evaluation(made_up_task(TRUTHFUL)))


def test_tasks_of_a_data_set_share_a_table():
    headers, rows = table_of(made_up_task(VERDICTS), made_up_task(TRUTHFUL))
    assert headers[1::2] == ["verdicts", "truthful or not"]
    assert all(len(row) == 4 for row in rows.values())


def test_every_data_set_has_a_table():
    tasks = [made_up_task(VERDICTS), made_up_task(TRUTHFUL, corpus="answers")]
    text = summarise(made_up_evaluation(*tasks))
    assert text.index("**claims:**") < text.index("**answers:**")
    assert text.count("| chosen classifier |") == 2
    assert text in describe_accuracies(made_up_evaluation(*tasks))


def test_words_about_roc_tell_what_the_auc_is():
    assert "AUC is the probability" in describe_roc(made_up_evaluation(made_up_task(TRUTHFUL)))


def test_highlight_is_the_first_question():
    tasks = [
        made_up_task(TRUTHFUL, leads={BASELINE: MORE}, corpus="LIAR"),
        made_up_task(TRUTHFUL, corpus="answers"),
    ]
    row = highlight(made_up_evaluation(*tasks))
    assert row.question == "LIAR, 2 classes: claims judged right"
    assert row.found == f"{MAIN}: 60.0% [50.0%, 70.0%]; difference +12.0 points [+5.0, +20.0]"
    assert row.beside == f"{BASELINE}: 55.0% [45.0%, 65.0%]"


def test_words_about_steps_are_of_verdicts():
    steps = OrdinalScores(
        mean_absolute_error=around(1.25), quadratic_kappa=around(0.4), within_one=around(0.65)
    )
    task = with_main_scores(made_up_task(VERDICTS, corpus="fables"), ordinal=steps)
    assert bullets_of(describe_confusion(made_up_evaluation(made_up_task(TRUTHFUL), task))) == [
        "- fables: 1.25 [1.15, 1.35] steps off on average, within one step for "
        "65.0% [55.0%, 75.0%] of the claims, quadratic kappa 0.400 [0.300, 0.500]."
    ]
    assert not bullets_of(describe_confusion(made_up_evaluation(made_up_task(TRUTHFUL))))


def test_words_about_thresholds_are_of_those_that_were_chosen():
    chosen = made_up_task(TRUTHFUL, corpus="fables")
    models = usual_models(TRUTHFUL)
    models[-1] = replace(models[-1], threshold=None, f1_at_threshold=None)
    without = made_up_task(TRUTHFUL, models, corpus="riddles")
    text = describe_thresholds(made_up_evaluation(made_up_task(VERDICTS), chosen, without))
    assert bullets_of(text) == [
        "- fables: the highest F1 on training rows, 0.646, is at 0.44; on held-out rows this "
        "gives 0.591."
    ]


@pytest.mark.parametrize(
    ("best", "low", "said"),
    [
        (48, 0.5, None),
        (35, 0.5, "transformer, text above the Bayes classifier, within noise."),
        (35, 0.59, "Bayes classifier, beyond noise: transformer, text."),
    ],
)
def test_a_model_above_the_bayes_classifier_is_told_from_noise(best, low, said):
    models = usual_models(TRUTHFUL, ceiling=True)
    models[-1] = replace(models[-1], scores=scores_of(TRUTHFUL, best))
    accuracy = replace(around(0.6), low=low)
    names = [model.name for model in models]
    place = names.index(MAIN)
    models[place] = replace(models[place], scores=replace(models[place].scores, accuracy=accuracy))
    text = describe_accuracies(made_up_evaluation(made_up_task(TRUTHFUL, models)))
    assert "The *Bayes classifier* knows the rules" in text
    assert (said is not None) == ("noise" in text)
    assert said is None or said in text


def test_the_bayes_classifier_is_not_explained_where_it_is_not_known():
    assert "Bayes" not in describe_accuracies(made_up_evaluation(made_up_task(TRUTHFUL)))
