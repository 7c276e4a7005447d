"""Error bars for scores of models that were trained with several seeds and judged the same rows.

Two things are drawn by chance: which rows are held out, and with which seeds the models start. Both
are resampled, independently of each other, so that a difference must outlast both to count.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparse_transformers.utils.metrics.resampling import bootstrap_values, percentile_limits
from sparse_transformers.utils.metrics.significance import Interval, PairedDifference

Scores = NDArray[np.float64]
"""Of each row by the model of each seed, (rows, seeds)."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class RowsAndSeeds:
    """The resamples of one data set, the same ones for everything that is asked of it.

    Attributes:
        groups: the group of each row; whole groups are resampled.
        n_resamples: how many resamples.
        seed: of the resamples.

    The limits err on the wide side, except where seeds differ by more than rows do: of n seeds, a
    resample shows (n - 1) / n of the variance between them.

    Source: Owen 2007, "The pigeonhole bootstrap", The Annals of Applied Statistics 1(2),
        arXiv:0712.1111.
    """

    groups: tuple[str, ...]
    n_resamples: int = 999
    seed: int = 0

    def mean(self, scores: Scores) -> Interval:
        """The mean score with its limits.

        Raises:
            ValueError: there are fewer than two groups, or not one for each row.
        """
        low, high = percentile_limits(self._resampled_means(scores), CONFIDENCE)
        return Interval(float(scores.mean()), float(low), float(high), CONFIDENCE)

    def difference(self, a: Scores, b: Scores) -> PairedDifference:
        """How much higher the mean of `a` is than that of `b`, paired by row and by seed.

        The p-value is that of `paired_bootstrap`, and so are the errors.
        """
        means = self._resampled_means(a - b)
        on_rarer_side = min(np.sum(means <= 0), np.sum(means >= 0))
        p_value = min(1.0, 2 * (on_rarer_side + 1) / (self.n_resamples + 1))
        return PairedDifference(
            float(a.mean()), float(b.mean()), self.mean(a - b), p_value=float(p_value)
        )

    def _resampled_means(self, scores: Scores) -> NDArray[np.float64]:
        of_seeds = bootstrap_values(
            lambda rows: rows.mean(0),
            scores,
            groups=list(self.groups),
            n_resamples=self.n_resamples,
            seed=self.seed,
        )  # (resamples, seeds)
        generator = np.random.default_rng([self.seed, 1])
        drawn = generator.integers(of_seeds.shape[1], size=of_seeds.shape)
        means: NDArray[np.float64] = np.take_along_axis(of_seeds, drawn, axis=1).mean(1)
        return means
