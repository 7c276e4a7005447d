"""Error bars for every metric of a classifier."""

from collections.abc import Callable, Mapping
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike

from sparse_transformers.utils.arrays import Codes, Floats, as_array
from sparse_transformers.utils.metrics.calibration import calibration_null
from sparse_transformers.utils.metrics.label_encoding import Label
from sparse_transformers.utils.metrics.metric_table import (
    BINNED_METRICS,
    TWO_CLASS_SHARES,
    Metric,
)
from sparse_transformers.utils.metrics.predictions import Predictions
from sparse_transformers.utils.metrics.resampling import check_resamples
from sparse_transformers.utils.metrics.significance import (
    Interval,
    bootstrap_interval,
    share_interval,
)

ACCURACIES = {"accuracy": 0, "within_one_accuracy": 1}
"""How many steps a hit may be off."""

_UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))


def metric_limits(
    predictions: Predictions,
    metrics: Mapping[str, Metric],
    *,
    groups: "ArrayLike | None" = None,
    confidence: float = 0.95,
    n_resamples: int = 999,
    seed: int = 0,
) -> dict[str, float]:
    """`<name>_low` and `<name>_high` of each metric: Wilson's for shares, else bootstrapped.

    Shares of rows are the accuracies and, of two classes, precision, recall and their like. The
    bootstrap's interval of a score that is perfect on these rows has no width.

    They are NaN where the metric is not finite, or is undefined on most resamples. A binned
    calibration error is higher on a resample than on the rows themselves, so that its bootstrap
    interval would lie beside it. `expected_calibration_error_null` and `..._null_high` stand in
    for it (see `calibration_null`).

    Args:
        predictions: the encoded labels and predictions of all rows.
        metrics: by name; "accuracy" must be among them.
        groups: the group of each row; whole groups are drawn. None: every row by itself.
        confidence: between 0 and 1.
        n_resamples: how many resamples, and simulations for the calibration error.
        seed: the seed of both.

    Raises:
        ValueError: `confidence` or `n_resamples` is out of range, a row lacks a group, or there
            are fewer than two groups.
    """

    def interval(name: str) -> Interval:
        if name in ACCURACIES:
            hits = np.abs(predictions.truth - predictions.predicted) <= ACCURACIES[name]
            return share_interval(hits, groups=groups, confidence=confidence)
        if name in TWO_CLASS_SHARES and len(predictions.classes) == 2:
            return _interval_of_share(name, predictions, groups, confidence)
        return bootstrap_interval(
            _of_rows(metrics[name], predictions.classes),
            *_columns(predictions),
            groups=groups,
            n_resamples=n_resamples,
            confidence=confidence,
            seed=seed,
        )

    check_resamples(n_resamples)
    intervals = {"accuracy": interval("accuracy")}  # always defined: errors are those of arguments
    for name, metric in metrics.items():
        if name in intervals or name in BINNED_METRICS:
            continue
        try:
            intervals[name] = interval(name) if isfinite(metric(predictions)) else _UNKNOWN
        except ValueError:
            intervals[name] = _UNKNOWN
    limits: dict[str, float] = {}
    for name, each in intervals.items():
        limits |= {f"{name}_low": each.low, f"{name}_high": each.high}
    if predictions.probabilities is not None:
        null = calibration_null(
            predictions.truth,
            predictions.probabilities,
            labels=range(len(predictions.classes)),
            n_simulations=n_resamples,
            confidence=confidence,
            seed=seed,
        )
        limits["expected_calibration_error_null"] = null.null_mean
        limits["expected_calibration_error_null_high"] = null.null_high
    return limits


def _interval_of_share(
    name: str, predictions: Predictions, groups: "ArrayLike | None", confidence: float
) -> Interval:
    column, given, asked = TWO_CLASS_SHARES[name]
    first, second = predictions.truth, predictions.predicted
    if column == "predicted":
        first, second = second, first
    rows = first == given
    of_rows = None if groups is None else as_array(groups, object)[rows]
    return share_interval(second[rows] == asked, groups=of_rows, confidence=confidence)


def _columns(predictions: Predictions) -> list[Codes | Floats]:
    columns: list[Codes | Floats] = [predictions.truth, predictions.predicted]
    if predictions.probabilities is not None:
        columns.append(predictions.probabilities)
    return columns


def _of_rows(metric: Metric, classes: tuple[Label, ...]) -> Callable[..., float]:
    """The metric as a function of `_columns`."""

    def of_rows(truth: Codes, predicted: Codes, probabilities: Floats | None = None) -> float:
        return metric(Predictions(truth, predicted, probabilities, classes))

    return of_rows
