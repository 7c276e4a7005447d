"""A language model chooses between answers; figures and words follow from what it chose."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sparse_transformers.claims.answer_scores import answer_log_probabilities
from sparse_transformers.experiments.truthfulqa_choices.figures import draw_choices
from sparse_transformers.experiments.truthfulqa_choices.measure import (
    TruthfulQAChoices,
    TruthfulQAChoicesSettings,
    measure_choices,
)
from sparse_transformers.experiments.truthfulqa_choices.report import describe_choices, summarise
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.training.data import ByteCorpus
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.metrics.truthfulqa_scores import McMeans, truthfulqa_mc
from sparse_transformers.utils.records import from_json, to_json

TINY = TruthfulQAChoicesSettings(
    seconds=0.1,
    seq_len=32,
    d_model=16,
    n_layers=1,
    window_size=8,
    n_resamples=19,
)
# Of one length to a question: a model that knows nothing would always choose the shortest.
ANSWERS = {
    "What do owls read?": (["They cannot.", "They do not."], ["Maps of sea.", "All letters."]),
    "Who painted the sea?": (["Nobody did."], ["The sailor.", "A mermaid!?", "Ada Lotze. "]),
    "How many moons has a pond?": (["It has none.", "Not even one"], ["Two at night"]),
}


def corpus() -> ByteCorpus:
    text = b"the owl reads no maps, and the pond has no moon. " * 40
    return ByteCorpus(torch.tensor(list(text), dtype=torch.uint8), name="a text")


def questions(*chosen: str) -> pd.DataFrame:
    """The table of some of the made-up questions; the last true answer is the best."""
    return pd.DataFrame(
        {
            "question": chosen,
            "best_answer": [ANSWERS[question][0][-1] for question in chosen],
            "correct_answers": [ANSWERS[question][0] for question in chosen],
            "incorrect_answers": [ANSWERS[question][1] for question in chosen],
        }
    )


@pytest.fixture(scope="module")
def measured():
    return measure_choices(TINY, corpus(), questions(*ANSWERS), seed=3)


def scores_by_hand(question: str, seed: int):
    """MC1 to MC3 of a model that nobody trained."""
    config = SparseTransformerConfig(
        d_model=16,
        n_layers=1,
        max_seq_len=32,
        attention="local",
        attention_options={"window_size": 8},
    )
    true, false = (
        answer_log_probabilities(
            SparseTransformer(config, seed=seed), [question] * len(answers), answers
        ).tolist()
        for answers in ANSWERS[question]
    )
    return truthfulqa_mc(true, false, best_index=len(true) - 1)


def test_untrained_scores_are_the_means_of_those_by_hand(measured):
    by_hand = [scores_by_hand(question, seed=3) for question in ANSWERS]
    for measure in ("mc1", "mc2", "mc3"):
        expected = np.mean([getattr(score, measure) for score in by_hand])
        assert getattr(measured.untrained, measure).estimate == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("question", ANSWERS)
def test_scores_of_one_question_are_those_by_hand(question):
    quick = replace(TINY, seconds=0.01, n_resamples=9)
    untrained = measure_choices(quick, corpus(), questions(question, question), seed=1).untrained
    by_hand = scores_by_hand(question, seed=1)
    assert untrained.mc1.estimate == by_hand.mc1
    assert untrained.mc2.estimate == pytest.approx(by_hand.mc2, rel=1e-5)
    assert untrained.mc3.estimate == by_hand.mc3


def test_training_reads_the_text_and_changes_the_choice(measured):
    assert (measured.questions, measured.n_questions, measured.text) == ("TruthfulQA", 3, "a text")
    assert measured.train_seconds >= TINY.seconds
    assert measured.bits_per_byte < 8
    assert measured.trained.mc2.estimate != measured.untrained.mc2.estimate


def test_a_model_that_hardly_read_has_eight_bits_per_byte():
    hardly = measure_choices(replace(TINY, seconds=0.001), corpus(), questions(*ANSWERS))
    assert hardly.bits_per_byte == pytest.approx(8, abs=0.5)


def test_guesses_are_those_of_the_questions(measured):
    assert list(measured.controls) == [
        "chance",
        "negated answer",
        "longest answer",
        "shortest answer",
    ]
    by_chance = np.mean([1 / 3, 1 / 4, 1 / 2])
    assert measured.controls["chance"].mc1.estimate == pytest.approx(by_chance)


def test_without_a_table_questions_are_synthetic_and_the_seed_decides():
    quick = replace(TINY, seconds=0.01, synthetic_questions=40)
    first, again, other = (measure_choices(quick, corpus(), seed=seed) for seed in (5, 5, 6))
    assert (first.questions, first.n_questions) == ("synthetic TruthfulQA", 40)
    assert first.untrained == again.untrained
    assert first.controls == again.controls
    assert first.untrained != other.untrained
    estimates = [
        [guess.mc1.estimate for guess in each.controls.values()] for each in (first, other)
    ]
    assert estimates[0] != estimates[1]


def test_steps_are_announced():
    said = []
    measure_choices(replace(TINY, seconds=0.01), corpus(), questions(*ANSWERS), say=said.append)
    assert said == [
        "the untrained model chooses",
        "training a language model for 0.01 s",
        "3 questions",
    ]


def test_results_survive_json(measured):
    text = json.dumps(to_json(measured), allow_nan=False)
    assert from_json(TruthfulQAChoices, json.loads(text)) == measured


def means(mc1: float) -> McMeans:
    """With an MC1 that is sure to a tenth, an MC2 a little higher, and an MC3 above that."""
    mc1, mc2, mc3 = (
        Interval(round(value, 3), round(value - 0.1, 3), round(value + 0.1, 3))
        for value in (mc1, mc1 + 0.05, mc1 + 0.07)
    )
    return McMeans(mc1, mc2, mc3)


def made_up(trained: float, **guesses: float) -> TruthfulQAChoices:
    """A result with these estimates of MC1; chance has 0.25."""
    guesses = {"negated answer": 0.45, "longest answer": 0.35} | guesses
    return TruthfulQAChoices(
        settings=TINY,
        questions="riddles",
        n_questions=1234,
        text="a text",
        train_seconds=7.4,
        bits_per_byte=2.376,
        untrained=means(0.21),
        trained=means(trained),
        controls={"chance": means(0.25)} | {name: means(mc1) for name, mc1 in guesses.items()},
    )


@pytest.mark.parametrize("describe", [describe_choices, summarise])
@pytest.mark.parametrize(
    ("trained", "verdict"),
    [
        (0.36, "is above chance on MC1 (0.250) beyond its interval."),
        (0.35, "cannot be told from chance on MC1 (0.250)."),
        (0.25, "cannot be told from chance on MC1 (0.250)."),
        (0.15, "cannot be told from chance on MC1 (0.250)."),
        (0.14, "is below chance on MC1 (0.250) beyond its interval."),
    ],
)
def test_words_call_chance_what_the_interval_holds(describe, trained, verdict):
    text = describe(made_up(trained))
    assert f"- The trained model {verdict}" in text
    assert text.count("The trained model") == 1


@pytest.mark.parametrize("describe", [describe_choices, summarise])
def test_words_name_the_best_guess_but_never_chance(describe):
    assert "The best guess, *negated answer*, has an MC1 of 0.450" in describe(made_up(0.3))
    better = {"longest answer": 0.5}
    assert "The best guess, *longest answer*, has an MC1 of 0.500" in (
        describe(made_up(0.3, **better))
    )
    worse = {"negated answer": 0.2, "longest answer": 0.1}
    assert "The best guess, *negated answer*, has an MC1 of 0.200" in describe(
        made_up(0.3, **worse)
    )


def test_words_tell_what_was_trained_and_asked():
    text = describe_choices(made_up(0.3))
    assert "(width 16, 1 layers, a window of 8) reads a text for 7 seconds" in text
    assert "brings it to 2.38 bits per held-out byte" in text
    assert "**riddles: multiple choice.** 1,234 questions;" in summarise(made_up(0.3))


@pytest.mark.parametrize("describe", [describe_choices, summarise])
def test_table_holds_all_that_chose(describe):
    rows = [line for line in describe(made_up(0.3)).splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0] for row in rows] == [
        "| trained model",
        "| untrained model",
        "| guess: negated answer",
        "| guess: longest answer",
        "| chance",
    ]
    trained = "0.300 [0.200, 0.400] | 0.350 [0.250, 0.450] | 0.370 [0.270, 0.470]"
    assert rows[0] == f"| trained model | {trained} |"


def test_figure_draws_the_scores_and_chance_as_a_line():
    panels = draw_choices(made_up(0.3)).axes
    assert len(panels) == 2
    for ax, name, chance, lengths in zip(
        panels,
        ("MC1", "MC2"),
        (0.25, 0.3),
        ([0.3, 0.21, 0.45, 0.35], [0.35, 0.26, 0.5, 0.4]),
        strict=True,
    ):
        assert ax.get_title() == "riddles: 1,234 questions"
        assert ax.get_xlabel().startswith(name)
        assert [bar.get_width() for bar in ax.patches] == lengths
        assert [text.get_text() for text in ax.get_yticklabels()] == [
            "trained model",
            "untrained model",
            "guess: negated answer",
            "guess: longest answer",
        ]
        upright = [line for line in ax.get_lines() if line.get_xdata()[0] == line.get_xdata()[1]]
        assert [line.get_xdata()[0] for line in upright] == [chance]
        assert ax.get_legend().get_texts()[0].get_text() == f"chance: {chance:.3f}"
