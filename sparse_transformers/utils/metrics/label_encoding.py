"""Labels as class numbers: which labels are understood, and which classes there are.

A label is a string, a boolean or a number; a column of them is a list, a numpy array or a pandas
column, whose rows count by position. The classes and their order follow from `labels`, where they
are passed, and else from the task:

- truth values are understood: True, 1 and "true" (in any case) are the class "true", which is the
  positive one; False, 0 and "false" are the class "false";
- other labels are the sorted labels that occur; there must be three or more, as of two unknown
  ones it is not clear which is the positive one;
- with two `labels`, the second one is the positive (truthful) class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sparse_transformers.utils.arrays import Codes, as_array

Label = str | int | float | bool
Labels = Sequence[Label]

TRUTH_CLASSES: tuple[Label, ...] = ("false", "true")
TASK_TYPES = ("binary", "multiclass", "ordinal")


@dataclass(frozen=True, eq=False)
class FactorizedLabels:
    """A column of labels as its distinct values, and which of them each row holds.

    Attributes:
        name: what messages call the column.
        codes: of each row, the place of its label in `values`.
        values: the distinct labels, in the order in which they first occur.
    """

    name: str
    codes: Codes
    values: tuple[Label, ...]

    def numbers(self, classes: tuple[Label, ...]) -> Codes:
        """The class number of each row.

        Raises:
            ValueError: a label is not among the classes.
        """
        numbers = [class_number(value, classes) for value in self.values]
        if None in numbers:
            value, row = self._first(numbers.index(None))
            raise ValueError(
                f"{self.name} must hold only {describe_classes(classes)}, got {value!r} in row"
                f" {row}"
            )
        return np.array(numbers, dtype=np.intp)[self.codes]

    def _first(self, code: int) -> tuple[Label, int]:
        return self.values[code], int(np.argmax(self.codes == code))


def factorize(name: str, values: "ArrayLike", n_rows: int | None = None) -> FactorizedLabels:
    """The distinct labels of a column, in the order in which they first occur.

    Raises:
        ValueError: the column is empty, not one-dimensional, not `n_rows` long, or holds a missing
            label or one that is no string, boolean or number. The message calls it `name`.
    """
    column = as_array(values, object)
    if column.ndim != 1 or column.size == 0:
        raise ValueError(f"{name} must be a list with a label per row, got shape {column.shape}")
    if n_rows is not None and len(column) != n_rows:
        raise ValueError(f"{name} must have a label for each of {n_rows} rows, got {len(column)}")
    try:
        codes, found = pd.factorize(column)
    except TypeError:  # something unhashable: find and name it below
        codes, found = np.arange(len(column)), column
    if np.any(codes < 0):
        raise ValueError(f"{name} must not miss a label, row {int(np.argmin(codes))} has none")
    plain = [value.item() if isinstance(value, np.generic) else value for value in found]
    for position, value in enumerate(plain):
        if not isinstance(value, str | int | float):
            row = int(np.argmax(codes == position))
            raise ValueError(
                f"{name} must hold strings, booleans or numbers, got {value!r} in row {row}"
            )
    return FactorizedLabels(name, codes.astype(np.intp), tuple(plain))


def find_classes(
    columns: Sequence[FactorizedLabels], labels: Labels | None, task_type: str | None = None
) -> tuple[Label, ...]:
    """The classes in order, by the rules in the module's docstring.

    Raises:
        ValueError: the task is unknown, `labels` does not fit it, or it takes `labels` to know.
    """
    known = check_task(task_type, labels)
    if known is not None:
        return known
    classes = found_classes(columns)
    if classes == TRUTH_CLASSES and task_type is None:
        return classes
    if len(classes) < 3:
        raise ValueError(
            f"labels must be passed, in order, for {', '.join(map(repr, classes))} alone do not"
            " tell which classes there are, or which of two is the positive one (the second)"
        )
    return classes


def check_task(task_type: str | None, labels: Labels | None) -> tuple[Label, ...] | None:
    """The classes, as far as they are known without data; else None.

    Raises:
        ValueError: the task is unknown, or `labels` does not fit it.
    """
    if task_type is not None and task_type not in TASK_TYPES:
        raise ValueError(f"task_type must be one of {', '.join(TASK_TYPES)}, got {task_type!r}")
    if labels is not None:
        return _check_labels(labels, task_type)
    if task_type == "ordinal":
        raise ValueError("labels must list the classes in order for an ordinal task, got None")
    return TRUTH_CLASSES if task_type == "binary" else None


def found_classes(columns: Sequence[FactorizedLabels]) -> tuple[Label, ...]:
    """`TRUTH_CLASSES` if only truth values occur, else the sorted labels that occur.

    Raises:
        ValueError: the labels are of different types, so that they have no order.
    """
    found = {value for column in columns for value in column.values}
    if all(class_number(value, TRUTH_CLASSES) is not None for value in found):
        return TRUTH_CLASSES
    try:
        return tuple(sorted(found))
    except TypeError:
        raise ValueError(
            f"labels must be of one type to have an order, got {', '.join(map(repr, found))}"
        ) from None


def class_number(value: Label, classes: tuple[Label, ...]) -> int | None:
    """The position of a label among the classes; None if it is not one of them."""
    if classes == TRUTH_CLASSES:
        known: dict[Label, int] = {0: 0, 1: 1, "false": 0, "true": 1}  # False == 0, True == 1
        return known.get(value.lower() if isinstance(value, str) else value)
    return classes.index(value) if value in classes else None


def describe_classes(classes: tuple[Label, ...]) -> str:
    """The labels of the classes, for an error message."""
    if classes == TRUTH_CLASSES:
        return "True or False, 1 or 0, 'true' or 'false' (other labels: pass them in order)"
    return ", ".join(map(repr, classes))


def _check_labels(labels: Labels, task_type: str | None) -> tuple[Label, ...]:
    if isinstance(labels, str):
        raise ValueError(f"labels must be a list of labels, got the string {labels!r}")
    classes = tuple(value.item() if isinstance(value, np.generic) else value for value in labels)
    if not all(isinstance(value, str | int | float) for value in classes):
        raise ValueError(f"labels must be strings, booleans or numbers, got {classes}")
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise ValueError(f"labels must be two or more different labels, got {classes}")
    if (task_type == "binary" and len(classes) != 2) or (
        task_type == "multiclass" and len(classes) < 3
    ):
        required = "two" if task_type == "binary" else "three or more"
        raise ValueError(f"labels must be {required} for a {task_type} task, got {classes}")
    return classes
