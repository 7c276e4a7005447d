"""The words of a collection of texts: how many, how varied, which often, which together.

Only those parts of nltk are used that need no corpus, so nothing is downloaded.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.special import gammaln
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from sparse_transformers.utils.texts import check_list

SAMPLE_WORDS = 1000
"""The sample in which different words are counted, so that collections of any size compare."""

_WORD = r"(?:[^\W\d_]\.){2,}|[^\W_]+(?:[.,'-][^\W_]+)*"
_FEWEST_TOGETHER = 3


@dataclass(frozen=True)
class Vocabulary:
    """How many words there are, and how varied.

    Attributes:
        words: running words, a repeated word counted each time.
        distinct_words: different words, capitals ignored.
        distinct_stems: different words after cutting endings (Porter's second English stemmer).
        once_share: of the distinct words, the share that occurs only once; None without words.
        distinct_per_thousand: how many different words a random thousand of the running words
            hold on average; None if there are fewer than a thousand.
    """

    words: int
    distinct_words: int
    distinct_stems: int
    once_share: float | None
    distinct_per_thousand: float | None


@dataclass(frozen=True)
class CommonPatterns:
    """What occurs often, most often first, with the number of times; capitals are ignored.

    Attributes:
        common_words: without stop words.
        common_bigrams: two neighbouring words of one text, any words.
        common_phrases: neighbours without stop words that stand together more often than their
            frequencies explain, in the order of the log-likelihood ratio.
    """

    common_words: dict[str, int]
    common_bigrams: dict[str, int]
    common_phrases: dict[str, int]


def split_words(text: str) -> list[str]:
    """The words of a text in lower case: "it's", "well-known", "3.5", "u.s." are one word each."""
    return _tokenizer().tokenize(text.lower().replace("’", "'"))


def measure_vocabulary(texts: Iterable[str]) -> Vocabulary:
    """Count words, distinct words and stems.

    Source: Porter 2001, snowballstem.org, English; Hurlbert 1971, Ecology 52(4), equation 14
    (distinct words in a random sample).
    """
    from nltk.stem.snowball import SnowballStemmer

    check_list(texts=texts)
    counts = Counter(word for text in texts for word in split_words(text))
    stem = SnowballStemmer("english").stem
    return Vocabulary(
        words=counts.total(),
        distinct_words=len(counts),
        distinct_stems=len({stem(word) for word in counts}),
        once_share=sum(count == 1 for count in counts.values()) / len(counts) if counts else None,
        distinct_per_thousand=_expected_distinct(list(counts.values()), SAMPLE_WORDS),
    )


def find_common_patterns(texts: Iterable[str], top_k: int = 20) -> CommonPatterns:
    """The most frequent words and pairs of words.

    Args:
        texts: in any order.
        top_k: how many of each kind at most.

    Raises:
        ValueError: `top_k` is below 1.

    Source: Dunning 1993, Computational Linguistics 19(1) (log-likelihood ratio).
    """
    from nltk.collocations import BigramAssocMeasures, BigramCollocationFinder

    if top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    check_list(texts=texts)
    documents = [split_words(text) for text in texts]
    pairs = BigramCollocationFinder.from_documents(documents)
    words = Counter({word: n for word, n in pairs.word_fd.items() if _is_content(word)})
    bigrams = Counter({" ".join(pair): n for pair, n in pairs.ngram_fd.items()})

    pairs.apply_freq_filter(_FEWEST_TOGETHER)
    pairs.apply_word_filter(lambda word: not _is_content(word))
    phrases = pairs.nbest(BigramAssocMeasures.likelihood_ratio, top_k)
    return CommonPatterns(
        common_words=dict(_most_common(words, top_k)),
        common_bigrams=dict(_most_common(bigrams, top_k)),
        common_phrases={" ".join(pair): pairs.ngram_fd[pair] for pair in phrases},
    )


@cache
def _tokenizer() -> Any:
    from nltk.tokenize import RegexpTokenizer  # nltk takes a second to import

    return RegexpTokenizer(_WORD)


def _is_content(word: str) -> bool:
    stem = word.removesuffix("n't").partition("'")[0]  # "it's" is as empty as "it"
    return stem not in ENGLISH_STOP_WORDS and any(map(str.isalpha, stem)) and len(stem) > 1


def _most_common(counts: Counter[str], top_k: int) -> list[tuple[str, int]]:
    """The commonest; those equally common in the order of the alphabet."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:top_k]


def _expected_distinct(counts: Sequence[int], sample: int) -> float | None:
    total = sum(counts)
    if total < sample:
        return None
    others = total - np.asarray(counts, dtype=np.float64)
    log_missing = (  # minus infinity for a word that every sample must hold
        gammaln(others + 1)
        - gammaln(others - sample + 1)
        - gammaln(total + 1)
        + gammaln(total - sample + 1)
    )
    return float(len(counts) - np.exp(log_missing).sum())
