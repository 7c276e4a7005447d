"""A kind shows in how words are combined: a word by itself says little about it."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare
from sklearn.metrics import mutual_info_score

from sparse_transformers.utils.datasets.statement_kinds import (
    END,
    NOUNS,
    STATEMENT_DOMAINS,
    STATEMENT_KINDS,
    TEMPLATES,
    generate_statements,
    statement_words,
)


@pytest.fixture(scope="module")
def statements():
    return generate_statements(8000, seed=5)


@pytest.fixture(scope="module")
def words(statements):
    """A row for each word of each statement."""
    return statements.assign(word=statements["text"].str.split()).explode("word")


def bits(labels, other):
    return mutual_info_score(labels, other) / np.log(2)


def pattern_of(template):
    """A template as a regular expression: a slot that stands twice must be filled alike."""
    seen = set()

    def group(match):
        slot = match[1]
        return f"(?P={slot})" if slot in seen else seen.add(slot) or rf"(?P<{slot}>\w+)"

    return re.compile(re.sub(r"\{(\w+)\}", group, template))


def test_kinds_are_the_eight_and_domains_the_four():
    kinds = "factual opinion context temporal numerical entity causal contradiction"
    assert " ".join(STATEMENT_KINDS) == kinds
    assert len(STATEMENT_DOMAINS) == 4


def test_a_word_tells_little_of_the_kind_and_the_domain(words):
    # The sample overstates information by (words - 1)(classes - 1) / 2N nats: 0.011 and 0.005 bits.
    assert bits(words["word"], words["kind"]) == pytest.approx(0.57 + 0.011, abs=0.02)
    assert bits(words["word"], words["domain"]) == pytest.approx(0.20 + 0.005, abs=0.02)


def test_kind_and_domain_are_drawn_evenly_and_independently(statements):
    table = statements.groupby(["kind", "domain"]).size().unstack()
    assert table.shape == (8, 4)
    assert chi2_contingency(table).pvalue > 0.01
    assert chisquare(table.to_numpy().ravel()).pvalue > 0.01


def test_most_words_serve_many_kinds_and_domains(words):
    kinds, domains = (words.groupby("word")[column].nunique() for column in ("kind", "domain"))
    assert (kinds == 8).mean() > 0.6
    assert (kinds >= 2).mean() > 0.98
    assert (domains == 4).mean() > 0.75
    own_nouns = set(domains.index[domains == 1])
    assert own_nouns < {noun for nouns in NOUNS.values() for noun in nouns}
    assert 5 <= len(own_nouns) // len(NOUNS) <= 7


def test_four_beginnings_are_those_of_every_kind():
    beginnings = Counter(
        opening
        for templates in TEMPLATES.values()
        for opening in {" ".join(template.split()[:2]) for template in templates[:4]}
    )
    assert dict(beginnings) == {"the {noun}": 8, "{name} {verb}": 8, "there was": 8}


def test_statements_fit_templates_of_their_kind_with_nouns_of_their_domain(statements):
    patterns = {kind: [pattern_of(each) for each in TEMPLATES[kind]] for kind in STATEMENT_KINDS}
    used = defaultdict(Counter)
    for row in statements.itertuples():
        fits = [each.fullmatch(row.text) for each in patterns[row.kind]]
        match = next(filter(None, fits))
        used[row.kind][match.re.pattern] += 1
        slots = match.groupdict()
        sorts = [re.sub(r"\d", "", slot) for slot in slots]
        assert {word for slot, word in slots.items() if slot.startswith("noun")} <= set(
            NOUNS[row.domain]
        )
        assert len(set(zip(sorts, slots.values(), strict=True))) == len(slots)  # no word twice
    for counts in used.values():
        assert len(counts) == 6
        assert chisquare(list(counts.values())).pvalue > 1e-3


def test_every_template_has_a_noun_so_that_every_statement_has_a_domain():
    assert all("{noun}" in template for each in TEMPLATES.values() for template in each)


def test_statements_are_lower_case_words_of_the_vocabulary(statements, words):
    assert statements["text"].str.fullmatch(r"[a-z]+( [a-z]+)*").all()
    assert statements["text"].str.split().str.len().between(8, 13).all()
    vocabulary = statement_words()
    assert set(words["word"]) == set(vocabulary[1:])
    assert vocabulary[0] == END
    assert 150 <= len(vocabulary) == len(set(vocabulary)) <= 250


def test_statements_vary(statements):
    assert statements["text"].duplicated().mean() < 0.01
    assert statements["statement_id"].is_unique


def test_seed_decides_the_statements():
    table = generate_statements(50, seed=3)
    assert table.equals(generate_statements(50, seed=3))
    assert set(table["text"]).isdisjoint(generate_statements(50, seed=4)["text"])
    assert list(table.columns) == ["statement_id", "text", "kind", "domain"]


@pytest.mark.parametrize("n", [0, -1, 2.5])
def test_number_of_statements_must_be_a_whole_number_above_zero(n):
    with pytest.raises(ValueError, match="n must be a whole number and at least 1"):
        generate_statements(n)
