"""What timings say: how much faster one thing is, how both grow, and where they cross."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class PowerLaw:
    """`value = factor * length ** exponent`, fitted to logarithms by least squares.

    Attributes:
        exponent: the slope in a log-log plot: 1 is linear growth, 2 is quadratic.
        low: lower end of the 95% confidence interval of the exponent.
        high: upper end of it.
        factor: the value at length 1.
        n_lengths: how many lengths it was fitted to.
    """

    exponent: float
    low: float
    high: float
    factor: float
    n_lengths: int


def speedup_interval(
    quartiles: tuple[float, float], other: tuple[float, float]
) -> tuple[float, float]:
    """The least and the most that the quartiles of two timings allow for how much faster one is.

    Args:
        quartiles: lower and upper quartile of the time of what may be faster.
        other: those of what it is compared with.
    """
    return other[0] / quartiles[1], other[1] / quartiles[0]


def fit_power_law(lengths: Sequence[float], values: Sequence[float]) -> PowerLaw | None:
    """The power law through the points; None for fewer than three, which leave no spread to judge.

    The interval is that of the regression slope (Student's t), so it holds the scatter about the
    line, whether from noise or from a curve that is no power law.
    """
    if len(lengths) < 3:
        return None
    fit = stats.linregress(np.log(lengths), np.log(values))
    half_width = stats.t.ppf((1 + CONFIDENCE) / 2, len(lengths) - 2) * fit.stderr
    return PowerLaw(
        exponent=float(fit.slope),
        low=float(fit.slope - half_width),
        high=float(fit.slope + half_width),
        factor=math.exp(fit.intercept),
        n_lengths=len(lengths),
    )


def crossing_length(lengths: Sequence[int], advantages: Sequence[float]) -> float | None:
    """The length from which on the advantage stays above 1.

    Between two measured lengths it is read off a straight line in the log-log plot. It is the first
    length if the advantage is above 1 throughout: the true crossing then lies there or before.

    Args:
        lengths: rising.
        advantages: at each length, how many times as fast one variant is as the other.

    Returns:
        None if the advantage is at most 1 at the last length.
    """
    if advantages[-1] <= 1:
        return None
    after = len(advantages) - 1
    while after > 0 and advantages[after - 1] > 1:
        after -= 1
    if after == 0:
        return float(lengths[0])
    low, high = math.log(advantages[after - 1]), math.log(advantages[after])
    share = -low / (high - low)
    return float(lengths[after - 1] * (lengths[after] / lengths[after - 1]) ** share)
