"""Rows sorted into bins by a probability."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_transformers.utils.arrays import Codes, Floats

BINNINGS = ("width", "mass")


@dataclass(frozen=True, eq=False)
class Bins:
    """Which bin each row is in. A bin holds its upper edge, and only the first its lower one.

    Attributes:
        edges: (bins + 1,), from 0 to 1.
        members: (rows,), the bin of each row.
    """

    edges: Floats
    members: Codes

    @property
    def counts(self) -> NDArray[np.intp]:
        """The rows in each bin: (bins,)."""
        return np.bincount(self.members, minlength=len(self.edges) - 1)

    def sums(self, values: NDArray[Any]) -> Floats:
        """The sum of a column over each bin: (bins,)."""
        sums = np.bincount(self.members, weights=values, minlength=len(self.edges) - 1)
        return sums.astype(np.float64)

    def means(self, values: NDArray[Any]) -> Floats:
        """For each row, the mean of a column over its bin: (rows,)."""
        return (self.sums(values) / np.maximum(self.counts, 1))[self.members]


def assign_bins(probabilities: Floats, n_bins: int, binning: str) -> Bins:
    """Sort rows into bins; some may stay empty.

    Args:
        probabilities: (rows,), from 0 to 1.
        n_bins: the number of bins, 1 or more.
        binning: "width" for edges at equal distances, "mass" for edges at quantiles. Equal
            probabilities always share a bin, so that the order of the rows never matters.

    Raises:
        ValueError: `n_bins` is not a positive integer, or `binning` is unknown.
    """
    if n_bins != int(n_bins) or n_bins < 1:
        raise ValueError(f"n_bins must be a positive integer, got {n_bins}")
    if binning not in BINNINGS:
        raise ValueError(f"binning must be one of {', '.join(BINNINGS)}, got {binning!r}")
    edges = np.linspace(0, 1, n_bins + 1)
    if binning == "mass":
        edges[1:-1] = np.quantile(probabilities, edges[1:-1])
    return Bins(edges, np.searchsorted(edges[1:-1], probabilities))
