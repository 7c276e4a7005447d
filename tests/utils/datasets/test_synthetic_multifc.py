"""Synthetic MultiFC: its columns, and its domains in equal numbers."""

import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sparse_transformers.utils.dataset_synthesis import (
    MULTIFC_LABELS,
    generate_cross_domain_dataset,
    generate_multifc_sample,
    synthesize_cross_domain,
)
from sparse_transformers.utils.datasets.synthetic_multifc import OUTCOMES, THINGS


def test_multifc_table_has_the_documented_columns():
    table = generate_multifc_sample(500)
    assert list(table) == [
        *("claim", "label", "domain", "claim_type", "language", "source_type"),
        *("confidence_score", "date", "claim_id", "split"),
    ]
    assert set(table["label"]) == set(MULTIFC_LABELS)
    assert set(table["language"]) == {"en"}
    assert table["claim_id"].is_unique
    assert table["confidence_score"].between(0.3, 0.95).all()
    assert pd.to_datetime(table["date"]).between("2020-01-01", "2023-12-31").all()


def test_each_domain_has_as_many_rows_as_asked_for():
    table = generate_cross_domain_dataset(["Sports", "Health", "Science"], 70, seed=1)
    assert table["domain"].value_counts().to_dict() == {"Sports": 70, "Health": 70, "Science": 70}
    assert table["claim"].is_unique
    assert not table["domain"].iloc[:70].eq("Sports").all()


def test_claims_are_about_their_domain():
    table = synthesize_cross_domain(samples_per_domain=50).table
    for domain, text in zip(table["domain"], table["claim"], strict=True):
        assert any(f" {thing} " in text for thing in THINGS[domain])
        assert any(f" {outcome}" in text for outcome in OUTCOMES[domain])


def test_words_learned_in_some_domains_tell_the_labels_of_another():
    sample = synthesize_cross_domain(samples_per_domain=700, bayes_accuracy=0.9)
    other = sample.table["domain"] == "Sports"
    here, there = sample.table[~other], sample.table[other]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))
    model.fit(here["claim"], here["label"])
    assert model.score(there["claim"], there["label"]) > 0.8


@pytest.mark.parametrize("domains", [[], ["Health", "Health"], ["Cooking"], "Health"])
def test_domains_that_are_none_are_refused(domains):
    with pytest.raises(ValueError, match="domains must be different ones of Politics, Health"):
        generate_cross_domain_dataset(domains)


def test_no_rows_per_domain_are_refused():
    with pytest.raises(ValueError, match=r"samples_per_domain must be .* at least 1, got 0"):
        generate_cross_domain_dataset(["Health"], 0)
