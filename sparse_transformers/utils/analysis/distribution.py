"""A distribution of numbers, summarized by nine statistics."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Distribution:
    """Where numbers lie and how far they spread, in their own unit.

    `std` is that of exactly these numbers (divided by their count); `q25` and `q75` are quartiles,
    and nine tenths of the numbers lie between `q05` and `q95`.

    Attributes:
        mean: the mean.
        median: the median.
        std: the standard deviation, divided by the count.
        min: the smallest value.
        max: the largest value.
        q25: the 25% quantile.
        q75: the 75% quantile.
        q05: the 5% quantile.
        q95: the 95% quantile.
    """

    mean: float
    median: float
    std: float
    min: float
    max: float
    q25: float
    q75: float
    q05: float
    q95: float


def distribution_of(values: Iterable[float]) -> Distribution | None:
    """Sum up numbers; None if there are none.

    Raises:
        ValueError: a value is not finite.
    """
    numbers = np.asarray(list(values), dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("values must be finite numbers, got NaN or infinity among them")
    if not numbers.size:
        return None
    shares = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]
    low, q05, q25, median, q75, q95, high = np.quantile(numbers, shares).tolist()
    return Distribution(
        mean=float(numbers.mean()),
        median=median,
        std=float(numbers.std()),
        min=low,
        max=high,
        q25=q25,
        q75=q75,
        q05=q05,
        q95=q95,
    )
