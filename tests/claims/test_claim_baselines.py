import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from sparse_transformers.claims.baselines import (
    bag_of_words_probabilities,
    majority_probabilities,
)
from sparse_transformers.claims.text_rows import split_words

TEXTS = ["a calm claim", "a loud claim", "calm words", "loud words!", "so calm", "so loud"]
TARGETS = np.array([1, 0, 1, 0, 1, 0])
ROWS = pd.DataFrame({"statement": TEXTS, "context": ["tv", "web"] * 3, "empty": [" "] * 6})


def test_majority_is_sklearns_prior():
    targets = np.array([0, 2, 2, 2, 0])
    expected = DummyClassifier(strategy="prior").fit(targets[:, None], targets)
    probabilities = majority_probabilities(targets, n_rows=3, n_classes=3)
    np.testing.assert_allclose(probabilities[:, [0, 2]], expected.predict_proba(np.zeros((3, 1))))
    assert (probabilities[:, 1] == 0).all()


def test_words_are_sklearns_logistic_regression_on_tfidf():
    vectorizer = TfidfVectorizer(
        tokenizer=split_words, token_pattern=None, ngram_range=(1, 2), sublinear_tf=True
    )
    features = vectorizer.fit_transform(TEXTS)
    model = LogisticRegression(C=0.7, max_iter=1000).fit(features, TARGETS)
    probabilities = bag_of_words_probabilities(
        ROWS, TARGETS, ROWS, fields=["statement"], n_classes=2, inverse_regularisation=0.7
    )
    np.testing.assert_allclose(probabilities, model.predict_proba(features), atol=1e-6)


def test_every_field_and_the_characters_take_part():
    def judge(fields, characters=None):
        return bag_of_words_probabilities(
            ROWS, TARGETS, ROWS, fields=fields, n_classes=2, characters=characters
        )

    words = judge(["statement"])
    assert not np.allclose(judge(["statement", "context"]), words)
    assert not np.allclose(judge(["statement"], (2, 3)), words)
    np.testing.assert_allclose(judge(["statement", "empty"]), words)


def test_class_without_rows_is_impossible():
    probabilities = bag_of_words_probabilities(
        ROWS, 2 * TARGETS, ROWS, fields=["statement"], n_classes=3
    )
    assert probabilities.shape == (6, 3)
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1)


def test_fields_without_words_are_named():
    with pytest.raises(ValueError, match="one of the fields empty must hold a word"):
        bag_of_words_probabilities(ROWS, TARGETS, ROWS, fields=["empty"], n_classes=2)
