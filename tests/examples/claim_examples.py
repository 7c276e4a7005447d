"""Small invented tables of claims and of answers, with one word that tells."""

import numpy as np
import pandas as pd

from sparse_transformers.claims.config import (
    ClaimClassifierConfig,
    NGramMember,
    TransformerMember,
)
from sparse_transformers.utils.dataset_synthesis import generate_liar_sample

QUICK = ClaimClassifierConfig(
    transformer=TransformerMember(d_model=16, epochs=2, learning_rate=1e-2, weight_decay=0.1),
    ngrams=NGramMember(n_buckets=2**12, epochs=6, learning_rate=5e-2),
    folds=2,
)


def liar_table(n=200, *, leaky_history=False):
    """Synthetic claims with the columns of LIAR."""
    return generate_liar_sample(n, seed=0, bayes_accuracy=0.6, leaky_history=leaky_history)


def answers_table(n=200):
    """Questions of two answers each; an answer with "surely" is false nine times out of ten."""
    rng = np.random.default_rng(0)
    truthful = rng.random(n) < 0.5
    sure = rng.random(n) < np.where(truthful, 0.1, 0.9)
    return pd.DataFrame(
        {
            "question": [f"What is thing {row // 2} made of?" for row in range(n)],
            "answer": np.where(sure, "It is surely made of tin.", "It is made of tin."),
            "truthful": truthful,
            "split": np.where(np.arange(n) < 0.7 * n, "train", "valid"),
        }
    )
