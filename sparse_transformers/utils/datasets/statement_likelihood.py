"""The exact probability of a statement, word by word, under the grammar it was drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float

from sparse_transformers.utils.datasets.statement_kinds import (
    END,
    STATEMENT_DOMAINS,
    STATEMENT_KINDS,
    TEMPLATES,
    is_slot,
    slot_words,
    sort_of,
)
from sparse_transformers.utils.texts import check_list


@dataclass(frozen=True, eq=False)
class StatementLikelihood:
    """The exact probabilities of a statement's words and kinds under the grammar.

    Attributes:
        nats: -ln p of each word given those before it. No model has a lower expected mean on
            statements that it has not seen.
        kinds: the probability of each of `STATEMENT_KINDS` after each word, that word included.
    """

    nats: Float[np.ndarray, "words"]
    kinds: Float[np.ndarray, "words kinds"]


def statement_likelihood(words: Sequence[str]) -> StatementLikelihood:
    """The exact probabilities behind one statement of `generate_statements`.

    For every kind, domain and template there is at most one way to write the words; the forward
    algorithm adds these up, for the first word alone, the first two, and so on.

    Args:
        words: of one statement from its beginning, with `END` where it is complete.

    Raises:
        ValueError: no statement begins with these words.
    """
    check_list(words=words)
    prefixes = np.zeros((len(STATEMENT_KINDS), len(words)))
    for way in _ways():
        prefixes[way.kind] += way.share * _prefix_probabilities(words, way.parts, way.pools)
    totals = prefixes.sum(0)
    if not totals.all():
        raise ValueError(f"words must be the beginning of a statement, got {' '.join(words)!r}")
    nats = -np.diff(np.log(totals), prepend=0.0)
    return StatementLikelihood(nats, (prefixes / totals).T)


@dataclass(frozen=True)
class _Way:
    """One way to write a statement: a template with the words of a domain."""

    kind: int
    share: float
    parts: tuple[str, ...]
    pools: dict[str, tuple[str, ...]]


@cache
def _ways() -> tuple[_Way, ...]:
    return tuple(
        _Way(
            kind=kind,
            share=1 / (len(TEMPLATES) * len(STATEMENT_DOMAINS) * len(templates)),
            parts=(*template.split(), END),
            pools=slot_words(domain),
        )
        for kind, templates in enumerate(TEMPLATES.values())
        for template in templates
        for domain in STATEMENT_DOMAINS
    )


def _prefix_probabilities(
    words: Sequence[str], parts: Sequence[str], pools: dict[str, tuple[str, ...]]
) -> Float[np.ndarray, "words"]:
    """How probable a template makes the first word, the first two, and so on."""
    probabilities = np.zeros(len(words))
    probability, filled = 1.0, dict[str, str]()
    for place, (word, part) in enumerate(zip(words, parts, strict=False)):
        if not is_slot(part) or part in filled:
            probability *= word == filled.get(part, part)
        else:
            pool, used = pools[sort_of(part)], _words_of_sort(filled, sort_of(part))
            probability *= (word in pool and word not in used) / (len(pool) - len(used))
            filled[part] = word
        if not probability:
            break
        probabilities[place] = probability
    return probabilities


def _words_of_sort(filled: dict[str, str], sort: str) -> list[str]:
    return [word for slot, word in filled.items() if sort_of(slot) == sort]
