"""How hard a text is to read, by formulas on counts; computed without any download.

textstat counts words, letters and sentences, and computes the measures that need no syllables. Its
own syllables come from a dictionary that it downloads, so they are counted by rule here
(`count_syllables`). The formulas were fitted to passages of a hundred words and more: for a single
sentence they are rough, and compare groups of texts better than texts.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from sparse_transformers.utils.analysis.distribution import Distribution, distribution_of
from sparse_transformers.utils.analysis.syllables import count_syllables
from sparse_transformers.utils.texts import check_list

READABILITY_COLUMNS = (
    "words",
    "sentences",
    "letters",
    "syllables",
    "flesch_reading_ease",
    "flesch_kincaid_grade",
    "automated_readability_index",
    "coleman_liau_index",
    "lix",
)

# A full stop that ends no sentence: in "3.5" and "example.org", after initials ("U.S.",
# "George W."), in "a.m.", after a title.
_INNER_STOP = re.compile(
    r"(?<=\w)\.(?=\w)|(?<=\b[A-Z])\.|(?<=\.[a-z])\."
    r"|\b(?:Mr|Mrs|Ms|Dr|Prof|Sen|Rep|Gov|Gen|Lt|Sgt|St|Jr|Sr|Inc|Corp|Co|No|vs)\."
)
_SPOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d[\d.,]*")


@dataclass(frozen=True)
class ReadabilityMetrics:
    """Readability over many texts, each text counting once.

    Attributes:
        texts: how many have words; the others are left out.
        flesch_reading_ease: about 100 for very easy, below 30 for very hard. Rule-based syllables.
        flesch_kincaid_grade: American school years needed. Rule-based syllables.
        automated_readability_index: school years; letters per word instead of syllables.
        coleman_liau_index: school years; letters and sentences per hundred words.
        lix: words per sentence plus the percentage of words longer than six letters.
        avg_words_per_sentence: all words by all sentences.
        avg_chars_per_word: all letters and digits by all words.
        avg_syllables_per_word: all syllables by all words.
    """

    texts: int
    flesch_reading_ease: Distribution | None
    flesch_kincaid_grade: Distribution | None
    automated_readability_index: Distribution | None
    coleman_liau_index: Distribution | None
    lix: Distribution | None
    avg_words_per_sentence: float | None
    avg_chars_per_word: float | None
    avg_syllables_per_word: float | None


def readability_table(texts: Iterable[str]) -> pd.DataFrame:
    """The counts and measures of each text: one row per text, the columns `READABILITY_COLUMNS`.

    A word is what stands between blanks and holds a letter or digit. A sentence of one or two
    words is not counted unless it is the only one. A number is spoken as one syllable. A text
    without words has zero counts and NaN measures.

    Source: Flesch 1948, Journal of Applied Psychology 32(3); Kincaid et al. 1975, Naval Technical
    Training Command report 8-75; Smith and Senter 1967, AMRL-TR-66-220; Coleman and Liau 1975,
    Journal of Applied Psychology 60(2); Björnsson 1968, Läsbarhet.
    """
    check_list(texts=texts)
    texts = list(texts)
    measured = {text: _measure(text) for text in set(texts)}  # questions come with many answers
    return pd.DataFrame([measured[text] for text in texts], columns=list(READABILITY_COLUMNS))


def calculate_readability_metrics(texts: Iterable[str]) -> ReadabilityMetrics:
    """Sum up the readability of many texts."""
    return summarize_readability(readability_table(texts))


def summarize_readability(table: pd.DataFrame) -> ReadabilityMetrics:
    """Sum up rows of a `readability_table`."""
    table = table[table["words"] > 0]
    totals = table[["words", "sentences", "letters", "syllables"]].sum()

    def per(total: str, unit: str) -> float | None:
        return float(totals[total] / totals[unit]) if len(table) else None

    return ReadabilityMetrics(
        texts=len(table),
        flesch_reading_ease=distribution_of(table["flesch_reading_ease"]),
        flesch_kincaid_grade=distribution_of(table["flesch_kincaid_grade"]),
        automated_readability_index=distribution_of(table["automated_readability_index"]),
        coleman_liau_index=distribution_of(table["coleman_liau_index"]),
        lix=distribution_of(table["lix"]),
        avg_words_per_sentence=per("words", "sentences"),
        avg_chars_per_word=per("letters", "words"),
        avg_syllables_per_word=per("syllables", "words"),
    )


def _measure(text: str) -> tuple[float, ...]:
    import textstat  # takes seconds to import, so only who needs it pays

    plain = _INNER_STOP.sub("", text)
    words = textstat.lexicon_count(plain)
    if words == 0:
        return (0, 0, 0, 0, *[float("nan")] * 5)
    sentences = textstat.sentence_count(plain)
    syllables = sum(count_syllables(spoken) for spoken in _SPOKEN.findall(text))
    words_per_sentence, syllables_per_word = words / sentences, syllables / words
    return (
        words,
        sentences,
        textstat.letter_count(plain),
        syllables,
        206.835 - 1.015 * words_per_sentence - 84.6 * syllables_per_word,
        0.39 * words_per_sentence + 11.8 * syllables_per_word - 15.59,
        textstat.automated_readability_index(plain),
        textstat.coleman_liau_index(plain),
        textstat.lix(plain),
    )
