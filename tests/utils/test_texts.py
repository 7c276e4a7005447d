"""A single text is not taken for the list of its letters."""

import numpy as np
import pandas as pd
import pytest

import sparse_transformers as st
from sparse_transformers.claims.text_rows import check_fields
from sparse_transformers.claims.tokenizer import WordTokenizer
from sparse_transformers.demos.statements import encode_statements
from sparse_transformers.utils.analysis.data_quality import detect_data_quality_issues
from sparse_transformers.utils.analysis.label_balance import analyze_label_distribution
from sparse_transformers.utils.analysis.readability import readability_table
from sparse_transformers.utils.analysis.text_cleaning import preprocess_text_data
from sparse_transformers.utils.analysis.text_statistics import clean_texts
from sparse_transformers.utils.analysis.vocabulary import find_common_patterns, measure_vocabulary
from sparse_transformers.utils.datasets.statement_likelihood import statement_likelihood
from sparse_transformers.utils.plots.expert_load import plot_routing_scores
from sparse_transformers.utils.plots.expert_specialization import plot_expert_similarity
from sparse_transformers.utils.plots.truthfulness import plot_confusion_matrix

TABLE = pd.DataFrame({"a": ["one text", "another"], "b": ["x", "y"]})
EYE = np.eye(2)
CLASSIFIER = st.ClaimClassifier(st.ClaimClassifierConfig(transformer=None, folds=2))


@pytest.mark.unchecked_arrays
@pytest.mark.parametrize(
    ("argument", "use"),
    [
        ("rows", lambda: CLASSIFIER.fit("abab", [0, 1, 0, 1])),
        ("labels", lambda: CLASSIFIER.fit(["a", "b"] * 2, "abab")),
        ("classes", lambda: CLASSIFIER.fit(["a", "b"] * 2, list("abab"), classes="ab")),
        ("groups", lambda: CLASSIFIER.fit(["a", "b"] * 2, list("abab"), groups="abcd")),
        ("rows", lambda: CLASSIFIER.predict("ab")),
        ("fields", lambda: check_fields("text")),
        ("rows", lambda: WordTokenizer.from_rows("text")),
        (r"vocabulary\['text'\]", lambda: WordTokenizer({"text": "abc"})),
        ("texts", lambda: measure_vocabulary("a text")),
        ("texts", lambda: find_common_patterns("a text")),
        ("texts", lambda: readability_table("a text")),
        ("texts", lambda: clean_texts("a text")),
        ("text_columns", lambda: preprocess_text_data(TABLE, "ab")),
        ("operations", lambda: preprocess_text_data(TABLE, ["a"], "lowercase")),
        ("text_columns", lambda: detect_data_quality_issues(TABLE, "ab")),
        ("order", lambda: analyze_label_distribution(["a", "b"], "ab")),
        ("words", lambda: statement_likelihood("The")),
        ("texts", lambda: encode_statements("The")),
        ("labels", lambda: plot_confusion_matrix(EYE, "ab")),
        ("names", lambda: plot_expert_similarity(EYE, "ab")),
        ("words", lambda: plot_routing_scores(EYE, "ab", EYE > 0)),
    ],
)
def test_a_single_text_is_no_list(argument, use):
    with pytest.raises(ValueError, match=f"^{argument} must be a list, got the single text"):
        use()
