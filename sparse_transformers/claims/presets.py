"""The configuration of a claim classifier for a corpus: by its origin and its fields."""

from dataclasses import dataclass

from sparse_transformers.claims.config import (
    ClaimClassifierConfig,
    NGramMember,
    TransformerMember,
)
from sparse_transformers.claims.corpora import METADATA, ClaimCorpus

CLAIMS = ClaimClassifierConfig(folds=8)
"""Chosen by cross-validation on the training rows of LIAR."""

ANSWERS = ClaimClassifierConfig(
    transformer=TransformerMember(
        dropout=0.1, token_dropout=0.3, learning_rate=2e-3, weight_decay=0.1
    ),
    ngrams=NGramMember(dropout=0.3, learning_rate=2e-2),
    folds=8,
)
"""Chosen by cross-validation on the training rows of the judged answers."""

INVENTED = ClaimClassifierConfig(
    transformer=TransformerMember(
        d_model=32,
        dropout=0.1,
        token_dropout=0.2,
        epochs=6,
        learning_rate=3e-3,
        weight_decay=0.3,
    ),
    ngrams=NGramMember(n_buckets=2**15, epochs=15, learning_rate=3e-2),
    folds=3,
    patience=4,
)
"""For synthetic claims, of which there are few, and which are quickly learned."""


@dataclass(frozen=True)
class ClaimPresets:
    """A configuration for each sort of corpus; the fields to use follow from the corpus.

    Attributes:
        claims: for claims with metadata, as in LIAR.
        answers: for answers to questions.
        invented: for synthetic claims.
    """

    claims: ClaimClassifierConfig = CLAIMS
    answers: ClaimClassifierConfig = ANSWERS
    invented: ClaimClassifierConfig = INVENTED

    def config_for(self, corpus: ClaimCorpus, *, invented: bool) -> ClaimClassifierConfig:
        """The configuration for a corpus, by its origin and whether it has metadata."""
        if invented:
            return self.invented
        return self.claims if METADATA in corpus.fields else self.answers
