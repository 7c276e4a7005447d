"""A calibrated classifier of claims, trained on a few thousand rows.

It is an ensemble of members of two kinds, small transformers and linear models of n-grams, trained
across folds (see `members.py`). The temperature of each kind is fitted on the members' predictions
for rows that they have not learned from. For a new text, the logits of the members of each kind are
averaged and divided by its temperature, and the results of the kinds are averaged again.

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
    assign_folds,
    members_of,
    predict_logits,
    train_members,
    untrained_members,
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
from sparse_transformers.training.padding import pad_tokens
from sparse_transformers.training.task import Batch
from sparse_transformers.utils.arrays import Codes, Probabilities
from sparse_transformers.utils.records import from_json, to_json
from sparse_transformers.utils.texts import check_list


@dataclass(frozen=True, eq=False)
class FittedClaims:
    """What a fitted classifier predicts with.

    Attributes:
        calibration: settings, classes and temperatures.
        tokenizer: with the vocabulary of the training rows.
        members: by kind, one for each fold.
    """

    calibration: ClaimCalibration
    tokenizer: TextTokenizer
    members: nn.ModuleDict


class ClaimClassifier:
    """Classifies short texts, or rows of several texts, with calibrated probabilities.

    >>> import sparse_transformers as st
    >>> rows = ["owls eat mice", "owls eat gold", "cats eat mice", "cats eat gold"] * 5
    >>> labels = ["true", "false"] * 10
    >>> config = st.ClaimClassifierConfig(transformer=None, folds=2)
    >>> classifier = st.ClaimClassifier(config).fit(rows, labels, device="cpu")
    >>> classifier.predict(["dogs eat mice", "dogs eat gold"])
    ['true', 'false']
    >>> classifier.predict_proba(["dogs eat mice"]).shape
    (1, 2)

    Args:
        config: how to tokenize and to train; by default each row is one text.
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
            RuntimeError: the classifier has not been fitted.
        """
        if self._fitted is None:
            raise RuntimeError("the classifier must be fitted first: call fit or load")
        return self._fitted

    @property
    def out_of_fold(self) -> OutOfFold:
        """The members' predictions for the training rows, on which they were calibrated.

        Raises:
            RuntimeError: there are none before `fit`, and none after `load`: they are not saved.
        """
        if self._out_of_fold is None:
            raise RuntimeError(
                "only a classifier that was just fitted has predictions for its training rows"
            )
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
        """Train all members and calibrate them.

        Args:
            rows: texts if the configuration names one field, else mappings from fields to texts.
            labels: one per row: strings, whole numbers or truth values.
            classes: the labels in the order of the columns; None for those that occur, sorted.
            groups: the group of each row. Rows of one group (the answers to one question) are
                always in the same fold; None if the rows are independent.
            device: "auto", "cpu", "cuda", "cuda:N" or "mps".
            say: called with a line of text before each step.
            progress: show a progress bar for each member.

        Returns:
            The classifier itself.

        Raises:
            ValueError: the arguments differ in length, a row lacks a field, a label is not among
                the classes, a class has fewer rows than there are folds, or there are fewer groups
                than folds.
        """
        check_list(rows=rows, labels=labels, classes=classes, groups=groups)
        known, targets = _number_labels(labels, classes)
        if len(rows) != len(targets):
            raise ValueError(
                f"labels must be one for each of the {len(rows)} rows, got {len(targets)}"
            )
        _check_every_class_in_every_fold(known, targets, self.config.folds)
        folds = assign_folds(targets, self.config.folds, groups=groups, seed=self.config.seed)
        tokenizer = _make_tokenizer(rows, self.config)
        members = untrained_members(self.config, tokenizer, len(known))
        out_of_fold = train_members(
            members,
            self.config,
            _as_batch(rows, targets, tokenizer, self.config.max_tokens),
            folds,
            n_classes=len(known),
            device=device,
            say=say,
            progress=progress,
        )
        calibration = calibrate(self.config, known, out_of_fold)
        self._fitted = FittedClaims(calibration, tokenizer, members)
        self._out_of_fold = out_of_fold
        return self

    def predict_proba(self, rows: Sequence[Row], *, kind: str | None = None) -> Probabilities:
        """Calibrated probabilities, (rows, classes).

        Args:
            rows: as for `fit`.
            kind: the kind of member to use, "transformer" or "ngrams"; None for all.

        Raises:
            ValueError: a row lacks a field, or there is no such kind of member.
            RuntimeError: the classifier has not been fitted.
        """
        check_list(rows=rows)
        fitted = self.fitted
        kinds = fitted.calibration.kinds(kind)
        if not len(rows):
            return np.empty((0, len(self.classes)))
        no_targets = np.zeros(len(rows), dtype=np.intp)
        batch = _as_batch(rows, no_targets, fitted.tokenizer, self.config.max_tokens)
        logits = {
            each: np.mean(
                [predict_logits(model, batch) for model in members_of(fitted.members, each)], axis=0
            )
            for each in kinds
        }
        return combine(fitted.calibration, logits)

    def predict(self, rows: Sequence[Row]) -> list[Label]:
        """The most probable label of each row."""
        return [self.classes[best] for best in self.predict_proba(rows).argmax(1)]

    def out_of_fold_proba(self, *, kind: str | None = None) -> Probabilities:
        """Calibrated probabilities of the training rows, each by members that have not seen it.

        They serve as cross-validation with two differences: a few temperatures and stopping times
        were chosen on the same rows, and each row is predicted by one member of each kind instead
        of all members.

        Args:
            kind: the kind of member to use, "transformer" or "ngrams"; None for all.

        Raises:
            ValueError: there is no such kind of member.
            RuntimeError: the classifier has not been fitted, or comes from `load`.
        """
        calibration, out_of_fold = self.fitted.calibration, self.out_of_fold
        kinds = calibration.kinds(kind)
        return combine(calibration, {each: out_of_fold.logits[each] for each in kinds})

    def save(self, folder: str | Path) -> None:
        """Write the classifier as a folder of three files; if that fails, an older one is kept.

        Raises:
            FileExistsError: the folder holds other files, which would be lost.
            OSError: the folder cannot be written.
            RuntimeError: the classifier has not been fitted.
        """
        fitted, folder = self.fitted, Path(folder).resolve()
        present = {path.name for path in folder.iterdir()} if folder.exists() else set()
        if others := sorted(present - {CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE}):
            raise FileExistsError(
                f"{folder} must be new, or hold a claim classifier, got {', '.join(others)}"
            )
        with replaced_folder(folder) as unfinished:
            save_folder(unfinished, to_json(fitted.calibration), fitted.members)
            save_tokenizer(fitted.tokenizer, unfinished)

    @classmethod
    def load(cls, folder: str | Path) -> "ClaimClassifier":
        """The classifier that `save` wrote; its probabilities are the same, bit for bit.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged, or the files do not fit together.
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
            or calibration.inverse_temperatures.keys() != config.members.keys()
        ):
            raise ValueError(
                f"the files of {folder} must fit together, got the fields {tokenizer.fields} for "
                f"{config.fields}, and temperatures of {', '.join(calibration.kinds())} for "
                f"{', '.join(config.members)}"
            )
        members = untrained_members(config, tokenizer, len(calibration.classes))
        load_weights(folder, members)
        classifier = cls(config)
        classifier._fitted = FittedClaims(calibration, tokenizer, members)
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
