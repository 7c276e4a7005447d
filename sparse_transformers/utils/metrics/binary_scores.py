"""The checks of labels and scores that all measures of binary scores share."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_transformers.utils.metrics.resampling import equal_columns


def check_binary_scores(
    y_true: "ArrayLike", y_score: "ArrayLike"
) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Labels as booleans and scores as float64, both (rows,).

    Raises:
        ValueError: lengths differ or are zero, a label is neither 0 nor 1 (nor a boolean), a class
            is lacking, or a score is NaN or infinite.
    """
    labels, scores = equal_columns((y_true, y_score))
    if labels.ndim != 1 or scores.ndim != 1:
        raise ValueError(
            f"y_true and scores must have one axis, got shapes {labels.shape} and {scores.shape}"
        )
    wrong = ~np.isin(labels, (0, 1))
    if wrong.any():
        example = labels[wrong].tolist()[0]
        raise ValueError(f"y_true must hold 0 and 1, or booleans, got {example!r}")
    truth = labels.astype(bool)
    if truth.all() or not truth.any():
        raise ValueError(f"y_true must hold both classes, got only {bool(truth[0])}")
    values = scores.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        row = finite.argmin()
        raise ValueError(f"scores must be finite numbers, got {values[row]} in row {row}")
    return truth, values
