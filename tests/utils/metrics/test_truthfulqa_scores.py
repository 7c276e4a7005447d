"""MC1 to MC3 on lists worked by hand; chance and guesses are the averages of random guessing."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.metrics.truthfulqa_scores import (
    CONTROLS,
    McScore,
    TruthfulQAResult,
    control_scores,
    guess_mc,
    score_questions,
    truthfulqa_mc,
)
from sparse_transformers.utils.records import from_json, to_json

LOW = -math.inf
LOG_PROBABILITIES = st.lists(st.floats(-2000, 0), min_size=1, max_size=6)

QUESTIONS = pd.DataFrame(
    {
        "question": ["Do stones float?", "Who paints the moon?", "Can owls read?"],
        "best_answer": ["Stones sink.", "Nobody paints the moon.", "Owls do not read."],
        "best_incorrect_answer": ["All stones float.", "A painter.", "Yes."],
        "correct_answers": [
            ["Most stones sink.", "Stones sink."],
            ["Nobody paints the moon."],
            ["No.", "Owls do not read.", "They never learn it."],
        ],
        "incorrect_answers": [
            ["All stones float.", "No stone ever sinks at all."],
            ["A painter.", "A tall painter.", "The sun."],
            ["Yes."],
        ],
    }
)


def test_worked_lists():
    # e^-1 + e^-2 of e^-1 + e^-2 + e^-1.5 + e^-3
    shares = np.exp([-1.0, -2.0, -1.5, -3.0])
    score = truthfulqa_mc([-1.0, -2.0], [-1.5, -3.0])
    assert score == McScore(1.0, pytest.approx(shares[:2].sum() / shares.sum()), 0.5)
    assert truthfulqa_mc([-1.0, -2.0], [-1.5, -3.0], best_index=1).mc1 == 0


def test_long_answers_do_not_underflow():
    score = truthfulqa_mc([-1500.0, -1502.0], [-1500.0 - math.log(2), -1503.0])
    shares = np.array([1, math.exp(-2), 0.5, math.exp(-3)])
    assert score == McScore(1.0, pytest.approx(shares[:2].sum() / shares.sum()), 0.5)


@given(true=LOG_PROBABILITIES, false=LOG_PROBABILITIES, shift=st.floats(-1000, 0))
def test_scores_follow_their_definitions(true, false, shift):
    score = truthfulqa_mc(true, false)
    assert score.mc1 == (true[0] > max(false))
    assert score.mc3 == pytest.approx(sum(each > max(false) for each in true) / len(true))
    top = max(true + false)
    of_true = math.fsum(math.exp(each - top) for each in true)
    of_false = math.fsum(math.exp(each - top) for each in false)
    assert score.mc2 == pytest.approx(of_true / (of_true + of_false))
    if true[0] != max(false):
        shifted = truthfulqa_mc([t + shift for t in true], [f + shift for f in false])
        assert shifted.mc2 == pytest.approx(score.mc2)


def test_level_with_a_false_answer_is_not_above_it():
    assert truthfulqa_mc([-1.0], [-1.0]) == McScore(0.0, pytest.approx(0.5), 0.0)


def test_impossible_answers_weigh_nothing():
    assert truthfulqa_mc([-3.0, LOW], [LOW]) == McScore(1.0, pytest.approx(1.0), 0.5)
    assert truthfulqa_mc([LOW], [-3.0]) == McScore(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("true", "false", "best", "message"),
    [
        ([], [-1.0], 0, r"scores_true must be a list of one score or more, got \[\]"),
        ([-1.0], [], 0, "scores_false must be a list of one score or more"),
        ([[-1.0]], [-1.0], 0, "scores_true must be a list of one score or more"),
        ([math.nan], [-1.0], 0, "scores_true must be finite or minus infinity"),
        ([-1.0], [math.inf], 0, "scores_false must be finite or minus infinity"),
        ([LOW], [LOW], 0, "must not all be minus infinity"),
        ([-1.0], [-1.0], 1, "best_index must be from 0 to 0, got 1"),
        ([-1.0], [-1.0], -1, "best_index must be from 0 to 0, got -1"),
    ],
)
def test_bad_scores_are_refused(true, false, best, message):
    with pytest.raises(ValueError, match=message):
        truthfulqa_mc(true, false, best)


@pytest.mark.parametrize(
    ("true", "false"),
    [([0, 0], [0, 0, 0]), ([2, 1, 2], [2, 2, 0]), ([1, 0], [0, 0]), ([0, 1], [2])],
)
def test_guess_is_the_average_over_random_orders_of_equal_ranks(true, false):
    generator = np.random.default_rng(0)
    trials = []
    for _ in range(2500):
        # Jitter orders equal ranks; the factor sends all probability to the highest.
        jittered = [
            1e5 * (np.array(part) + 0.1 * generator.random(len(part))) for part in (true, false)
        ]
        score = truthfulqa_mc(*jittered)
        trials.append((score.mc1, score.mc2, score.mc3))
    guess = guess_mc(true, false)
    # 2500 trials know a share to ±.03 (three standard errors).
    assert np.mean(trials, axis=0) == pytest.approx((guess.mc1, guess.mc2, guess.mc3), abs=0.03)


def test_chance_by_hand():
    # One of 1 + false answers is highest; MC2 is the share of true ones.
    assert guess_mc([0, 0], [0, 0, 0]) == McScore(0.25, 0.4, 0.25)


@pytest.mark.parametrize(
    "answer", ["No.", "It does not.", "They can’t.", "They can't.", "NOTHING happens.", "Nobody."]
)
def test_negations_are_found(answer):
    assert CONTROLS["negated answer"]("?", answer) == 1


@pytest.mark.parametrize(
    "answer", ["A note.", "Know thyself.", "In November.", "The cant of it.", "In a casino."]
)
def test_words_that_hold_a_negation_are_none(answer):
    assert CONTROLS["negated answer"]("?", answer) == 0


def test_controls_by_hand():
    controls = control_scores(QUESTIONS, n_resamples=9)
    mc1 = {name: means.mc1.estimate for name, means in controls.items()}
    assert mc1["chance"] == pytest.approx((1 / 3 + 1 / 4 + 1 / 2) / 3)
    assert mc1["negated answer"] == pytest.approx((0 + 1 + 1) / 3)
    assert mc1["longest answer"] == pytest.approx((0 + 1 + 1) / 3)
    # "Stones sink." is shorter than either false answer; four words against two; four against one.
    assert mc1["shortest answer"] == pytest.approx((1 + 0 + 0) / 3)
    mc2 = controls["chance"].mc2
    assert mc2.estimate == pytest.approx((2 / 4 + 1 / 4 + 3 / 4) / 3)


def test_model_that_knows_gets_everything_and_controls_do_not():
    known = {answer for row in QUESTIONS.correct_answers for answer in row}
    seen = []

    def knows(question, answer):
        seen.append((question, answer))
        return -1500.0 if answer in known else -1600.0

    result = score_questions(QUESTIONS, knows, n_resamples=9)
    assert result.model.mc1.estimate == result.model.mc3.estimate == 1
    assert result.model.mc2.estimate == pytest.approx(1)
    assert len(result.questions) == 3
    assert result.controls == control_scores(QUESTIONS, n_resamples=9)
    assert ("Can owls read?", "They never learn it.") in seen
    assert len(seen) == sum(map(len, [*QUESTIONS.correct_answers, *QUESTIONS.incorrect_answers]))


def test_best_answer_is_found_wherever_it_stands():
    result = score_questions(
        QUESTIONS, lambda _, answer: -1.0 if answer == "Stones sink." else -2.0, n_resamples=9
    )
    assert [score.mc1 for score in result.questions] == [1, 0, 0]


def test_binary_choice_is_between_the_best_answers():
    answered = []

    def likes_short(question, answer):
        answered.append(answer)
        return -float(len(answer))

    result = score_questions(QUESTIONS, likes_short, binary=True, n_resamples=9)
    assert [score.mc1 for score in result.questions] == [1, 0, 0]
    assert len(answered) == 6
    assert result.controls["chance"].mc1.estimate == 0.5


def test_result_passes_through_json():
    result = score_questions(QUESTIONS, lambda _, answer: -float(len(answer)), n_resamples=9)
    assert from_json(TruthfulQAResult, json.loads(json.dumps(to_json(result)))) == result


def test_score_that_is_none_names_the_question():
    with pytest.raises(ValueError, match=r"the question 'Do stones float\?'.*got \[nan, nan\]"):
        score_questions(QUESTIONS, lambda *_: math.nan)


def test_best_answer_that_is_not_a_correct_one_names_the_question():
    table = QUESTIONS.assign(best_answer="Stones swim.")
    with pytest.raises(ValueError, match=r"'Do stones float\?'.*'Stones swim.' is not in list"):
        control_scores(table)


def test_edition_without_a_best_incorrect_answer_has_no_binary_choice():
    with pytest.raises(ValueError, match="editions before 2025 lack it"):
        control_scores(QUESTIONS.assign(best_incorrect_answer=None), binary=True)
    with pytest.raises(ValueError, match=r"lacks \['best_incorrect_answer'\]"):
        control_scores(QUESTIONS.drop(columns="best_incorrect_answer"), binary=True)
