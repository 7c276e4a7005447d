"""Baselines: the most common class, and linear models of words and of metadata."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sparse_transformers.claims.text_rows import split_words
from sparse_transformers.utils.arrays import Codes, Probabilities


def majority_probabilities(targets: Codes, n_rows: int, n_classes: int) -> Probabilities:
    """The shares of the classes among the training rows, for every row: (rows, classes)."""
    shares = np.bincount(targets, minlength=n_classes) / len(targets)
    return np.tile(shares, (n_rows, 1))


def bag_of_words_probabilities(
    train: pd.DataFrame,
    targets: Codes,
    rows: pd.DataFrame,
    *,
    fields: Sequence[str],
    n_classes: int,
    words: tuple[int, int] = (1, 2),
    characters: tuple[int, int] | None = None,
    inverse_regularisation: float = 1.0,
) -> Probabilities:
    """The predictions of scikit-learn's logistic regression on TF-IDF features of each field.

    Args:
        train: the rows to fit to, with a text in each field.
        targets: their class numbers.
        rows: the rows to predict.
        fields: the columns to use; those without any word in the training rows are left out.
        n_classes: number of classes; one that does not occur among the targets has probability 0.
        words: lengths of the shortest and the longest n-grams of words.
        characters: likewise for n-grams of characters within words of the first field; None for no
            such features.
        inverse_regularisation: scikit-learn's `C`.

    Returns:
        Probabilities, (rows, classes).

    Raises:
        ValueError: no field holds a word in the training rows.
    """
    used = [field for field in fields if train[field].str.strip().any()]
    if not used:
        raise ValueError(f"one of the fields {', '.join(fields)} must hold a word, got none")
    bags = [
        (
            f"words of {field}",
            TfidfVectorizer(
                tokenizer=split_words, token_pattern=None, ngram_range=words, sublinear_tf=True
            ),
            field,
        )
        for field in used
    ]
    if characters is not None:
        vectorizer = TfidfVectorizer(
            analyzer="char_wb", ngram_range=characters, sublinear_tf=True, min_df=2
        )
        bags.append((f"characters of {used[0]}", vectorizer, used[0]))
    model = make_pipeline(
        ColumnTransformer(bags), LogisticRegression(C=inverse_regularisation, max_iter=1000)
    )
    model.fit(train, targets)
    probabilities = np.zeros((len(rows), n_classes))
    probabilities[:, model.classes_] = model.predict_proba(rows)
    return probabilities
