"""What timings say: how much faster one thing is, how a cost grows, and where two curves cross."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from sparse_transformers.utils.metrics.significance import Interval

CONFIDENCE = 0.95


def speedups(ours: pd.DataFrame, others: "pd.DataFrame | pd.Series") -> pd.DataFrame:
    """How many times as fast one thing is as another, row by row.

    Args:
        ours: the columns `TIMES` of what may be faster; NaN where it was not measured.
        others: the same of what it is compared with, or one row for all.

    Returns:
        By the medians (`estimate`), and the least and the most that the quartiles of both allow
        (`low`, `high`).
    """
    return pd.DataFrame(
        {
            "estimate": others["median_ms"] / ours["median_ms"],
            "low": others["lower_quartile_ms"] / ours["upper_quartile_ms"],
            "high": others["upper_quartile_ms"] / ours["lower_quartile_ms"],
        }
    )


def fit_exponent(lengths: Sequence[float], values: Sequence[float]) -> Interval | None:
    """The `exponent` of `value = factor * length ** exponent`: 1 is linear growth, 2 quadratic.

    It is the slope between logarithms by least squares. Its 95% interval is that of a regression
    (Student's t), so it holds the scatter about the line, whether from noise or from a curve that
    is no power law.

    Returns:
        None for fewer than three points, which leave no scatter to judge.
    """
    if len(lengths) < 3:
        return None
    fit = stats.linregress(np.log(lengths), np.log(values))
    half_width = stats.t.ppf((1 + CONFIDENCE) / 2, len(lengths) - 2) * fit.stderr
    return Interval(
        float(fit.slope), float(fit.slope - half_width), float(fit.slope + half_width), CONFIDENCE
    )


def crossing_length(lengths: Sequence[int], advantages: Sequence[float]) -> float:
    """The length from which on the advantage stays above 1.

    Between two measured lengths it is read off a straight line in the log-log plot. It is the first
    length if the advantage is above 1 throughout: the true crossing then lies there or before.

    Args:
        lengths: rising.
        advantages: at each length, how many times as fast one thing is as the other.

    Returns:
        Infinity if the advantage is at most 1 at the last length.
    """
    if advantages[-1] <= 1:
        return math.inf
    after = len(advantages) - 1
    while after > 0 and advantages[after - 1] > 1:
        after -= 1
    if after == 0:
        return float(lengths[0])
    low, high = math.log(advantages[after - 1]), math.log(advantages[after])
    share = -low / (high - low)
    return float(lengths[after - 1] * (lengths[after] / lengths[after - 1]) ** share)
