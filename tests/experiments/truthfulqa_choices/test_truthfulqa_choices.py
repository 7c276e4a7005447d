"""A language model chooses between answers; figures and words follow from what it chose."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from visits import visit

from sparse_transformers.claims.answer_scores import answer_log_probabilities
from sparse_transformers.claims.tables import TRUTHFULQA
from sparse_transformers.experiments.truthfulqa_choices.figures import draw_choices
from sparse_transformers.experiments.truthfulqa_choices.measure import (
    TruthfulQAChoices,
    TruthfulQAChoicesSettings,
    measure_choices,
)
from sparse_transformers.experiments.truthfulqa_choices.report import (
    describe_choices,
    findings,
    summarise,
)
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


def ask(settings: TruthfulQAChoicesSettings, *chosen: str, **options: Any) -> TruthfulQAChoices:
    """Some of the made-up questions."""
    return measure_choices(visit(settings, corpus(), {TRUTHFULQA: questions(*chosen)}, **options))


@pytest.fixture(scope="module")
def measured():
    return ask(TINY, *ANSWERS, seed=3)


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
        assert getattr(measured.scores["untrained model"], measure).estimate == pytest.approx(
            expected, rel=1e-5
        )


@pytest.mark.parametrize("question", ANSWERS)
def test_scores_of_one_question_are_those_by_hand(question):
    quick = replace(TINY, seconds=0.01, n_resamples=9)
    untrained = ask(quick, question, question, seed=1)
    untrained = untrained.scores["untrained model"]
    by_hand = scores_by_hand(question, seed=1)
    assert untrained.mc1.estimate == by_hand.mc1
    assert untrained.mc2.estimate == pytest.approx(by_hand.mc2, rel=1e-5)
    assert untrained.mc3.estimate == by_hand.mc3


def test_training_reads_the_text_and_changes_the_choice(measured):
    assert (measured.questions, measured.n_questions, measured.text) == ("TruthfulQA", 3, "a text")
    assert measured.train_seconds >= TINY.seconds
    assert measured.bits_per_byte < 8
    scores = measured.scores
    assert scores["trained model"].mc2.estimate != scores["untrained model"].mc2.estimate


def test_a_model_that_hardly_read_has_eight_bits_per_byte():
    hardly = ask(replace(TINY, seconds=0.001), *ANSWERS)
    assert hardly.bits_per_byte == pytest.approx(8, abs=0.5)


def test_guesses_are_those_of_the_questions(measured):
    assert list(measured.scores) == [
        "trained model",
        "untrained model",
        "chance",
        "guess: negated answer",
        "guess: longest answer",
        "guess: shortest answer",
    ]
    by_chance = np.mean([1 / 3, 1 / 4, 1 / 2])
    assert measured.scores["chance"].mc1.estimate == pytest.approx(by_chance)


def test_without_a_table_questions_are_synthetic_and_the_seed_decides():
    quick = replace(TINY, seconds=0.01, synthetic_questions=40)
    first, again, other = (measure_choices(visit(quick, corpus(), seed=seed)) for seed in (5, 5, 6))
    assert (first.questions, first.n_questions) == ("synthetic TruthfulQA", 40)
    controls = [
        {name: means for name, means in each.scores.items() if name != "trained model"}
        for each in (first, again, other)
    ]
    assert controls[0] == controls[1]
    assert first.scores["untrained model"] != other.scores["untrained model"]
    estimates = [
        [means.mc1.estimate for name, means in each.items() if name.startswith("guess")]
        for each in (controls[0], controls[2])
    ]
    assert estimates[0] != estimates[1]


def test_steps_are_announced():
    said = []
    ask(replace(TINY, seconds=0.01), *ANSWERS, say=said.append)
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
    mc1 = {"trained model": trained, "untrained model": 0.21, "chance": 0.25}
    mc1 |= {"guess: negated answer": 0.45, "guess: longest answer": 0.35}
    mc1 |= {f"guess: {name}": share for name, share in guesses.items()}
    return TruthfulQAChoices(
        settings=TINY,
        questions="riddles",
        n_questions=1234,
        text="a text",
        train_seconds=7.4,
        bits_per_byte=2.376,
        scores={name: means(share) for name, share in mc1.items()},
    )


@pytest.mark.parametrize(
    ("trained", "verdict"),
    [
        (0.36, "Above chance (25.0%): trained model (36.0% [26.0%, 46.0%])"),
        (0.35, "Not shown to differ from chance (25.0%): trained model (35.0% [25.0%, 45.0%])"),
        (0.25, "Not shown to differ from chance (25.0%): trained model (25.0% [15.0%, 35.0%])"),
        (0.15, "Not shown to differ from chance (25.0%): trained model (15.0% [5.0%, 25.0%])"),
        (0.14, "Below chance (25.0%): trained model (14.0% [4.0%, 24.0%])"),
    ],
)
def test_findings_call_chance_what_the_interval_holds(trained, verdict):
    (found,) = findings(made_up(trained))
    assert found.startswith("The best answer first, 1,234 questions (riddles): ")
    assert verdict in found
    assert "untrained" not in found


@pytest.mark.parametrize(
    ("guesses", "said"),
    [
        ({}, "Above chance (25.0%): guess: negated answer (45.0% [35.0%, 55.0%])"),
        ({"longest answer": 0.5}, "guess: longest answer (50.0% [40.0%, 60.0%])"),
        (
            {"negated answer": 0.2, "longest answer": 0.1},
            "guess: negated answer (20.0% [10.0%, 30.0%])",
        ),
    ],
)
def test_findings_name_the_best_guess_but_never_another(guesses, said):
    (found,) = findings(made_up(0.3, **guesses))
    assert said in found
    assert found.count("guess: ") == 1


@pytest.mark.parametrize(
    ("guesses", "bar"),
    [({}, 45.0), ({"negated answer": 0.2, "longest answer": 0.1}, 25.0)],  # the guess, or chance
)
def test_understanding_begins_above_the_larger_of_guess_and_chance(guesses, bar):
    (found,) = findings(made_up(0.3, **guesses))
    assert found.endswith(f"no score below {bar}% shows understanding.")


def test_words_tell_what_was_trained_and_asked():
    text = describe_choices(made_up(0.3))
    assert "(width 16, 1 layer, a window of 8) reads a text for 7 seconds" in text
    assert "brings it to 2.38 bits per held-out byte" in text


@pytest.mark.parametrize("describe", [describe_choices, summarise])
def test_table_holds_all_that_chose(describe):
    rows = [line for line in describe(made_up(0.3)).splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0] for row in rows] == [
        "| trained model",
        "| untrained model",
        "| chance",
        "| guess: negated answer",
        "| guess: longest answer",
    ]
    trained = "0.300 [0.200, 0.400] | 0.350 [0.250, 0.450] | 0.370 [0.270, 0.470]"
    assert rows[0] == f"| trained model | {trained} |"


def test_a_score_that_never_varies_has_no_limits():
    same = Interval(0.25, 0.25, 0.25)
    choices = replace(made_up(0.3), scores={"chance": McMeans(same, same, same)})
    assert "| chance | 0.250 | 0.250 | 0.250 |" in summarise(choices)


def test_figure_draws_the_scores_and_chance_as_a_line():
    figure = draw_choices(made_up(0.3))
    panels = figure.axes
    assert len(panels) == 2
    assert figure.get_suptitle() == "riddles: 1,234 questions"
    assert [text.get_text() for text in panels[0].get_yticklabels()] == [
        "trained model",
        "untrained model",
        "guess: negated answer",
        "guess: longest answer",
    ]
    # Both panels have the same order, from the top.
    assert [ax.yaxis_inverted() for ax in panels] == [True, True]
    for ax, name, chance, lengths in zip(
        panels,
        ("MC1", "MC2"),
        (0.25, 0.3),
        ([0.3, 0.21, 0.45, 0.35], [0.35, 0.26, 0.5, 0.4]),
        strict=True,
    ):
        assert ax.get_title() == "Not shown to differ from chance: trained model"
        assert ax.get_xlabel().startswith(name)
        assert [bar.get_width() for bar in ax.patches] == lengths
        upright = [line for line in ax.get_lines() if line.get_xdata()[0] == line.get_xdata()[1]]
        assert [line.get_xdata()[0] for line in upright] == [chance]
        assert ax.get_legend().get_texts()[0].get_text() == f"chance: {chance:.3f}"


@pytest.mark.parametrize(
    ("trained", "title"),
    [(0.36, "Above chance: trained model"), (0.14, "Below chance: trained model")],
)
def test_title_tells_on_which_side_of_chance_the_model_is(trained, title):
    assert [ax.get_title() for ax in draw_choices(made_up(trained)).axes] == [title, title]
