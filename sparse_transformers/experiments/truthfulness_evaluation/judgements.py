"""Who judges claims, and what they say: probabilities on the held-out rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from sparse_transformers.claims.baselines import (
    bag_of_words_probabilities,
    majority_probabilities,
)
from sparse_transformers.claims.classifier import ClaimClassifier
from sparse_transformers.claims.config import ClaimClassifierConfig
from sparse_transformers.claims.corpora import HISTORY, METADATA, TEXT, ClaimCorpus
from sparse_transformers.experiments.truthfulness_evaluation.records import (
    BOTH,
    LINEAR,
    MAJORITY,
    NGRAMS,
    TRANSFORMER,
)
from sparse_transformers.utils.arrays import Codes, Probabilities

MEMBERS = {"ngrams": NGRAMS, "transformer": TRANSFORMER}
CHARACTERS = (2, 5)


@dataclass(frozen=True, eq=False)
class Judgement:
    """The probabilities of one model.

    Attributes:
        model: what judges.
        inputs: what it reads.
        probabilities: on the held-out rows, (rows, classes).
        leaks: whether the inputs hold part of the answer.
        out_of_fold: the same on the training rows, by members that have not learned from the row;
            None for models that were not cross-validated.
        folds: of the training rows, (rows,); None likewise.
    """

    model: str
    inputs: str
    probabilities: Probabilities
    leaks: bool = False
    out_of_fold: Probabilities | None = None
    folds: Codes | None = None

    def merged(self, merge: Codes) -> "Judgement":
        """On fewer classes: the probabilities of those that count as one are added up.

        Args:
            merge: which new class each class counts as.
        """
        columns = np.eye(int(merge.max()) + 1)[merge]  # (classes, new classes)
        return replace(
            self,
            probabilities=self.probabilities @ columns,
            out_of_fold=None if self.out_of_fold is None else self.out_of_fold @ columns,
        )


def judge_by_classifiers(
    corpus: ClaimCorpus,
    config: ClaimClassifierConfig,
    *,
    history: bool,
    say: Callable[[str], object],
    progress: bool,
) -> Iterator[Judgement]:
    """Train an ensemble on each choice of inputs; its members judge by kind, and all together.

    Args:
        corpus: what to learn from.
        config: how; the fields follow from the corpus.
        history: whether to train one on the credit history too, if there is one.
        say: is told what comes next.
        progress: whether to show a progress bar for each member.
    """
    kinds: dict[str | None, str] = {kind: MEMBERS[kind] for kind in config.members}
    if len(kinds) > 1:
        kinds[None] = BOTH
    for parts in _choices_of_inputs(corpus, history):
        inputs = " + ".join(parts)
        say(f"{corpus.name}: classifiers of {inputs}")
        classifier = ClaimClassifier(
            replace(config, fields=corpus.fields_of(*parts), mark_repeats=corpus.mark_repeats)
        )
        classifier.fit(
            corpus.train.to_dict("records"),
            corpus.train_labels,
            classes=corpus.classes,
            groups=corpus.train_groups,
            say=say,
            progress=progress,
        )
        for kind, model in kinds.items():
            yield Judgement(
                model,
                inputs,
                classifier.predict_proba(corpus.valid.to_dict("records"), kind=kind),
                HISTORY in parts,
                classifier.out_of_fold_proba(kind=kind),
                classifier.out_of_fold.folds,
            )


def judge_by_baselines(
    corpus: ClaimCorpus, targets: Codes, *, n_classes: int, linear_strength: float
) -> Iterator[Judgement]:
    """The most common class, and linear models of metadata, of words, and of all there is.

    Args:
        corpus: what to learn from.
        targets: the class number of each training row.
        n_classes: how many classes there are.
        linear_strength: the inverse regularisation of the linear models.
    """
    majority = majority_probabilities(targets, len(corpus.valid), n_classes)
    yield Judgement(MAJORITY, "nothing", majority)
    metadata = (METADATA,) if METADATA in corpus.fields else ()
    everything = (TEXT, *metadata)
    for parts, characters in ((metadata, None), ((TEXT,), None), (everything, CHARACTERS)):
        if parts:
            probabilities = bag_of_words_probabilities(
                corpus.train,
                targets,
                corpus.valid,
                fields=corpus.fields_of(*parts),
                n_classes=n_classes,
                characters=characters,
                inverse_regularisation=linear_strength,
            )
            inputs = (*parts, "characters") if characters else parts
            yield Judgement(LINEAR, " + ".join(inputs), probabilities)


def _choices_of_inputs(corpus: ClaimCorpus, history: bool) -> Iterator[tuple[str, ...]]:
    if history and HISTORY in corpus.fields:
        yield TEXT, METADATA, HISTORY
    yield (TEXT,)
    if METADATA in corpus.fields:
        yield TEXT, METADATA
