"""What is counted in texts is what a reader counts."""

import numpy as np
import pandas as pd
import pytest

from sparse_transformers.utils.analysis.readability import readability_table
from sparse_transformers.utils.analysis.text_statistics import (
    analyze_linguistic_patterns,
    analyze_text_patterns,
)

TEXTS = [
    'In 2009, "NASA" spent 3.5% (or 12 percent): really?',
    "See https://example.org/a?b=1! Thanks @anna #Budget #1",
    "He said: no; She left. It was over.",
]


def test_patterns_are_counted_as_by_hand():
    found = analyze_linguistic_patterns(TEXTS)
    assert found.punctuation == {
        "periods": 4,  # one in "3.5", one in the link
        "commas": 1,
        "question_marks": 2,  # one of them in the link
        "exclamation_marks": 1,
        "semicolons": 1,
        "colons": 3,
        "quotes": 2,
    }
    assert found.numbers == {
        "digit_count": 4 + 2 + 2 + 1 + 1,
        "number_sequences": 5,  # 2009, 3.5, 12, and 1 twice
        "percentage_mentions": 2,
        "year_mentions": 1,
    }
    assert found.special_chars == {"urls": 1, "mentions": 1, "hashtags": 1, "parentheses": 2}
    assert found.capitalization["all_caps_words"] == 1
    assert found.capitalization["sentence_start_caps"] == 4 + 1  # Thanks, after "!"


def test_years_are_those_that_people_write_about():
    found = analyze_linguistic_patterns(["1799 1800 1999 2099 2100 3500 20201"])
    assert found.numbers["year_mentions"] == 3


def test_title_case_is_a_share_of_the_words():
    found = analyze_linguistic_patterns(["Anna met BOB in Rome"])
    assert found.capitalization["title_case_ratio"] == 2 / 5
    assert analyze_linguistic_patterns([""]).capitalization["title_case_ratio"] == 0


def test_empty_and_missing_texts_count_as_rows_only():
    found = analyze_text_patterns([*TEXTS, "", "  ", None, float("nan"), pd.NA])
    assert (found.total_texts, found.non_empty_texts) == (8, 3)
    lengths = [len(text) for text in TEXTS]
    assert found.char_length_stats.mean == np.mean(lengths)
    assert found.word_length_stats.max == readability_table(TEXTS)["words"].max()
    assert found.readability.texts == 3
    assert found.common_patterns.common_words["said"] == 1


def test_measures_may_be_handed_over_but_must_fit():
    measures = readability_table(TEXTS)
    assert analyze_text_patterns(TEXTS, measures=measures) == analyze_text_patterns(TEXTS)
    with pytest.raises(ValueError, match="one row per text, 2, got 3"):
        analyze_text_patterns(TEXTS[:2], measures=measures)


def test_what_is_no_text_is_refused():
    with pytest.raises(ValueError, match="texts must be strings or missing, got 7"):
        analyze_text_patterns(["fine", 7])
    with pytest.raises(ValueError, match="texts must be strings or missing"):
        analyze_linguistic_patterns([["a", "b"]])
