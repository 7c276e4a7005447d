"""Error bars and tests for scores of predictions: how far chance alone could have moved a number.

Rows that belong together (the claims of one speaker, the answers to one question) are not
independent. Pass their `groups`, and whole groups are resampled; tests without such an argument
take every row for independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest, norm
from scipy.stats import t as student_t

from sparse_transformers.utils.arrays import as_array
from sparse_transformers.utils.metrics.resampling import (
    Metric,
    bootstrap_values,
    check_confidence,
    equal_columns,
    evaluate_metric,
    group_codes,
    percentile_limits,
)


@dataclass(frozen=True)
class Interval:
    """An estimate, and the limits that hold the true value with probability `confidence`.

    Attributes:
        estimate: the value on the data.
        low: the lower limit.
        high: the upper limit.
        confidence: between 0 and 1.
    """

    estimate: float
    low: float
    high: float
    confidence: float = 0.95

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class PairedDifference:
    """How much higher `a` scores than `b` on the same rows.

    Attributes:
        score_a: the score of `a`.
        score_b: the score of `b`.
        difference: `score_a - score_b`, with its interval.
        p_value: of the hypothesis that the two score alike, two-sided.
    """

    score_a: float
    score_b: float
    difference: Interval
    p_value: float


@dataclass(frozen=True)
class McNemarResult:
    """The rows on which one of two classifiers is right, and whether chance explains them.

    Attributes:
        only_a_right: rows on which `a` is right and `b` is wrong.
        only_b_right: rows on which `b` is right and `a` is wrong.
        p_value: of the hypothesis that the two are right equally often, two-sided and exact.
    """

    only_a_right: int
    only_b_right: int
    p_value: float


def bootstrap_interval(
    metric: Metric,
    *arrays: "ArrayLike",
    groups: "ArrayLike | None" = None,
    n_resamples: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The percentile bootstrap interval of `metric(*arrays)`.

    A resample on which the metric is undefined (NaN, scikit-learn's `UndefinedMetricWarning`, a
    `ValueError`) is drawn again. Where a share is near 0 or 1 and the rows are independent,
    `wilson_interval` is sounder.

    Args:
        metric: a function of the arrays to a number.
        arrays: one entry per row, all of one length; their rows are resampled together.
        groups: the group of each row; whole groups are drawn. None: every row by itself.
        n_resamples: the number of resamples, 1 or more.
        confidence: between 0 and 1.
        seed: the seed of the resamples.

    Raises:
        ValueError: the metric is undefined on the whole data or on more than half the resamples,
            the arrays differ in length, a row lacks a group, or there are fewer than two of them.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    check_confidence(confidence)
    columns = equal_columns(arrays)
    estimate = evaluate_metric(metric, *columns)
    values = bootstrap_values(metric, *columns, groups=groups, n_resamples=n_resamples, seed=seed)
    low, high = percentile_limits(values, confidence)
    return Interval(float(estimate), float(low), float(high), confidence)


def paired_bootstrap(
    metric: Metric,
    y_true: "ArrayLike",
    a: "ArrayLike",
    b: "ArrayLike",
    *,
    groups: "ArrayLike | None" = None,
    n_resamples: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """Compare `metric(y_true, a)` with `metric(y_true, b)` on the same resamples of rows.

    The p-value is twice the share of resampled differences on the rarer side of zero, with one
    more counted on that side: it falls below `1 - confidence` only where the interval excludes
    zero, and it is never below `2 / (n_resamples + 1)`.

    Args:
        metric: a function of the true values and of predictions or scores, to a number.
        y_true: the true values.
        a: predictions or scores of the first classifier, one per row.
        b: those of the second.
        groups: the group of each row; whole groups are drawn. None: every row by itself.
        n_resamples: the number of resamples, 1 or more.
        confidence: the confidence level of the interval around the difference.
        seed: the seed of the resamples.

    Raises:
        ValueError: as `bootstrap_interval`.
    """
    truth, first, second = equal_columns((y_true, a, b))
    score_a, score_b = (float(evaluate_metric(metric, truth, each)) for each in (first, second))
    values = bootstrap_values(
        lambda truth, first, second: metric(truth, first) - metric(truth, second),
        *(truth, first, second),
        groups=groups,
        n_resamples=n_resamples,
        seed=seed,
    )
    low, high = percentile_limits(values, confidence)
    on_rarer_side = min(np.sum(values <= 0), np.sum(values >= 0))
    return PairedDifference(
        score_a,
        score_b,
        Interval(score_a - score_b, float(low), float(high), confidence),
        p_value=float(min(1.0, 2 * (on_rarer_side + 1) / (n_resamples + 1))),
    )


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean of a few independent measurements, with Student's interval.

    For runs that differ in their seed. With two of them the interval is 12 times as wide as with
    ten of the same spread, and rightly so: two runs show little.

    Raises:
        ValueError: there are fewer than two values, or one is not finite.

    Source: Student 1908, Biometrika 6(1).
    """
    check_confidence(confidence)
    numbers = as_array(values, np.float64)
    if numbers.ndim != 1 or len(numbers) < 2 or not np.isfinite(numbers).all():
        raise ValueError(f"values must be at least two finite numbers, got {values}")
    mean, degrees = float(numbers.mean()), len(numbers) - 1
    error = float(numbers.std(ddof=1) / np.sqrt(len(numbers)))
    half_width = float(student_t.ppf((1 + confidence) / 2, degrees)) * error
    return Interval(mean, mean - half_width, mean + half_width, confidence)


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The interval of a share of `n` independent trials, sound at shares of 0 and 1 too.

    Raises:
        ValueError: `n` is not positive, or `successes` is not from 0 to `n`.

    Source: Wilson 1927, Journal of the American Statistical Association 22(158).
    """
    check_confidence(confidence)
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"successes must be from 0 to n, and n positive, got {successes} of {n}")
    limits = binomtest(int(successes), int(n)).proportion_ci(confidence, method="wilson")
    return Interval(successes / n, float(limits.low), float(limits.high), confidence)


def share_interval(
    hits: "ArrayLike", *, groups: "ArrayLike | None" = None, confidence: float = 0.95
) -> Interval:
    """The share of rows that are hits, with Wilson's interval.

    Rows of one group are not independent. With groups the interval is that of as many independent
    rows as would give the variance between the groups, or of as many rows as there are groups
    where all or none are hits; its quantile is Student's.

    Args:
        hits: True or 1 for a hit, False or 0 otherwise, one per row.
        groups: the group of each row; None: every row by itself.
        confidence: between 0 and 1.

    Raises:
        ValueError: there are no rows, a value is neither 0 nor 1, a row lacks a group, or there
            are fewer than two groups.

    Source: Wilson 1927, Journal of the American Statistical Association 22(158); Kish 1965, Survey
    Sampling, section 8.2 (effective number of rows).
    """
    check_confidence(confidence)
    values = as_array(hits, np.float64)
    if values.ndim != 1 or not len(values) or not np.isin(values, (0, 1)).all():
        raise ValueError(f"hits must be a list of one or more zeros and ones, got {hits!r}")
    share, n_rows = float(values.mean()), float(len(values))
    quantile = float(norm.ppf((1 + confidence) / 2))
    if groups is not None:
        group = group_codes(groups, len(values))
        n_groups = int(group.max()) + 1
        quantile = float(student_t.ppf((1 + confidence) / 2, n_groups - 1))
        excess = np.bincount(group, weights=values - share)
        variance = n_groups / (n_groups - 1) * float(excess @ excess) / n_rows**2
        binomial = share * (1 - share)
        if not binomial:
            n_rows = float(n_groups)
        elif variance:
            n_rows = min(n_rows, binomial / variance)
    scale = 1 + quantile**2 / n_rows
    middle = (share + quantile**2 / (2 * n_rows)) / scale
    reach = share * (1 - share) / n_rows + quantile**2 / (4 * n_rows**2)
    half_width = quantile * np.sqrt(reach) / scale
    low, high = float(middle - half_width), float(middle + half_width)
    return Interval(
        share, 0.0 if share == 0 else max(0.0, low), 1.0 if share == 1 else min(1.0, high),
        confidence,
    )  # fmt: skip


def mcnemar_test(y_true: "ArrayLike", pred_a: "ArrayLike", pred_b: "ArrayLike") -> McNemarResult:
    """The exact McNemar test: are two classifiers right on equally many of the same rows?

    Only rows on which exactly one of them is right can tell; without such rows the p-value is 1.

    Raises:
        ValueError: the arrays are empty or differ in length.

    Source: McNemar 1947, Psychometrika 12(2); Dietterich 1998, Neural Computation 10(7).
    """
    truth, first, second = equal_columns((y_true, pred_a, pred_b))
    only_a = int(np.sum((first == truth) & (second != truth)))
    only_b = int(np.sum((first != truth) & (second == truth)))
    telling = only_a + only_b
    p_value = binomtest(only_a, telling).pvalue if telling else 1.0
    return McNemarResult(only_a, only_b, float(p_value))


def holm_correction(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values of several comparisons, adjusted so that they can be read together.

    With those below .05 called significant, the chance of any false alarm is at most .05.

    Raises:
        ValueError: a p-value is not from 0 to 1.

    Source: Holm 1979, Scandinavian Journal of Statistics 6(2).
    """
    values = as_array(p_values, np.float64)
    if values.ndim != 1 or not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"p_values must be a list of numbers from 0 to 1, got {p_values}")
    order = np.argsort(values, kind="stable")
    still_tested = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(still_tested * values[order]), 1.0)
    return tuple(adjusted.tolist())
