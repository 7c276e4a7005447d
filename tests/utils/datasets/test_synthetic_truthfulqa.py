"""Synthetic questions: only a reader who compares question and answer can judge the answer."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sparse_transformers.utils.dataset_loaders import load_truthfulqa
from sparse_transformers.utils.dataset_synthesis import synthesize_truthfulqa
from sparse_transformers.utils.datasets.synthetic_truthfulqa import RELIABILITY, TOPICS
from sparse_transformers.utils.metrics.truthfulqa_scores import control_scores

N = 6000
MAJORITY = 0.58


@pytest.fixture(scope="module")
def sample():
    return synthesize_truthfulqa(N, seed=3, bayes_accuracy=0.9)


def agreements(table):
    """What a reader finds: whether each source says what the answer says, in (rows, sources)."""
    found = []
    for row in table.to_dict("records"):
        said = dict(re.findall(r"he (\w+) says (\w+)", row["question"]))
        first, second = TOPICS[row["category"]].values
        value = first if re.search(rf"\b{first}\b", row["answer"]) else second
        if " not " in row["answer"]:
            value = second if value == first else first
        found.append([said[source] == value for source in RELIABILITY])
    return np.array(found)


def valid_accuracy(model, features, sample):
    train = (sample.table["split"] == "train").to_numpy()
    labels = sample.table["truthful"].to_numpy()
    return model.fit(features[train], labels[train]).score(features[~train], labels[~train])


def error(accuracy):
    return 4 * np.sqrt(accuracy * (1 - accuracy) / (N // 5))


def test_posterior_is_that_of_the_text(sample):
    options = 1 - agreements(sample.table).astype(int)  # the first option of a cue: it agrees
    np.testing.assert_allclose(sample.posteriors, sample.signal.posteriors(options))


def test_reader_who_compares_reaches_the_ceiling(sample):
    accuracy = valid_accuracy(LogisticRegression(), agreements(sample.table), sample)
    assert abs(accuracy - sample.bayes_accuracy) < error(sample.bayes_accuracy)


@pytest.mark.parametrize("columns", [["question"], ["answer"], ["question", "answer"]])
def test_counting_words_and_pairs_of_words_stays_at_the_majority(sample, columns):
    text = sample.table[columns].agg(" ".join, axis=1)
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=20), LogisticRegression(C=0.1))
    assert valid_accuracy(model, text, sample) < MAJORITY + error(MAJORITY)


def test_question_is_exactly_independent_of_the_label(sample):
    # A source is as often right when the answer is true as when it is not.
    for cue in sample.signal.cues:
        np.testing.assert_allclose(cue[0, 1], cue[1, 0])


def test_answers_are_those_of_the_solution(sample):
    for row in sample.table.to_dict("records"):
        correct, incorrect = row["correct_answers"], row["incorrect_answers"]
        assert row["best_answer"] in correct
        assert row["best_incorrect_answer"] in incorrect
        assert len(set(correct) | set(incorrect)) == len(correct) + len(incorrect)
        assert row["answer"] in (correct if row["truthful"] else incorrect)
        assert row["label"] == str(row["truthful"])


def test_length_and_negation_are_matched(sample):
    for row in sample.table.to_dict("records"):
        correct, incorrect = row["correct_answers"], row["incorrect_answers"]
        assert sorted(map(len, correct)) == sorted(map(len, incorrect))
        assert len(row["best_answer"]) == len(row["best_incorrect_answer"])
        negated = [sum(" not " in answer for answer in side) for side in (correct, incorrect)]
        assert negated == [1, 1]


@pytest.mark.parametrize(
    "pick",
    [
        lambda answers: max(answers, key=len),
        lambda answers: next(answer for answer in answers if " not " in answer),
        lambda answers: answers[0],
        min,
    ],
    ids=["longest", "negated", "first", "alphabetical"],
)
def test_choosing_without_reading_the_question_is_right_half_the_time(sample, pick):
    rng = np.random.default_rng(0)
    right = []
    for row in sample.table.iloc[:4000].to_dict("records"):
        answers = rng.permutation(row["correct_answers"] + row["incorrect_answers"]).tolist()
        right.append(pick(answers) in row["correct_answers"])
    assert np.mean(right) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(4000))


def test_best_answer_stands_anywhere_in_its_list(sample):
    place = [
        row["correct_answers"].index(row["best_answer"]) for row in sample.table.to_dict("records")
    ]
    shares = np.bincount(place) / N
    np.testing.assert_allclose(shares, 1 / 4, atol=4 * np.sqrt(3 / 16 / N))


def test_type_says_how_close_the_sources_are_and_nothing_of_the_truth(sample):
    n_agree = agreements(sample.table).sum(axis=1)
    close = np.isin(n_agree, (2, 3))
    assert (np.where(close, "Adversarial", "Non-Adversarial") == sample.table["type"]).all()
    assert 0.2 < close.mean() < 0.8


def test_values_of_a_topic_are_equal_in_length():
    for topic in TOPICS.values():
        first, second = topic.values
        assert len(first) == len(second)
        answers = " ".join(topic.answers("Tamsel", 0) + topic.answers("Tamsel", 1))
        assert not re.search(r"\ba [aeiou]", answers)
        assert set(re.findall(rf"{first}|{second}", answers)) == {first, second}


def test_loader_reads_what_is_written_in_the_published_format(tmp_path, sample):
    table = sample.table.iloc[:50]
    published = pd.DataFrame(
        {
            "Type": table["type"],
            "Category": table["category"],
            "Question": table["question"],
            "Best Answer": table["best_answer"],
            "Best Incorrect Answer": table["best_incorrect_answer"],
            "Correct Answers": table["correct_answers"].str.join("; "),
            "Incorrect Answers": table["incorrect_answers"].str.join("; "),
            "Source": table["source"],
        }
    )
    published.to_csv(tmp_path / "TruthfulQA.csv", index=False)
    loaded = load_truthfulqa(tmp_path / "TruthfulQA.csv")
    pd.testing.assert_frame_equal(loaded, table[list(loaded)])


def test_length_and_negation_do_not_give_the_best_answer_away():
    table = synthesize_truthfulqa(400, seed=1).table
    controls = control_scores(table, n_resamples=99)
    for name in ("negated answer", "longest answer", "shortest answer"):
        # One wording in four is preferred, and a false answer has it too.
        assert abs(controls[name].mc1.estimate - 1 / 8) < 5 * (1 / 8 * 7 / 8 / 400) ** 0.5
