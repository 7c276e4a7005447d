"""A classifier of claims that is trained on a few thousand rows, and knows how sure it may be.

Readers of two kinds, a small transformer and votes of n-grams, are trained across folds (see
`claim_readers.py`). From their judgements on rows that they have not learned from follows how sure
each kind may be, its temperature. A new text is judged by all of them: each kind says the mean of
its readers, and the kinds' calibrated logits are averaged.

Source: Breiman 1996, "Stacked Regressions", Machine Learning 24 (out-of-fold combination); Guo et
al. 2017, arXiv:1706.04599 (temperature scaling).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sparse_transformers.claims.calibration import ClaimCalibration, Label, calibrate, combine
from sparse_transformers.claims.config import ClaimClassifierConfig
from sparse_transformers.claims.members import (
    OutOfFold,
    ask_reader,
    deal_folds,
    readers_of,
    train_readers,
    untrained_readers,
)
from sparse_transformers.claims.tokenizer import (
    TOKENIZER_FILE,
    ByteTokenizer,
    Row,
    TextTokenizer,
    WordTokenizer,
    load_tokenizer,
    save_tokenizer,
)
from sparse_transformers.models.pretrained import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    load_weights,
    read_config,
    save_folder,
)
from sparse_transformers.training.checkpoint import recover_checkpoint, replaced_folder
from sparse_transformers.training.data import pad_tokens
from sparse_transformers.training.task import Batch
from sparse_transformers.utils.arrays import Codes, Probabilities
from sparse_transformers.utils.records import from_json, to_json


@dataclass(frozen=True, eq=False)
class FittedClaims:
    """All that a fitted classifier judges by."""

    calibration: ClaimCalibration
    tokenizer: TextTokenizer
    readers: nn.ModuleDict


class ClaimClassifier:
    """Learns to classify short texts, or rows of several texts, from labelled ones.

        classifier = ClaimClassifier(ClaimClassifierConfig(fields=("statement", "speaker")))
        classifier.fit(rows, labels)
        probabilities = classifier.predict_proba([{"statement": "...", "speaker": "..."}])

    Args:
        config: how; by default it reads one text per row.
    """

    def __init__(self, config: ClaimClassifierConfig | None = None) -> None:
        self.config = config or ClaimClassifierConfig()
        self._fitted: FittedClaims | None = None
        self._out_of_fold: OutOfFold | None = None

    @property
    def classes(self) -> tuple[Label, ...]:
        """The labels, in the order of the columns of all probabilities."""
        return self.fitted.calibration.classes

    @property
    def fitted(self) -> FittedClaims:
        """What was learned.

        Raises:
            RuntimeError: nothing yet.
        """
        if self._fitted is None:
            raise RuntimeError("the classifier has learned nothing yet: call fit or load")
        return self._fitted

    @property
    def out_of_fold(self) -> OutOfFold:
        """The readers' judgements on the training rows, by which they were calibrated.

        Raises:
            RuntimeError: there are none before `fit`, and none after `load`, for none are saved.
        """
        if self._out_of_fold is None:
            raise RuntimeError("only a classifier that was just fitted knows its training rows")
        return self._out_of_fold

    def fit(
        self,
        rows: Sequence[Row],
        labels: Sequence[Label],
        *,
        classes: Sequence[Label] | None = None,
        groups: Sequence[object] | None = None,
        device: str = "auto",
        say: Callable[[str], object] = lambda step: None,
        progress: bool = False,
    ) -> "ClaimClassifier":
        """Train all readers, and find out how sure they may be.

        Args:
            rows: texts if the configuration names one field, else mappings from fields to texts.
            labels: one per row: strings, whole numbers or truth values.
            classes: the labels in the order of the columns; None sorts those that occur.
            groups: rows of one group (the answers to one question) are never on both sides of a
                fold; None if rows have nothing in common that new ones would not have.
            device: where to train; see `TrainingConfig`.
            say: is told what comes next.
            progress: show a progress bar for each reader.

        Raises:
            ValueError: the arguments differ in length, a row lacks a field, a label is not among
                the classes, a class has fewer rows than there are folds, or there are fewer groups
                than folds.
        """
        known, targets = _number_labels(labels, classes)
        if len(rows) != len(targets):
            raise ValueError(
                f"labels must be one for each of the {len(rows)} rows, got {len(targets)}"
            )
        _check_every_class_in_every_fold(known, targets, self.config.folds)
        folds = deal_folds(targets, self.config.folds, groups=groups, seed=self.config.seed)
        tokenizer = _make_tokenizer(rows, self.config)
        readers = untrained_readers(self.config, tokenizer, len(known))
        out_of_fold = train_readers(
            readers,
            self.config,
            _as_batch(rows, targets, tokenizer, self.config.max_tokens),
            folds,
            n_classes=len(known),
            device=device,
            say=say,
            progress=progress,
        )
        calibration = calibrate(self.config, known, out_of_fold)
        self._fitted = FittedClaims(calibration, tokenizer, readers)
        self._out_of_fold = out_of_fold
        return self

    def predict_proba(self, rows: Sequence[Row], *, reader: str | None = None) -> Probabilities:
        """Calibrated probabilities, (rows, classes).

        Args:
            rows: as for `fit`.
            reader: the kind that judges, "transformer" or "ngrams"; None for all.

        Raises:
            ValueError: a row lacks a field, or there is no such reader.
            RuntimeError: the classifier has not been fitted.
        """
        fitted = self.fitted
        if not len(rows):
            return np.empty((0, len(self.classes)))
        kinds = fitted.calibration.kinds(reader)
        no_targets = np.zeros(len(rows), dtype=np.intp)
        batch = _as_batch(rows, no_targets, fitted.tokenizer, self.config.max_tokens)
        logits = {
            kind: np.mean(
                [ask_reader(model, batch) for model in readers_of(fitted.readers, kind)], axis=0
            )
            for kind in kinds
        }
        return combine(fitted.calibration, logits)

    def predict(self, rows: Sequence[Row]) -> list[Label]:
        """The most probable label of each row."""
        return [self.classes[best] for best in self.predict_proba(rows).argmax(1)]

    def out_of_fold_proba(self, *, reader: str | None = None) -> Probabilities:
        """The same for the training rows, by readers that have not learned from the row.

        It is what cross-validation measures, but for the few temperatures and stopping times that
        were chosen on these rows, and for being the word of one reader of each kind, not of all.
        """
        calibration, judged = self.fitted.calibration, self.out_of_fold
        return combine(
            calibration, {kind: judged.logits[kind] for kind in calibration.kinds(reader)}
        )

    def save(self, folder: str | Path) -> None:
        """Write the classifier as a folder of three files, whole or not at all.

        Raises:
            FileExistsError: the folder holds something else, which would be lost.
            OSError: the folder cannot be written.
            RuntimeError: the classifier has not been fitted.
        """
        fitted, folder = self.fitted, Path(folder).resolve()
        present = {path.name for path in folder.iterdir()} if folder.exists() else set()
        if strangers := sorted(present - {CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE}):
            raise FileExistsError(
                f"{folder} must be new, or hold a claim classifier, got {', '.join(strangers)}"
            )
        with replaced_folder(folder) as unfinished:
            save_folder(unfinished, to_json(fitted.calibration), fitted.readers)
            save_tokenizer(fitted.tokenizer, unfinished)

    @classmethod
    def load(cls, folder: str | Path) -> "ClaimClassifier":
        """The classifier that `save` wrote; it gives the same probabilities, bit for bit.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged, or does not fit the others.
        """
        folder = Path(folder).resolve()
        recover_checkpoint(folder)
        try:
            calibration = from_json(ClaimCalibration, read_config(folder))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{folder / CONFIG_FILE} is no claim classifier: {error}") from error
        config, tokenizer = calibration.config, load_tokenizer(folder)
        if (
            tokenizer.fields != config.fields
            or calibration.sharpness.keys() != config.readers.keys()
        ):
            raise ValueError(
                f"the files of {folder} must fit together, got the fields {tokenizer.fields} for "
                f"{config.fields}, and temperatures of {', '.join(calibration.sharpness)} for "
                f"{', '.join(config.readers)}"
            )
        readers = untrained_readers(config, tokenizer, len(calibration.classes))
        load_weights(folder, readers)
        classifier = cls(config)
        classifier._fitted = FittedClaims(calibration, tokenizer, readers)
        return classifier


def _number_labels(
    labels: Sequence[Label], classes: Sequence[Label] | None
) -> tuple[tuple[Label, ...], Codes]:
    """The classes, and the number of each label's class."""
    plain = [each.item() if isinstance(each, np.generic) else each for each in labels]
    if wrong := [each for each in plain if not isinstance(each, str | int)]:
        raise ValueError(f"labels must be texts, whole numbers or truth values, got {wrong[0]!r}")
    known = tuple(sorted(set(plain), key=lambda each: (isinstance(each, str), each)))
    if classes is not None:
        known = tuple(classes)
        if unknown := sorted(set(map(repr, set(plain) - set(known)))):
            raise ValueError(f"labels must be among the classes {known}, got {', '.join(unknown)}")
    if len(set(known)) < max(2, len(known)):
        raise ValueError(f"classes must be at least two different labels, got {known}")
    numbers = {label: number for number, label in enumerate(known)}
    return known, np.array([numbers[label] for label in plain], dtype=np.intp)


def _check_every_class_in_every_fold(
    classes: tuple[Label, ...], targets: Codes, n_folds: int
) -> None:
    counts = np.bincount(targets, minlength=len(classes)).tolist()
    if min(counts) < n_folds:
        found = ", ".join(
            f"{label!r}: {count}" for label, count in zip(classes, counts, strict=True)
        )
        raise ValueError(
            f"each class must have at least a row for each of the {n_folds} folds, got {found}"
        )


def _make_tokenizer(rows: Sequence[Row], config: ClaimClassifierConfig) -> TextTokenizer:
    if config.tokenizer == ByteTokenizer.kind:
        return ByteTokenizer(config.fields)
    return WordTokenizer.from_rows(
        rows, config.fields, min_count=config.min_count, mark_repeats=config.mark_repeats
    )


def _as_batch(
    rows: Sequence[Row], targets: Codes, tokenizer: TextTokenizer, max_tokens: int
) -> Batch:
    ids, mask = pad_tokens([tokenizer.encode(row) for row in rows], max_tokens)
    return Batch(ids, torch.from_numpy(targets), mask)
