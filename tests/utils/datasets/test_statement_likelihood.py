"""The likelihood is that of the generator: it sums to 1, and its frequencies are those drawn."""

import numpy as np
import pytest

from sparse_transformers.utils.datasets.statement_kinds import (
    END,
    STATEMENT_KINDS,
    generate_statements,
    statement_words,
)
from sparse_transformers.utils.datasets.statement_likelihood import statement_likelihood


@pytest.fixture(scope="module")
def statements():
    return generate_statements(20_000, seed=7)


def next_word_probabilities(text):
    """The probability of each word that can follow these."""
    probabilities = {}
    for word in statement_words():
        try:
            nats = statement_likelihood([*text.split(), word]).nats
        except ValueError:
            continue
        probabilities[word] = np.exp(-nats[-1])
    return probabilities


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the",
        "the season was",
        "the season was old but the",
        "ada lost the record but it was not",
        "in gornor the old bridge is named ada and not",
        "every storm has two days and one storm has three",
    ],
)
def test_next_word_probabilities_sum_to_one(text):
    assert sum(next_word_probabilities(text).values()) == pytest.approx(1)


def test_repeated_slots_must_be_filled_alike_and_others_differently():
    known = next_word_probabilities("the crowd was old but the")
    assert known == {"crowd": pytest.approx(1)}
    names = next_word_probabilities("in gornor the old bridge is named ada and not")
    assert "ada" not in names
    assert list(names.values()) == pytest.approx([1 / 23] * 23)
    assert next_word_probabilities("every storm has two days and one storm has three") == {
        END: pytest.approx(1)
    }


def test_beginnings_are_as_frequent_as_they_are_probable(statements):
    texts = statements["text"]
    for beginning in ("the", "in", "every", "there was a", "it was", "ada", "the season of"):
        probability = np.exp(-statement_likelihood(beginning.split()).nats.sum())
        error = np.sqrt(probability * (1 - probability) / len(texts))
        frequency = texts.str.startswith(beginning + " ").mean()
        assert frequency == pytest.approx(probability, abs=3.5 * error)


def test_kinds_are_those_of_statements_that_begin_so(statements):
    for beginning in ("in", "every", "{number}", "the season of"):
        words = beginning.replace("{number}", "two").split()
        kinds = statement_likelihood(words).kinds[-1]
        like = statements["text"].str.startswith(" ".join(words) + " ")
        counts = statements["kind"][like].value_counts().reindex(STATEMENT_KINDS, fill_value=0)
        error = np.sqrt(kinds * (1 - kinds) / like.sum())
        assert np.all(np.abs(counts / like.sum() - kinds) <= 3.5 * error)


def test_kind_is_certain_in_the_end_and_probabilities_sum_to_one(statements):
    for row in statements[:100].itertuples():
        likelihood = statement_likelihood([*row.text.split(), END])
        assert likelihood.kinds.shape == (len(row.text.split()) + 1, 8)
        np.testing.assert_allclose(likelihood.kinds.sum(1), 1)
        assert likelihood.kinds[-1, STATEMENT_KINDS.index(row.kind)] == 1
        assert np.all(likelihood.nats >= -1e-12)


@pytest.mark.parametrize(
    "words", ["was the", "the season was old but the crowd", "ada lost the storm the", "the ada"]
)
def test_what_no_statement_begins_with_is_refused(words):
    with pytest.raises(ValueError, match=f"beginning of a statement, got '{words}'"):
        statement_likelihood(words.split())
