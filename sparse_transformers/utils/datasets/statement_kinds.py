"""Statements of eight kinds that are told apart by how words are combined, not by which they are.

Kind and domain are drawn independently. The kind chooses the template, the domain the nouns; names,
places, adjectives, verbs and numbers are everybody's. Most function words serve several kinds too:
"because" or "before" alone do not give a kind away.
"""

import numpy as np
import pandas as pd

from sparse_transformers.utils.datasets.claim_grammar import check_at_least_one, phrases
from sparse_transformers.utils.datasets.invented_names import FIRST_NAMES, PLACES

TEMPLATES: dict[str, tuple[str, ...]] = {
    "factual": (
        "the {noun} was {adjective} near the {noun2} in {place}",
        "{name} {verb} the {noun} near {place} and the {noun2} in {place2}",
        "the {noun} of {place} {verb} the {adjective} {noun2} before {name}",
        "there was a {adjective} {noun} between {place} and {place2}",
        "every {noun} in {place} has {number} {adjective} {unit}",
        "in {place} {name} {verb} the {noun} and the {noun2}",
    ),
    "opinion": (
        "the {noun} was {adjective} but too {adjective2} for {name}",
        "{name} {verb} the {noun} that should have been more {adjective}",
        "the {noun} of {place} is too {adjective} for {name}",
        "there was no {noun} as {adjective} as the {noun2} of {place}",
        "{name} likes the {noun} because it is more {adjective} than the {noun2}",
        "for {name} the {noun} should have been without {number} {unit} of {noun2}",
    ),
    "context": (
        "the {noun} was {adjective} only as {name} said it in {place}",
        "{name} {verb} the {noun} but said so only after {number} {unit}",
        "the {noun} of {place} is {adjective} if one asked {name}",
        "there was a {noun} when {name} said that it was {adjective}",
        "{name} was asked if the {noun} of {place} should be {adjective}",
        "in {place} {name} said so of the {noun} but not of the {noun2}",
    ),
    "temporal": (
        "the {noun} was {adjective} for {number} {unit} after the {noun2}",
        "{name} {verb} the {noun} {number} {unit} before the {noun2}",
        "the {noun} of {place} has been {adjective} since the {noun2}",
        "there was a {adjective} {noun} and then a {noun2} in {place}",
        "{number} {unit} after the {noun} {name} {verb} the {noun2} in {place}",
        "when the {noun} was {number} {unit} old {name} {verb} it again",
    ),
    "numerical": (
        "the {noun} was {adjective} in {number} of {number2} {unit}",
        "{name} {verb} the {noun} in {number} and then in {number2} {unit}",
        "the {noun} of {place} has {number} more {unit} than the {noun2}",
        "there was a {noun} every {number} {unit} since the {noun2}",
        "{number} of the {number2} {unit} of the {noun} have been {adjective}",
        "between {place} and {place2} there would be {number} {unit} of {noun}",
    ),
    "entity": (
        "the {noun} was {adjective} and named after {name} of {place}",
        "{name} {verb} the {noun} and not {name} of {place}",
        "the {noun} of {place} is not the {noun} near {place}",
        "there was a {noun} named {name} in {place} and {number} in {place2}",
        "it was {name} and not {name2} who asked for the {adjective} {noun}",
        "in {place} the {adjective} {noun} is named {name} and not {name2}",
    ),
    "causal": (
        "the {noun} was {adjective} because {name} {verb} the {noun2}",
        "{name} {verb} the {noun} and so the {noun2} was {adjective}",
        "the {noun} of {place} is so {adjective} that {name} {verb} it",
        "there was no {noun} because the {noun2} was too {adjective}",
        "if the {noun} is {adjective} {name} likes the {noun2} again",
        "without the {noun} of {place} the {noun2} would be {adjective} for {number} {unit}",
    ),
    "contradiction": (
        "the {noun} was {adjective} but the {noun} was not {adjective}",
        "{name} {verb} the {noun} but it was not {name} who {verb} it",
        "the {noun} of {place} is named {name} but not {name} there",
        "there was no {noun} in {place} and the {noun} in {place} was {adjective}",
        "{name} said that the {noun} was {adjective} and that it was not {adjective}",
        "every {noun} has {number} {unit} and one {noun} has {number2}",
    ),
}
"""What a kind is: its templates, all equally probable.

A slot that stands twice is filled alike. The first four templates of every kind begin alike: there
the kind shows only in how a statement goes on.
"""

NOUNS: dict[str, tuple[str, ...]] = {
    "cities": phrases(
        "bridge, tower, market, street, square, station, garden, harbour, hall, festival, "
        "river, crowd"
    ),
    "weather": phrases(
        "storm, wind, frost, rain, flood, fog, river, harbour, garden, season, winter, field"
    ),
    "sport": phrases(
        "match, race, team, coach, trophy, goal, season, winter, field, crowd, street, record"
    ),
    "music": phrases(
        "song, choir, drum, band, singer, concert, hall, festival, square, crowd, season, record"
    ),
}
"""What a domain is: its nouns, of which it shares about half with other domains."""

SHARED_WORDS: dict[str, tuple[str, ...]] = {
    "name": FIRST_NAMES,
    "place": tuple(place.lower() for place in PLACES[:24]),
    "adjective": phrases(
        "old, new, long, short, great, small, quiet, loud, early, late, strong, weak, cold, "
        "warm, fast, slow, rare, common, famous, strange"
    ),
    "verb": phrases(
        "changed, followed, reached, left, opened, closed, passed, stopped, started, moved, "
        "found, lost, saved, watched, missed, praised"
    ),
    "number": phrases("two, three, four, five, six, seven, eight, nine, ten, eleven, twelve"),
    "unit": phrases("hours, days, weeks, months, years, miles, steps, parts"),
}
"""What may stand in the other slots, whatever the kind and the domain."""

STATEMENT_KINDS = tuple(TEMPLATES)
STATEMENT_DOMAINS = tuple(NOUNS)
END = "."
"""The word that ends a statement in running text."""


def generate_statements(n: int = 1000, *, seed: int = 0) -> pd.DataFrame:
    """Statements of random kinds about random domains, each drawn independently of the others.

    A statement is there for the shape of its sentence, not for what it says. A word by itself tells
    0.57 of the 3 bits that a kind has, and 0.20 of the 2 bits of a domain; whatever a
    model predicts beyond that, it takes from how the words are combined.

    Args:
        n: the number of statements. Two may be alike, as seldom as chance has it.
        seed: same seed, same statements.

    Returns:
        A row for each, with `statement_id`, `text` (lower case, 8 to 13 words, without a full
        stop), `kind` and `domain`.

    Raises:
        ValueError: `n` is below 1.

    Example:
        >>> import sparse_transformers as st
        >>> statements = st.generate_statements(100, seed=0)
        >>> list(statements), statements["kind"].nunique()
        (['statement_id', 'text', 'kind', 'domain'], 8)
    """
    check_at_least_one("n", n)
    rng = np.random.default_rng(seed)
    kinds = rng.choice(STATEMENT_KINDS, size=n)
    domains = rng.choice(STATEMENT_DOMAINS, size=n)
    texts = [
        _fill(TEMPLATES[kind][rng.integers(len(TEMPLATES[kind]))], slot_words(domain), rng)
        for kind, domain in zip(kinds, domains, strict=True)
    ]
    return pd.DataFrame(
        {
            "statement_id": [f"statement_{row:05d}" for row in range(n)],
            "text": texts,
            "kind": kinds.astype(object),
            "domain": domains.astype(object),
        }
    )


def statement_words() -> tuple[str, ...]:
    """Every word that a statement can hold, in alphabetical order, and `END` before them."""
    literals = {
        part for templates in TEMPLATES.values() for text in templates for part in text.split()
    }
    words = {word for pools in (NOUNS, SHARED_WORDS) for pool in pools.values() for word in pool}
    words |= {part for part in literals if not is_slot(part)}
    return (END, *sorted(words))


def slot_words(domain: str) -> dict[str, tuple[str, ...]]:
    """What may stand in each sort of slot when the statement is about `domain`."""
    return {"noun": NOUNS[domain], **SHARED_WORDS}


def is_slot(part: str) -> bool:
    """Whether a part of a template is to be filled, rather than a word."""
    return part.startswith("{")


def sort_of(slot: str) -> str:
    """The name of the words that fill a slot: "noun" for `{noun}` and for `{noun2}`."""
    return slot.strip("{}2")


def _fill(template: str, words: dict[str, tuple[str, ...]], rng: np.random.Generator) -> str:
    """Fill slots of one sort with different words, all choices equally probable."""
    parts = template.split()
    slots = dict.fromkeys(filter(is_slot, parts))
    left = {sort: list(rng.permutation(words[sort])) for sort in map(sort_of, slots)}
    filled = {slot: left[sort_of(slot)].pop() for slot in slots}
    return " ".join(filled.get(part, part) for part in parts)
