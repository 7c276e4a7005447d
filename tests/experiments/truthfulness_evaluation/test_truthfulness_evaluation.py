"""The evaluation on tiny tables: what is trained, what is compared, and what must not leak."""

import json
from dataclasses import replace

import numpy as np
import pytest
from claim_examples import QUICK, answers_table, liar_table

from sparse_transformers.experiments.truthfulness_evaluation.judgements import Judgement
from sparse_transformers.experiments.truthfulness_evaluation.measure import (
    evaluate_claims,
    teaching_claims,
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
    tables, posteriors = teaching_claims(SETTINGS)
    tables["answers"] = answers_table()
    return evaluate_claims(SETTINGS, tables, posteriors=posteriors, say=told.append)


def task_of(evaluation, corpus, task):
    return next(each for each in evaluation.tasks if (each.corpus, each.task) == (corpus, task))


def test_every_question_is_asked(evaluation, told):
    assert [(each.corpus, each.task) for each in evaluation.tasks] == [
        ("synthetic LIAR", "verdicts"),
        ("synthetic LIAR", "truthful or not"),
        ("answers", "truthful or not"),
    ]
    assert any("training transformer member 2 of 2" in step for step in told)


def test_every_arm_judges(evaluation):
    task = task_of(evaluation, "synthetic LIAR", "verdicts")
    assert [arm.name for arm in task.arms] == [
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
    assert len(task.differences) == len(task.arms) - 1
    assert [len(arm.fold_accuracies) for arm in task.arms] == [0] * 4 + [2] * 6 + [0]


def test_main_arm_is_the_best_by_cross_validation(evaluation):
    for task in evaluation.tasks:
        validated = {arm.name: np.mean(arm.fold_accuracies or [0]) for arm in task.arms}
        assert validated[task.main_arm] == max(validated.values()) > 0
        assert task.main_arm not in {each.arm for each in task.differences}


def test_scores_are_of_the_held_out_rows(evaluation):
    for task in evaluation.tasks:
        assert task.n_valid == (60 if task.corpus == "answers" else 40)
        for arm in task.arms:
            assert np.sum(arm.scores.confusion) == task.n_valid
    majority = task_of(evaluation, "answers", "truthful or not").arm("majority, nothing")
    assert majority.scores.binary.roc.auc.estimate == 0.5


def test_binary_probabilities_are_sums(evaluation):
    """So the most probable half of the labels has the same reliability as their sum."""
    judgement = Judgement("model", "text", np.array([[0.1, 0.2, 0.3, 0.4]]))
    merged = judgement.merged(np.array([0, 1, 0, 1])).probabilities
    np.testing.assert_allclose(merged, [[0.4, 0.6]])


def test_the_best_possible_arm_is_the_posterior(evaluation):
    tables, posteriors = teaching_claims(SETTINGS)
    table = tables["synthetic LIAR"]
    valid = (table["split"] == "valid").to_numpy()
    right = posteriors["synthetic LIAR"].argmax(1) == table["truth_level"]
    task = task_of(evaluation, "synthetic LIAR", "verdicts")
    ceiling = task.arm("Bayes classifier, text").scores.accuracy.estimate
    assert ceiling == pytest.approx(right[valid].mean())


def test_threshold_is_chosen_on_training_rows(evaluation):
    for task in evaluation.tasks:
        for arm in task.arms:
            chosen = task.task == "truthful or not" and bool(arm.fold_accuracies)
            assert (arm.threshold is not None) is chosen
            assert (arm.f1_at_threshold is not None) is chosen
    answers = task_of(evaluation, "answers", "truthful or not")
    assert answers.arm(answers.main_arm).f1_at_threshold > 0.6


def test_planted_word_is_found_in_answers(evaluation):
    task = task_of(evaluation, "answers", "truthful or not")
    assert task.arm(task.main_arm).scores.accuracy.estimate > 0.6
    difference = next(each for each in task.differences if each.arm == "majority, nothing")
    assert difference.accuracy.difference.low > 0


def test_history_is_read_only_when_asked_and_called_leaking():
    quick = replace(QUICK, transformer=None)
    settings = replace(SETTINGS, claims=quick, history=True, n_resamples=9)
    tables = {"claims": liar_table(120, leaky_history=True)}
    with_history = evaluate_claims(settings, tables).tasks[0]
    leaking = [arm.name for arm in with_history.arms if arm.leaks]
    assert leaking == ["n-grams, text + metadata + history"]
    assert with_history.main_arm not in leaking
    assert not {each.arm for each in with_history.differences} & set(leaking)
    without = evaluate_claims(replace(settings, history=False), tables).tasks[0]
    assert not any("history" in arm.name for arm in without.arms)


def test_evaluation_survives_json_and_holds_no_text(evaluation):
    text = json.dumps(to_json(evaluation), allow_nan=False)
    assert from_json(ClaimEvaluation, json.loads(text)) == evaluation
    assert "surely" not in text
    assert "made of" not in text


def test_evaluation_can_be_repeated():
    settings = replace(SETTINGS, answers=replace(QUICK, transformer=None), n_resamples=9)
    first, second, other = (
        evaluate_claims(settings, {"answers": answers_table()}, seed=seed) for seed in (0, 0, 1)
    )
    assert first == second
    assert first != other


def test_no_table_is_refused():
    with pytest.raises(ValueError, match="at least one table"):
        evaluate_claims(SETTINGS, {})
