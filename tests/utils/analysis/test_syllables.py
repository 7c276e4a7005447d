"""Syllables agree with how words are spoken."""

import pytest

from sparse_transformers.utils.analysis.syllables import count_syllables

SPOKEN = {
    1: "the states passed homes helped makes whole strengths eye they",
    2: "table tables voted taxes going people question likely safety someone paying didn't settled",
    3: "media taxpayer violence president idea area another government wonderful",
    4: "experience information situation everybody terrorism approximate",
    5: "university individual opportunity",
}


@pytest.mark.parametrize(
    ("word", "syllables"),
    [(word, n) for n, words in SPOKEN.items() for word in words.split()],
)
def test_words_have_the_syllables_that_are_spoken(word, syllables):
    assert count_syllables(word) == syllables


def test_capitals_and_typographic_apostrophes_do_not_matter():
    assert count_syllables("VIOLENCE") == count_syllables("violence")
    assert count_syllables("didn’t") == count_syllables("didn't") == 2


@pytest.mark.parametrize("word", ["", "x", "hmm", "123", "Łódź", "日本語"])
def test_whatever_is_spoken_has_a_syllable(word):
    assert count_syllables(word) == 1
