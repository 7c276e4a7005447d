"""The evaluation on tiny tables: what is trained, what is compared, and what must not leak."""

import json
from dataclasses import replace

import numpy as np
import pytest
from claim_examples import QUICK, answers_table, liar_table
from visits import visit

from sparse_transformers.claims.tables import JUDGED, LIAR
from sparse_transformers.experiments.truthfulness_evaluation.judgements import Judgement
from sparse_transformers.experiments.truthfulness_evaluation.measure import (
    claim_data,
    evaluate_claims,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import (
    ClaimEvaluation,
    ClaimEvaluationSettings,
)
from sparse_transformers.utils.records import from_json, to_json

SETTINGS = ClaimEvaluationSettings(
    claims=QUICK,
    answers=replace(QUICK, transformer=None),
    invented=QUICK,
    synthetic_rows=200,
    n_resamples=49,
)


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def evaluation(told):
    """Of invented claims, and of answers."""
    tables = ({}, {JUDGED: answers_table()})
    tasks = [
        evaluate_claims(visit(SETTINGS, tables=each, say=told.append)).tasks for each in tables
    ]
    return ClaimEvaluation(SETTINGS, sum(tasks, ()))


def task_of(evaluation, corpus, task):
    return next(each for each in evaluation.tasks if (each.corpus, each.task) == (corpus, task))


def by_name(task):
    return {model.name: model for model in task.models}


def test_every_question_is_asked(evaluation, told):
    assert [(each.corpus, each.task) for each in evaluation.tasks] == [
        ("synthetic LIAR", "verdicts"),
        ("synthetic LIAR", "truthful or not"),
        (JUDGED, "truthful or not"),
    ]
    assert any("training transformer member 2 of 2" in step for step in told)


def test_every_model_judges(evaluation):
    task = task_of(evaluation, "synthetic LIAR", "verdicts")
    assert [model.name for model in task.models] == [
        "majority, nothing",
        "TF-IDF + logistic regression, metadata",
        "TF-IDF + logistic regression, text",
        "TF-IDF + logistic regression, text + metadata + characters",
        "transformer, text",
        "n-grams, text",
        "transformer + n-grams, text",
        "transformer, text + metadata",
        "n-grams, text + metadata",
        "transformer + n-grams, text + metadata",
        "Bayes classifier, text",
    ]
    assert [model.name for model in task.models if not model.lead] == [task.main_model]
    assert [len(model.fold_accuracies) for model in task.models] == [0] * 4 + [2] * 6 + [0]


def test_main_model_is_the_best_by_cross_validation(evaluation):
    for task in evaluation.tasks:
        validated = {each.name: np.mean(each.fold_accuracies or [0]) for each in task.models}
        assert validated[task.main_model] == max(validated.values()) > 0
        assert task.main.lead is None


def test_scores_are_of_the_held_out_rows(evaluation):
    for task in evaluation.tasks:
        assert task.n_valid == (60 if task.corpus == JUDGED else 40)
        for model in task.models:
            assert np.sum(model.scores.confusion) == task.n_valid
    majority = task_of(evaluation, JUDGED, "truthful or not").of("majority")[0]
    assert majority.scores.binary.roc.auc.estimate == 0.5


def test_binary_probabilities_are_sums(evaluation):
    """So the most probable half of the labels has the same reliability as their sum."""
    judgement = Judgement("model", "text", np.array([[0.1, 0.2, 0.3, 0.4]]))
    merged = judgement.merged(np.array([0, 1, 0, 1])).probabilities
    np.testing.assert_allclose(merged, [[0.4, 0.6]])


def test_the_best_possible_judge_is_the_posterior(evaluation):
    [data] = claim_data(SETTINGS, {}, seed=0)
    truth = [data.corpus.classes.index(label) for label in data.corpus.valid_labels]
    right = data.posteriors.argmax(1) == truth
    task = task_of(evaluation, "synthetic LIAR", "verdicts")
    ceiling = by_name(task)["Bayes classifier, text"].scores.accuracy.estimate
    assert ceiling == pytest.approx(right.mean())


def test_threshold_is_chosen_on_training_rows(evaluation):
    for task in evaluation.tasks:
        for model in task.models:
            chosen = task.task == "truthful or not" and bool(model.fold_accuracies)
            assert (model.threshold is not None) is chosen
            assert (model.f1_at_threshold is not None) is chosen
    answers = task_of(evaluation, JUDGED, "truthful or not")
    assert answers.main.f1_at_threshold > 0.6


def test_planted_word_is_found_in_answers(evaluation):
    task = task_of(evaluation, JUDGED, "truthful or not")
    assert task.main.scores.accuracy.estimate > 0.6
    assert by_name(task)["majority, nothing"].lead.difference.low > 0


def test_history_is_read_only_when_asked_and_called_leaking():
    quick = replace(QUICK, transformer=None)
    settings = replace(SETTINGS, claims=quick, history=True, n_resamples=9)
    tables = {LIAR: liar_table(120, leaky_history=True)}
    with_history = evaluate_claims(visit(settings, tables=tables)).tasks[0]
    leaking = [each for each in with_history.models if each.leaks]
    assert [each.name for each in leaking] == ["n-grams, text + metadata + history"]
    assert with_history.main_model != leaking[0].name
    assert leaking[0].lead is None
    without = evaluate_claims(visit(replace(settings, history=False), tables=tables)).tasks[0]
    assert not any("history" in each.name for each in without.models)


def test_evaluation_survives_json_and_holds_no_text(evaluation):
    text = json.dumps(to_json(evaluation), allow_nan=False)
    assert from_json(ClaimEvaluation, json.loads(text)) == evaluation
    assert "surely" not in text
    assert "made of" not in text


def test_evaluation_can_be_repeated():
    settings = replace(SETTINGS, answers=replace(QUICK, transformer=None), n_resamples=9)
    first, second, other = (
        evaluate_claims(visit(settings, tables={JUDGED: answers_table()}, seed=seed))
        for seed in (0, 0, 1)
    )
    assert first == second
    assert first != other


def test_claims_are_invented_only_where_the_user_has_none():
    tables = {JUDGED: answers_table(), "TruthfulQA": answers_table(), LIAR: liar_table()}
    data = claim_data(SETTINGS, tables, seed=0)
    assert [each.corpus.name for each in data] == [LIAR, JUDGED]
    assert [each.config for each in data] == [SETTINGS.claims, SETTINGS.answers]
    assert [each.posteriors for each in data] == [None, None]
    [invented] = claim_data(SETTINGS, {"TruthfulQA": answers_table()}, seed=0)
    assert invented.corpus.name == "synthetic LIAR"
    assert invented.config is SETTINGS.invented
    assert invented.posteriors.shape == (len(invented.corpus.valid), 6)


def test_leads_are_paired_differences_of_accuracies(evaluation):
    for task in evaluation.tasks:
        for model in task.models:
            if model.lead is not None:
                expected = task.main.scores.accuracy.estimate - model.scores.accuracy.estimate
                assert model.lead.difference.estimate == pytest.approx(expected)


def test_a_table_that_nothing_can_be_learned_from_is_refused():
    with pytest.raises(ValueError, match="LIAR must have a split column"):
        evaluate_claims(visit(SETTINGS, tables={LIAR: liar_table().drop(columns="split")}))
