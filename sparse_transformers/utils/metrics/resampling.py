"""Values of a metric on resamples of rows, or of whole groups of rows."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import UndefinedMetricWarning

from sparse_transformers.utils.arrays import as_array

Values = NDArray[np.float64]
Metric = Callable[..., Any]
"""A function of arrays to a number, or to an array of numbers."""


def bootstrap_values(
    metric: Metric,
    *arrays: "ArrayLike",
    groups: "ArrayLike | None" = None,
    n_resamples: int = 999,
    seed: int = 0,
) -> Values:
    """What a metric is on each resample: (n_resamples,), or (n_resamples, ...) if it is an array.

    A resample on which the metric is undefined (see `evaluate_metric`) is drawn again: the values
    are conditional on the metric being defined.

    Args:
        metric: a function of the arrays to a number or an array of numbers.
        arrays: one entry per row, all of one length; their rows are resampled together.
        groups: the group of each row; whole groups are drawn with replacement, as many as there
            are. None: every row is a group of its own.
        n_resamples: the number of resamples, 1 or more.
        seed: the seed of the resamples.

    Raises:
        ValueError: the arrays differ in length, a row lacks a group, there are fewer than two
            rows or groups, or the metric is undefined on more than half the resamples.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 6; whole groups:
        Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.8.
    """
    check_resamples(n_resamples)
    columns = equal_columns(arrays)
    draw = _row_sampler(len(columns[0]), groups, np.random.default_rng(seed))
    values: list[Any] = []
    problem: ValueError | None = None
    for _ in range(2 * n_resamples):
        rows = draw()
        try:
            values.append(evaluate_metric(metric, *(column[rows] for column in columns)))
        except ValueError as error:
            problem = error
        if len(values) == n_resamples:
            return np.array(values, dtype=np.float64)
    raise ValueError(
        f"metric must be defined on at least half the resamples, got {len(values)} of"
        f" {2 * n_resamples}: too few rows or groups, or too rare a class; last: {problem}"
    )


def evaluate_metric(metric: Metric, *arrays: "ArrayLike") -> Any:
    """`metric(*arrays)`.

    Raises:
        ValueError: the metric is undefined there: it raises `ValueError` itself, warns with
            scikit-learn's `UndefinedMetricWarning` (AUC does where a class is lacking), or is NaN.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", UndefinedMetricWarning)
        try:
            value = metric(*arrays)
        except UndefinedMetricWarning as warning:
            raise ValueError(f"metric must be defined on the data: {warning}") from warning
    if np.any(np.isnan(value)):
        raise ValueError(f"metric must be defined on the data, got {value}")
    return value


def equal_columns(arrays: Sequence[ArrayLike]) -> list[NDArray[Any]]:
    """The arrays as numpy has them.

    Raises:
        ValueError: there are none, they differ in length, or they are empty.
    """
    columns = [as_array(array) for array in arrays]
    lengths = [len(column) if column.ndim else 0 for column in columns]
    if len(set(lengths)) != 1 or lengths[0] == 0:
        raise ValueError(f"arrays must be of one length and not empty, got lengths {lengths}")
    return columns


def percentile_limits(values: Values, confidence: float) -> tuple[Any, Any]:
    """The percentiles over the first axis that leave `confidence` between them.

    Raises:
        ValueError: `confidence` is not between 0 and 1.
    """
    check_confidence(confidence)
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return low, high


def check_confidence(confidence: float) -> None:
    """Raise `ValueError` unless `confidence` is between 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")


def check_resamples(n_resamples: int) -> None:
    """Raise `ValueError` unless there is at least one resample."""
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}")


def _row_sampler(
    n_rows: int, groups: "ArrayLike | None", generator: np.random.Generator
) -> Callable[[], NDArray[np.intp]]:
    """A function that draws the rows of one resample."""
    if n_rows < 2:
        raise ValueError("arrays must hold at least two rows, got 1: one row tells of no spread")
    if groups is None:
        return lambda: generator.integers(n_rows, size=n_rows)
    codes = group_codes(groups, n_rows)
    by_group = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    starts = np.cumsum(sizes) - sizes

    def draw() -> NDArray[np.intp]:
        chosen = generator.integers(len(sizes), size=len(sizes))
        lengths = sizes[chosen]
        ends = np.cumsum(lengths)
        nth_in_group = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
        return by_group[np.repeat(starts[chosen], lengths) + nth_in_group]

    return draw


def group_codes(groups: "ArrayLike", n_rows: int) -> NDArray[np.intp]:
    """The number of each row's group, from 0 on.

    Raises:
        ValueError: a row lacks a group, or there are fewer than two groups.
    """
    names = as_array(groups, object)
    if names.shape != (n_rows,):
        raise ValueError(f"groups must name one group per row ({n_rows}), got shape {names.shape}")
    codes, found = pd.factorize(names)
    if np.any(codes < 0):
        raise ValueError(f"groups must name a group for every row, row {codes.argmin()} has none")
    if len(found) < 2:
        raise ValueError(f"groups must hold at least two groups, got {len(found)}")
    return codes
