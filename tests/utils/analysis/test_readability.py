"""Readability is that of counts made by hand, and needs nothing from outside."""

import math
import socket

import nltk
import pytest

from sparse_transformers.utils.analysis.readability import (
    READABILITY_COLUMNS,
    calculate_readability_metrics,
    readability_table,
)

# 9 words, 2 sentences, 27 letters, 10 syllables ("happy" has two).
TINY = "The cat sat on the mat. It was happy."


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError(f"asked for something from outside: {arguments}")

    monkeypatch.setattr(nltk, "download", refuse)
    monkeypatch.setattr(nltk.data, "find", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_counts_and_measures_of_a_tiny_text():
    row = readability_table([TINY]).iloc[0]
    assert tuple(row.index) == READABILITY_COLUMNS
    assert row["words":"syllables"].tolist() == [9, 2, 27, 10]
    assert row["flesch_reading_ease"] == pytest.approx(206.835 - 1.015 * 4.5 - 84.6 * 10 / 9)
    assert row["flesch_kincaid_grade"] == pytest.approx(0.39 * 4.5 + 11.8 * 10 / 9 - 15.59)
    # Full stops count as characters for this index: 29 of them.
    assert row["automated_readability_index"] == pytest.approx(4.71 * 29 / 9 + 0.5 * 4.5 - 21.43)
    assert row["coleman_liau_index"] == pytest.approx(5.8 * 27 / 9 * 10 / 10 - 29.6 * 2 / 9 - 15.8)
    assert row["lix"] == pytest.approx(4.5)


def test_full_stops_inside_a_sentence_do_not_end_it():
    text = "Mr. George W. Smith of the U.S. paid $3.5 million at 10 a.m. for example.org today."
    plain = "Mister George Smith of the States paid much money at night for something today."
    assert readability_table([text, plain])["sentences"].tolist() == [1, 1]


def test_numbers_and_hyphenated_words_are_spoken():
    # A number is one syllable; the parts of "well-known" are counted one by one.
    assert readability_table(["12,000 well-known dogs"])["syllables"].tolist() == [1 + 2 + 1]


@pytest.mark.parametrize("text", ["", "  ", "...", "?!", "–"])
def test_text_without_words_has_no_readability(text):
    row = readability_table([text]).iloc[0]
    assert row["words"] == 0
    assert math.isnan(row["flesch_reading_ease"])
    assert calculate_readability_metrics([text]).flesch_reading_ease is None


def test_summary_weighs_texts_alike_in_scores_and_words_alike_in_averages():
    harder = "Constitutional amendments notwithstanding, immigration legislation deteriorated."
    table = readability_table([TINY, harder, "..."])
    summary = calculate_readability_metrics([TINY, harder, "..."])
    assert summary.texts == 2
    for name in READABILITY_COLUMNS[4:]:
        assert getattr(summary, name).mean == pytest.approx(table[name][:2].mean())
    words = table["words"].sum()
    assert summary.avg_words_per_sentence == pytest.approx(words / table["sentences"].sum())
    assert summary.avg_chars_per_word == pytest.approx(table["letters"].sum() / words)
    assert summary.avg_syllables_per_word == pytest.approx(table["syllables"].sum() / words)


def test_every_measure_calls_the_harder_text_harder():
    table = readability_table(
        [TINY, "Notwithstanding constitutional amendments, legislation fails."]
    )
    assert table["flesch_reading_ease"].is_monotonic_decreasing
    for name in READABILITY_COLUMNS[5:]:
        assert table[name].is_monotonic_increasing, name


def test_no_texts_have_no_summary():
    summary = calculate_readability_metrics([])
    assert summary.texts == 0
    assert summary.avg_words_per_sentence is None
