"""Questions about an invented world, whose sources disagree, and answers to be judged.

Neither a question nor an answer tells anything about the verdict: only the two together do. A
linear model of words or n-grams therefore stays at the majority class, however much it is trained
on; a model that compares the answer with what the sources say can reach the ceiling.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int

from sparse_transformers.utils.datasets.claim_grammar import draw_fillers, split_column
from sparse_transformers.utils.datasets.invented_names import HEADS, MIDDLES, TAILS
from sparse_transformers.utils.datasets.planted_signal import PlantedSignal, plant_signal
from sparse_transformers.utils.datasets.synthetic_sample import SyntheticSample

TRUTHFULQA_LABELS = ("False", "True")

PRIOR = np.array([0.58, 0.42])
"""The shares of untrue and true answers among those that people judged, rounded."""

RELIABILITY = {"survey": 0.95, "ledger": 0.90, "pilot": 0.85, "priest": 0.80, "ballad": 0.75}
"""Source: how often it is right when the signal is at its strongest."""

AGREES, DISAGREES = 0, 1

STRONGEST = PlantedSignal(
    PRIOR,
    tuple(np.array([[1 - right, right], [right, 1 - right]]) for right in RELIABILITY.values()),
)
"""One cue per source: whether it says what the answer says. Columns: false, true answer."""


@dataclass(frozen=True)
class Topic:
    """One thing that may be asked about every place: it has one of two values, of equal length.

    Attributes:
        values: the two values, equal in length.
        question: what is asked.
        affirmative: answers that state a value, with the slots `name` and `value`.
        negative: the answer that denies a value.
    """

    values: tuple[str, str]
    question: str
    affirmative: tuple[str, ...]
    negative: str

    def answers(self, name: str, value: int) -> list[str]:
        """All answers that amount to `value`; the last one denies the other value."""
        stated = [text.format(name=name, value=self.values[value]) for text in self.affirmative]
        return [*stated, self.negative.format(name=name, value=self.values[1 - value])]


TOPICS = {
    "Geography": Topic(
        ("north", "south"),
        "on which shore does the port of {name} lie?",
        (
            "The port of {name} lies on the {value} shore.",
            "It lies on the {value} shore.",
            "Ships reach {name} from the {value}.",
        ),
        "The port of {name} does not lie on the {value} shore.",
    ),
    "History": Topic(
        ("flood", "siege"),
        "what ended the first kingdom of {name}?",
        (
            "A {value} ended the first kingdom of {name}.",
            "It ended in a {value}.",
            "The kings of {name} fell to a {value}.",
        ),
        "The first kingdom of {name} did not end in a {value}.",
    ),
    "Nutrition": Topic(
        ("sweet", "salty"),
        "how does the bread of {name} taste?",
        (
            "The bread of {name} tastes {value}.",
            "It tastes {value}.",
            "Bakers in {name} make {value} bread.",
        ),
        "The bread of {name} does not taste {value}.",
    ),
    "Weather": Topic(
        ("rainy", "windy"),
        "what is spring like in {name}?",
        (
            "Spring in {name} is {value}.",
            "It is {value} there.",
            "People in {name} expect a {value} spring.",
        ),
        "Spring in {name} is not {value}.",
    ),
    "Economics": Topic(
        ("wool", "fish"),
        "what did the merchants of {name} sell?",
        (
            "The merchants of {name} sold {value}.",
            "They sold {value}.",
            "Trade in {name} was in {value}.",
        ),
        "The merchants of {name} did not sell {value}.",
    ),
    "Health": Topic(
        ("fever", "cough"),
        "what does the moss of {name} cure?",
        (
            "The moss of {name} cures a {value}.",
            "It cures a {value}.",
            "Healers in {name} use it against a {value}.",
        ),
        "The moss of {name} does not cure a {value}.",
    ),
    "Myths and Fairytales": Topic(
        ("dragon", "wizard"),
        "who guards the gate of {name} in the tale?",
        (
            "A {value} guards the gate of {name}.",
            "It is guarded by a {value}.",
            "In the tale of {name}, a {value} stands guard.",
        ),
        "The gate of {name} is not guarded by a {value}.",
    ),
    "Science": Topic(
        ("iron", "zinc"),
        "which metal is found in the rock of {name}?",
        (
            "The rock of {name} holds {value}.",
            "It holds {value}.",
            "Miners in {name} dig for {value}.",
        ),
        "The rock of {name} does not hold {value}.",
    ),
}
"""Category of a question: what is asked."""

COLUMNS = (
    *("type", "category", "question", "best_answer", "best_incorrect_answer"),
    *("correct_answers", "incorrect_answers", "source"),  # so far as load_truthfulqa
    *("answer", "label", "truthful", "question_id", "split"),
)


def synthesize_truthfulqa(
    n: int = 1000, *, seed: int = 0, bayes_accuracy: float = 0.7
) -> SyntheticSample:
    """Questions with the columns of `load_truthfulqa`, an answer to judge, and the exact ceiling.

    Each question reports what five sources say about an invented place, each of which is right with
    a probability of its own, and `answer` is one of the answers on the true or on the false side.
    Each true answer has a false one of the same words but for the value, so that length, negation
    and position say nothing, nor does the question without the answer. The last fifth of the rows
    is for validation, about other places.

    Args:
        n: the number of questions. All are different, and none is about a place and topic that
            another one is about.
        seed: same seed, same questions.
        bayes_accuracy: of the best judge of (question, answer), exactly.

    Returns:
        The table has the columns `type` ("Adversarial" where the sources disagree by three to two),
        `category`, `question`, `best_answer`, `best_incorrect_answer`, `correct_answers`,
        `incorrect_answers` (lists), `source`, and `answer`, `label` ("True" or "False"), `truthful`
        (the label as a bool), `question_id`, `split`. The lists and the best answers are the
        solution: a model may read `question` and `answer`.

    Raises:
        ValueError: `n` is below 1 or asks for more questions than there are, or `bayes_accuracy` is
            out of the range that the message states.

    Source: Lin, Hilton and Evans 2021, arXiv:2109.07958 (the real data set).

    Example:
        >>> import sparse_transformers as st
        >>> sample = st.synthesize_truthfulqa(100, bayes_accuracy=0.8)
        >>> sample.classes, round(sample.bayes_accuracy, 3)
        (('False', 'True'), 0.8)
    """
    signal = plant_signal(STRONGEST, bayes_accuracy)
    rng = np.random.default_rng(seed)
    places = draw_fillers(
        n,
        rng,
        shared={"category": tuple(TOPICS), "middle": MIDDLES, "tail": TAILS},
        held_out={"head": HEADS},
    )
    names = places["head"] + places["middle"] + places["tail"]
    labels, cues = signal.draw(n, rng)
    # Which of the two values is the true one is independent of whether the answer is.
    truths = rng.integers(2, size=n)
    answered = np.where(labels == 1, truths, 1 - truths)
    reports = np.where(cues == AGREES, answered[:, None], 1 - answered[:, None])
    questions = [
        _ask(TOPICS[category], name, truth, value, said, rng)
        for category, name, truth, value, said in zip(
            places["category"], names, truths, answered, reports, strict=True
        )
    ]
    n_sources_for_second = reports.sum(axis=1)
    table = pd.DataFrame(questions).assign(
        type=np.where(np.isin(n_sources_for_second, (2, 3)), "Adversarial", "Non-Adversarial"),
        category=places["category"],
        source="invented: " + places["category"],
        label=np.array(TRUTHFULQA_LABELS, dtype=object)[labels],
        truthful=labels == 1,
        question_id=[f"truthful_{row:05d}" for row in range(n)],
        split=split_column(n),
    )
    return SyntheticSample(
        table[list(COLUMNS)],
        signal.posteriors(cues),
        TRUTHFULQA_LABELS,
        signal.bayes_accuracy(),
        signal,
    )


def _ask(
    topic: Topic,
    name: str,
    truth: int,
    answered: int,
    reports: Int[np.ndarray, "sources"],
    rng: np.random.Generator,
) -> dict[str, str | list[str]]:
    """A question, the solution, and an answer to judge; all in an order drawn at random."""
    said = [
        f"the {source} says {topic.values[value]}"
        for source, value in zip(RELIABILITY, reports, strict=True)
    ]
    said = list(rng.permutation(said))
    evidence = f"{', '.join(said[:-1])} and {said[-1]}"
    correct, incorrect = topic.answers(name, truth), topic.answers(name, 1 - truth)
    # In any of the wordings: if it were always the plain one, its length would give it away.
    best = int(rng.integers(len(correct)))
    return {
        "question": f"{evidence[0].upper()}{evidence[1:]}: {topic.question.format(name=name)}",
        "best_answer": correct[best],
        "best_incorrect_answer": incorrect[best],
        "correct_answers": rng.permutation(correct).tolist(),
        "incorrect_answers": rng.permutation(incorrect).tolist(),
        "answer": str(rng.choice(correct if answered == truth else incorrect)),
    }
