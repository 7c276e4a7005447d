"""Labels, predictions and probabilities as checked arrays, which every metric can rely on."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_transformers.utils.arrays import Codes, Floats, as_array
from sparse_transformers.utils.metrics.label_encoding import (
    Label,
    Labels,
    describe_classes,
    factorize,
    find_classes,
)

_ROUNDING = 1e-6
_SUM_ROUNDING = 2.0**-8
"""A softmax in bfloat16 sums to 1 within half of this: it rounds each share by at most 2**-9."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What is true and what was predicted, row by row, in class numbers.

    A class number is a position in `classes`. Made by `encode_predictions`, which checks.

    Attributes:
        truth: the true class number of each row, (rows,).
        predicted: the predicted class number of each row, (rows,).
        probabilities: (rows, classes), each row sums to 1; None without probabilities.
        classes: the labels, in order.
    """

    truth: Codes
    predicted: Codes
    probabilities: Floats | None
    classes: tuple[Label, ...]

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """How often class i (row) was called class j (column): (classes, classes)."""
        size = len(self.classes)
        pairs = np.bincount(self.truth * size + self.predicted, minlength=size * size)
        return pairs.reshape(size, size)

    def take(self, rows: NDArray[Any]) -> "Predictions":
        """Some of the rows, chosen by number or by a mask."""
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Predictions(self.truth[rows], self.predicted[rows], probabilities, self.classes)


def encode_predictions(
    y_true: "ArrayLike",
    y_pred: "ArrayLike",
    y_prob: "ArrayLike | None" = None,
    *,
    labels: Labels | None = None,
    task_type: str | None = None,
) -> Predictions:
    """Check labels, predictions and probabilities, and turn labels into class numbers.

    Args:
        y_true: the label of each row.
        y_pred: the predicted label of each row.
        y_prob: (rows, classes), or (rows,) for the probability of the positive of two classes.
        labels: the classes in order; None finds them (see `label_encoding.py`).
        task_type: one of `label_encoding.TASK_TYPES`; None takes truth values for a binary task,
            anything else for a multiclass one.

    Raises:
        ValueError: there are no rows, the lengths differ, a label is missing, unknown or of no
            usable type, the classes cannot be told without `labels`, or a probability is not a
            number from 0 to 1 or a row of them does not sum to 1.
    """
    truth = factorize("y_true", y_true)
    predicted = factorize("y_pred", y_pred, n_rows=len(truth.codes))
    classes = find_classes([truth, predicted], labels, task_type)
    return Predictions(
        truth.numbers(classes),
        predicted.numbers(classes),
        None if y_prob is None else check_probabilities(y_prob, len(truth.codes), classes),
        classes,
    )


def encode_truth(
    y_true: "ArrayLike", y_prob: "ArrayLike", labels: Labels | None = None
) -> tuple[Codes, Floats]:
    """Class numbers (rows,) and probabilities (rows, classes), where no prediction is needed.

    Raises:
        ValueError: as `encode_predictions`.
    """
    truth = factorize("y_true", y_true)
    classes = find_classes([truth], labels)
    return truth.numbers(classes), check_probabilities(y_prob, len(truth.codes), classes)


def check_probabilities(y_prob: "ArrayLike", n_rows: int, classes: tuple[Label, ...]) -> Floats:
    """Probabilities as (rows, classes); of two classes the positive one's column is enough.

    Raises:
        ValueError: the shape does not fit, a value is not a number from 0 to 1, or a row does not
            sum to 1 (but for rounding).
    """
    probabilities = check_numbers("y_prob", y_prob)
    if probabilities.ndim == 1 and len(classes) == 2:
        probabilities = np.stack([1 - probabilities, probabilities], axis=1)
    if probabilities.shape != (n_rows, len(classes)):
        also = f" or ({n_rows},)" if len(classes) == 2 else ""
        raise ValueError(
            f"y_prob must have shape ({n_rows}, {len(classes)}){also}, a column for each of"
            f" {describe_classes(classes)}, got {np.shape(y_prob)}"
        )
    outside = (probabilities < -_ROUNDING) | (probabilities > 1 + _ROUNDING)
    if np.any(outside):
        row, column = np.argwhere(outside)[0]
        raise ValueError(
            f"y_prob must be from 0 to 1, got {as_array(y_prob)[row]} in row {row}"
            if np.ndim(y_prob) == 1
            else f"y_prob must be from 0 to 1, got {probabilities[row, column]} in row {row}"
        )
    sums = probabilities.sum(axis=1)
    off = np.abs(sums - 1) > _SUM_ROUNDING
    if np.any(off):
        row = int(np.argmax(off))
        raise ValueError(f"y_prob must sum to 1 in each row, got {sums[row]:.6g} in row {row}")
    return np.clip(probabilities, 0, 1)


def check_numbers(name: str, values: "ArrayLike") -> Floats:
    """Finite numbers as float64.

    Raises:
        ValueError: something is no number, or is not finite; the message calls them `name`.
    """
    try:
        numbers = as_array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers: {error}") from None
    if not np.all(np.isfinite(numbers)):
        place = tuple(map(int, np.argwhere(~np.isfinite(numbers))[0]))
        row = place[0] if place else 0
        raise ValueError(f"{name} must be finite, got {numbers[place]} in row {row}")
    return numbers
