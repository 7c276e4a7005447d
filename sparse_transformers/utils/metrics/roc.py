"""The ROC curve with the band in which it would lie on other rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_transformers.utils.metrics.binary_scores import check_binary_scores
from sparse_transformers.utils.metrics.delong import roc_auc
from sparse_transformers.utils.metrics.resampling import bootstrap_values, percentile_limits
from sparse_transformers.utils.metrics.significance import Interval


@dataclass(frozen=True)
class RocCurve:
    """The true-positive rate at fixed false-positive rates.

    Attributes:
        fpr: evenly spaced false-positive rates from 0 to 1.
        tpr: the true-positive rate at each of them.
        low: of the band: each point by itself lies in it with the confidence of `auc`.
        high: the upper limit of the band at each point.
        auc: the area under the whole curve.
    """

    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    auc: Interval


def roc_with_band(
    y_true: "ArrayLike",
    y_score: "ArrayLike",
    *,
    groups: "ArrayLike | None" = None,
    n_points: int = 101,
    n_resamples: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
) -> RocCurve:
    """The ROC curve at evenly spaced false-positive rates, its band, and its AUC with an interval.

    Curve, band and AUC are of the same resamples. The AUC is that of the whole curve, not of the
    points.

    Args:
        y_true: 1 or True for the positive class, 0 or False for the other.
        y_score: higher for rows more likely to be positive; one per row.
        groups: the group of each row; whole groups are drawn. None: every row by itself.
        n_points: how many false-positive rates, 2 to 200.
        n_resamples: the number of resamples, 1 or more.
        confidence: the confidence level of the band at each point, and of the interval of the AUC.
        seed: the seed of the resamples.

    Raises:
        ValueError: `n_points` is out of range, a label is not binary, a score is not finite, or
            as `bootstrap_interval`.

    Source: vertical averaging, Fawcett 2006, Pattern Recognition Letters 27(8), section 8.
    """
    if not 2 <= n_points <= 200:
        raise ValueError(f"n_points must be from 2 to 200, got {n_points}")
    truth, scores = check_binary_scores(y_true, y_score)
    grid = np.linspace(0, 1, n_points)

    def curve_and_auc(truth: NDArray[np.bool_], scores: NDArray[Any]) -> NDArray[Any]:
        auc = roc_auc(truth, scores)  # first, for it refuses a resample that lacks a class
        return np.append(_true_positive_rates(truth, scores, grid), auc)

    *tpr, auc = curve_and_auc(truth, scores).tolist()
    values = bootstrap_values(
        curve_and_auc, truth, scores, groups=groups, n_resamples=n_resamples, seed=seed
    )
    low, high = (limit.tolist() for limit in percentile_limits(values, confidence))
    return RocCurve(
        fpr=tuple(grid.tolist()),
        tpr=tuple(tpr),
        low=tuple(low[:-1]),
        high=tuple(high[:-1]),
        auc=Interval(auc, low[-1], high[-1], confidence),
    )


def _true_positive_rates(
    truth: NDArray[np.bool_], scores: NDArray[Any], grid: NDArray[Any]
) -> NDArray[np.float64]:
    """The ROC curve, straight between its corners, at the false-positive rates of the grid.

    Where it rises straight up, the upper end counts.
    """
    falling = np.argsort(-scores, kind="stable")
    corners = np.append(np.flatnonzero(np.diff(scores[falling])), len(scores) - 1)
    true_positives = np.cumsum(truth[falling])[corners]
    false_positives = corners + 1 - true_positives
    tpr = np.append(0, true_positives / true_positives[-1])
    fpr = np.append(0, false_positives / false_positives[-1])
    return np.interp(grid, fpr, tpr)
