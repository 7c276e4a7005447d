"""Words are counted as by hand, and their variety as by drawing."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.analysis.vocabulary import (
    SAMPLE_WORDS,
    find_common_patterns,
    measure_vocabulary,
    split_words,
)


def test_words_keep_what_belongs_to_them():
    assert split_words("It’s a Well-known 3.5 million in the U.S., isn't it? (#yes)") == [
        *("it's", "a", "well-known", "3.5", "million", "in", "the", "u.s.", "isn't", "it", "yes")
    ]
    assert split_words("... – !") == []


def test_vocabulary_counts_words_stems_and_what_occurs_once():
    vocabulary = measure_vocabulary(["Taxes tax the taxed.", "the END"])
    assert vocabulary.words == 6
    assert vocabulary.distinct_words == 5  # taxes, tax, the, taxed, end
    assert vocabulary.distinct_stems == 3
    assert vocabulary.once_share == 4 / 5
    assert vocabulary.distinct_per_thousand is None


def test_no_texts_have_no_vocabulary():
    vocabulary = measure_vocabulary(["", "!"])
    assert (vocabulary.words, vocabulary.once_share) == (0, None)


def test_distinct_words_per_thousand_is_the_mean_over_random_samples():
    rng = np.random.default_rng(0)
    words = [f"w{'abcdefghij'[n % 10]}{n}x" for n in rng.zipf(1.6, size=3000)]
    expected = measure_vocabulary([" ".join(words)]).distinct_per_thousand
    drawn = [len(set(rng.choice(words, SAMPLE_WORDS, replace=False))) for _ in range(300)]
    assert expected == pytest.approx(np.mean(drawn), abs=5 * np.std(drawn) / np.sqrt(300))


def test_a_thousand_words_hold_all_their_distinct_words():
    assert measure_vocabulary(["cat dog " * 500]).distinct_per_thousand == pytest.approx(2)


@given(st.lists(st.text("ab cd", max_size=30), max_size=6))
def test_bigrams_are_the_neighbours_inside_a_text(texts):
    pairs = Counter(
        f"{first} {second}"
        for text in texts
        for first, second in zip(text.split(), text.split()[1:], strict=False)
    )
    assert find_common_patterns(texts, top_k=1000).common_bigrams == dict(pairs)


def test_common_words_leave_out_stop_words_and_come_in_order():
    found = find_common_patterns(["the bees and the birds don't see birds", "it's a bee"], top_k=2)
    assert list(found.common_words.items()) == [("birds", 2), ("bee", 1)]
    assert next(iter(found.common_bigrams.items())) == ("a bee", 1)


def test_phrases_are_those_that_stand_together_more_than_by_chance():
    rng = np.random.default_rng(1)
    others = ["alpha", "beta", "gamma", "delta"]
    texts = [" ".join(rng.choice(others, 8)) for _ in range(60)]
    texts += [f"health care {rng.choice(others)}" for _ in range(12)]
    texts += [f"of the {rng.choice(others)}" for _ in range(40)]
    phrases = find_common_patterns(texts, top_k=5)
    assert "of the" in phrases.common_bigrams
    assert "of the" not in phrases.common_phrases
    assert next(iter(phrases.common_phrases.items())) == ("health care", 12)
    assert next(iter(phrases.common_bigrams)) != "health care"


def test_top_k_must_be_positive():
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        find_common_patterns(["a"], top_k=0)
