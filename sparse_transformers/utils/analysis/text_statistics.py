"""What texts look like: lengths, punctuation, capitals, numbers, links."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from sparse_transformers.utils.analysis.distribution import Distribution, distribution_of
from sparse_transformers.utils.analysis.readability import (
    ReadabilityMetrics,
    readability_table,
    summarize_readability,
)
from sparse_transformers.utils.analysis.vocabulary import (
    CommonPatterns,
    Vocabulary,
    find_common_patterns,
    measure_vocabulary,
)
from sparse_transformers.utils.texts import check_list

PUNCTUATION = {
    "periods": r"\.",
    "commas": ",",
    "question_marks": r"\?",
    "exclamation_marks": "!",
    "semicolons": ";",
    "colons": ":",
    "quotes": '["“”„«»]',
}
NUMBERS = {
    "digit_count": r"\d",
    "number_sequences": r"\d+(?:[.,]\d+)*",
    "percentage_mentions": r"\d\s?%|\bper ?cent\b",
    "year_mentions": r"\b(?:1[89]|20)\d\d\b",
}
SPECIAL_CHARACTERS = {
    "urls": r"https?://\S+|\bwww\.\S+",
    "mentions": r"(?<!\w)@\w+",
    "hashtags": r"(?<!\w)#\w*[^\W\d]\w*",
    "parentheses": r"[()]",
}
_LETTERS = r"[^\W\d_]"


@dataclass(frozen=True)
class LinguisticPatterns:
    """How often things occur in all texts together.

    Attributes:
        punctuation: marks, by the names in `PUNCTUATION`.
        capitalization: `all_caps_words`, words of two letters or more in capitals;
            `title_case_ratio`, the share of the words that begin with a capital and go on without;
            `sentence_start_caps`, sentences that begin with a capital.
        numbers: digits, numbers, percentages and years from 1800 to 2099.
        special_chars: links, @names, #tags and parentheses.
    """

    punctuation: dict[str, int]
    capitalization: dict[str, float]
    numbers: dict[str, int]
    special_chars: dict[str, int]


@dataclass(frozen=True)
class TextPatterns:
    """One column of texts. What needs texts is None where all are empty.

    Attributes:
        total_texts: rows.
        non_empty_texts: rows with more than blanks; only these count below.
        char_length_stats: characters per text.
        word_length_stats: words per text, as `readability_table` counts them.
        linguistic_patterns: punctuation, capitals, numbers, links.
        readability: by formula.
        vocabulary: how varied the words are.
        common_patterns: which words are frequent.
    """

    total_texts: int
    non_empty_texts: int
    char_length_stats: Distribution | None
    word_length_stats: Distribution | None
    linguistic_patterns: LinguisticPatterns
    readability: ReadabilityMetrics
    vocabulary: Vocabulary
    common_patterns: CommonPatterns


def analyze_text_patterns(
    texts: Iterable[str | None], *, measures: pd.DataFrame | None = None, top_k: int = 20
) -> TextPatterns:
    """Describe a column of texts.

    Args:
        texts: one per row; None and NaN count as empty.
        measures: `readability_table(clean_texts(texts))`, if it has been made already.
        top_k: how many frequent words and pairs to list.

    Raises:
        ValueError: an entry is neither text nor missing, or `measures` has another number of rows.
    """
    cleaned = clean_texts(texts)
    if measures is None:
        measures = readability_table(cleaned)
    if len(measures) != len(cleaned):
        raise ValueError(
            f"measures must have one row per text, {len(cleaned)}, got {len(measures)}"
        )
    is_filled = [bool(text.strip()) for text in cleaned]
    filled = [text for text, kept in zip(cleaned, is_filled, strict=True) if kept]
    measures = measures[is_filled]
    return TextPatterns(
        total_texts=len(cleaned),
        non_empty_texts=len(filled),
        char_length_stats=distribution_of(map(len, filled)),
        word_length_stats=distribution_of(measures["words"]),
        linguistic_patterns=analyze_linguistic_patterns(filled),
        readability=summarize_readability(measures),
        vocabulary=measure_vocabulary(filled),
        common_patterns=find_common_patterns(filled, top_k),
    )


def analyze_linguistic_patterns(texts: Iterable[str | None]) -> LinguisticPatterns:
    """Count punctuation, capitals, numbers and links."""
    cleaned = clean_texts(texts)

    def count(pattern: str) -> int:
        find = re.compile(pattern).findall
        return sum(len(find(text)) for text in cleaned)

    words = count(rf"{_LETTERS}+")
    title_words = count(r"\b[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ]*\b(?!['’])")
    return LinguisticPatterns(
        punctuation={name: count(pattern) for name, pattern in PUNCTUATION.items()},
        capitalization={
            "all_caps_words": count(r"\b[A-ZÀ-ÖØ-Þ]{2,}\b"),
            "title_case_ratio": title_words / words if words else 0.0,
            "sentence_start_caps": count(r"(?:^|[.!?]\s)\W*[A-ZÀ-ÖØ-Þ]"),
        },
        numbers={name: count(pattern) for name, pattern in NUMBERS.items()},
        special_chars={name: count(pattern) for name, pattern in SPECIAL_CHARACTERS.items()},
    )


def clean_texts(texts: Iterable[str | None]) -> list[str]:
    """Texts with "" for what is missing.

    Raises:
        ValueError: an entry is neither text nor missing.
    """
    check_list(texts=texts)
    cleaned = []
    for text in texts:
        if isinstance(text, str):
            cleaned.append(text)
        elif pd.api.types.is_scalar(text) and pd.isna(text):
            cleaned.append("")
        else:
            raise ValueError(f"texts must be strings or missing, got {text!r}")
    return cleaned
