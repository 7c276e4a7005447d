"""Metrics of parts of the rows: by category, source, difficulty or type of misinformation.

A group too small or too uniform for a metric has NaN there (see `confusion_metrics.py`); groups
without rows do not appear. Rows whose group is missing (None, NaN, empty text) form the group
`MISSING`.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sparse_transformers.utils.arrays import as_array
from sparse_transformers.utils.metrics.confusion_metrics import (
    accuracy,
    average_over_classes,
    class_f1,
    class_precision,
    class_recall,
    f1,
    precision,
    recall,
)
from sparse_transformers.utils.metrics.label_encoding import Labels
from sparse_transformers.utils.metrics.predictions import (
    Predictions,
    check_numbers,
    encode_predictions,
)

MISSING = "(missing)"
DIFFICULTIES = {"Easy": 0.33, "Medium": 0.67, "Hard": 1.0}
"""The hardest difficulty that still belongs to each level."""


def group_performance(
    predictions: Predictions, groups: "ArrayLike", average: str = "weighted"
) -> dict[str, dict[str, float]]:
    """Accuracy, precision, recall, F1 and the number of rows of each group, sorted by name.

    Args:
        predictions: the encoded labels and predictions of all rows.
        groups: the group of each row.
        average: over classes, if there are more than two.

    Raises:
        ValueError: there is not one group per row.
    """
    names, codes = np.unique(
        group_names("groups", groups, len(predictions.truth)), return_inverse=True
    )
    return {
        str(name): _performance(predictions.take(codes == code), average)
        for code, name in enumerate(names)
    }


def difficulty_performance(
    predictions: Predictions, difficulty: "ArrayLike", average: str = "weighted"
) -> dict[str, dict[str, float]]:
    """The same for easy (up to .33), medium (up to .67) and hard rows; with `avg_difficulty`.

    Raises:
        ValueError: there is not one difficulty from 0 to 1 per row.
    """
    values = check_numbers("difficulty", difficulty)
    if values.shape != predictions.truth.shape:
        raise ValueError(
            f"difficulty must hold a number for each of {len(predictions.truth)} rows,"
            f" got shape {values.shape}"
        )
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"difficulty must be from 0 to 1, got {values.min()} to {values.max()}")
    levels = np.searchsorted(list(DIFFICULTIES.values()), values)
    return {
        name: {
            **_performance(predictions.take(levels == level), average),
            "avg_difficulty": float(np.mean(values[levels == level])),
        }
        for level, name in enumerate(DIFFICULTIES)
        if np.any(levels == level)
    }


def evaluate_misinformation_detection(
    y_true: "ArrayLike",
    y_pred: "ArrayLike",
    misinformation_types: "ArrayLike",
    *,
    labels: Labels | None = None,
) -> dict[str, dict[str, float]]:
    """How well false claims of each type are told from true ones.

    What is to be detected, and what precision, recall and F1 are about, is the false claim. Each
    type is judged on its own rows and on the true rows without a type, which any type of
    misinformation may be confused with.

    Args:
        y_true: whether each claim is true; two classes.
        y_pred: whether it was called true.
        misinformation_types: the type of each row, such as "conspiracy theory"; None where a true
            claim has none.
        labels: the two classes in order (untrue, true); None takes truth values.

    Returns:
        By type: `accuracy`, `precision`, `recall`, `f1_score`, `detection_rate` (the share of the
        false claims of that type that were called false, the same as recall), `sample_count` and
        `false_count`. False claims without a type are the type `MISSING`.

    Raises:
        ValueError: the labels are invalid, or there is not one type per row.
    """
    predictions = encode_predictions(y_true, y_pred, labels=labels, task_type="binary")
    n_rows = len(predictions.truth)
    types = group_names("misinformation_types", misinformation_types, n_rows)
    shared = (types == MISSING) & (predictions.truth == 1)
    return {
        str(name): _detection(predictions.take((types == name) | shared))
        for name in np.unique(types[~shared])
    }


def group_names(name: str, groups: "ArrayLike", n_rows: int) -> NDArray[np.str_]:
    """The group of each row as a string.

    Raises:
        ValueError: there is not one group per row; the message calls them `name`.
    """
    values = as_array(groups, object)
    if values.shape != (n_rows,):
        raise ValueError(
            f"{name} must hold one entry for each of {n_rows} rows, got shape {values.shape}"
        )
    names = np.where(pd.isna(values), "", values).astype(str)
    return np.where(names == "", MISSING, names)


def _performance(predictions: Predictions, average: str) -> dict[str, float]:
    counts = predictions.confusion
    if len(predictions.classes) == 2:
        scores = precision(counts), recall(counts), f1(counts)
    else:
        scores = (
            average_over_classes(class_precision(counts), counts, average),
            average_over_classes(class_recall(counts), counts, average),
            average_over_classes(class_f1(counts), counts, average),
        )
    names = ("precision", "recall", "f1_score")
    return {
        "accuracy": accuracy(counts),
        **dict(zip(names, scores, strict=True)),
        "sample_count": len(predictions.truth),
    }


def _detection(predictions: Predictions) -> dict[str, float]:
    counts = predictions.confusion[::-1, ::-1]  # false claims become the positive class
    return {
        "accuracy": accuracy(counts),
        "precision": precision(counts),
        "recall": recall(counts),
        "f1_score": f1(counts),
        "detection_rate": recall(counts),
        "sample_count": len(predictions.truth),
        "false_count": int(counts[1].sum()),
    }
