"""The one vocabulary of verdicts: above, below, or not shown.

A verdict says on which side of a bound an interval lies. The bound may be chance or a floor, or 0
for the difference of two variants, or 1 for the ratio of two times. The interval may be of rows
(a bootstrap), of seeds, or of repeated timings; the report says which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sparse_transformers.utils.metrics.significance import (
    Interval,
    PairedDifference,
    mean_interval,
)
from sparse_transformers.utils.report import join

ABOVE, BELOW, NOT_SHOWN = "above", "below", "not shown"

FEWEST_SEEDS = 3
"""Fewer have no interval."""
ENOUGH_SEEDS = 5
"""Fewer are too few to rest a claim on."""


def verdict(interval: Interval, bound: float = 0.0) -> str:
    """Whether the interval lies above the bound, below it, or holds it (then nothing is shown).

    >>> verdict(Interval(0.6, 0.55, 0.65), bound=0.5)
    'above'
    >>> verdict(Interval(0.02, -0.01, 0.05))
    'not shown'
    """
    if interval.low > bound:
        return ABOVE
    return BELOW if interval.high < bound else NOT_SHOWN


def by_verdict(intervals: Mapping[str, Interval], bound: float = 0.0) -> dict[str, list[str]]:
    """The names under each verdict, in their order.

    >>> by_verdict({"a": Interval(2, 1, 3), "b": Interval(0, -1, 1)})
    {'above': ['a'], 'below': [], 'not shown': ['b']}
    """
    return {
        each: [name for name, interval in intervals.items() if verdict(interval, bound) == each]
        for each in (ABOVE, BELOW, NOT_SHOWN)
    }


def list_by_verdict(intervals: Mapping[str, Interval], bound: float, what: str) -> str:
    """One sentence that sorts names by their verdict.

    >>> list_by_verdict({"a": Interval(2, 1, 3), "b": Interval(0, -1, 1)}, 0, "chance")
    'Above chance: a. Not shown to differ from chance: b.'
    """
    words = {ABOVE: f"Above {what}", BELOW: f"Below {what}"}
    words[NOT_SHOWN] = f"Not shown to differ from {what}"
    groups = by_verdict(intervals, bound)
    return " ".join(f"{words[each]}: {join(names)}." for each, names in groups.items() if names)


def compare(
    subject: str,
    other: str,
    difference: Interval,
    *,
    bound: float = 0.0,
    above: str = "above",
    below: str = "below",
    form: str = "{:+.3f}",
    unit: str = "",
) -> str:
    """One sentence about the difference or the ratio of two variants, with its limits.

    Args:
        subject: what is compared.
        other: what it is compared with.
        difference: subject less other; or their ratio, if `bound` is 1.
        bound: where both are alike.
        above: the words for a difference above the bound, such as "more accurate than".
        below: the words for one below it.
        form: how a number is written.
        unit: of the numbers.

    >>> compare("a", "b", Interval(0.5, 0.2, 0.8), above="slower than", unit="ms", form="{:+.1f}")
    'a is slower than b: +0.5 ms [+0.2, +0.8].'
    >>> compare("a", "b", Interval(1.1, 0.9, 1.4), bound=1, above="faster than", form="{:.1f}×")
    'A difference between a and b is not shown: 1.1× [0.9×, 1.4×].'
    """
    found = f"{spell(difference, form, unit)}."
    words = {ABOVE: f"{subject} is {above} {other}", BELOW: f"{subject} is {below} {other}"}
    words[NOT_SHOWN] = f"A difference between {subject} and {other} is not shown"
    return f"{words[verdict(difference, bound)]}: {found}"


def compare_paired(
    subject: str,
    other: str,
    paired: PairedDifference,
    *,
    above: str = "above",
    below: str = "below",
    form: str = "{:+.3f}",
    unit: str = "",
) -> str:
    """As `compare`, for scores of the same rows, with the p-value."""
    said = compare(
        subject, other, paired.difference, above=above, below=below, form=form, unit=unit
    )
    return f"{said.removesuffix('.')}, p = {paired.p_value:.3f}."


def in_points(paired: PairedDifference) -> PairedDifference:
    """A difference of two shares in percentage points.

    >>> in_points(PairedDifference(0.75, 0.5, Interval(0.25, 0, 0.5), 0.05)).difference.high
    50.0
    """
    gap = paired.difference
    points = Interval(100 * gap.estimate, 100 * gap.low, 100 * gap.high, gap.confidence)
    return replace(paired, difference=points)


def spell(interval: Interval, form: str = "{:.3f}", unit: str = "") -> str:
    """An estimate and its limits, each written in the same form; without limits if there are none.

    >>> spell(Interval(0.5, 0.45, 0.55), "{:.0%}")
    '50% [45%, 55%]'
    >>> spell(over_seeds([0.4, 0.6]))
    '0.500'
    """
    estimate, low, high = (
        form.format(each) for each in (interval.estimate, interval.low, interval.high)
    )
    limits = f" [{low}, {high}]" if np.isfinite(interval.high - interval.low) else ""
    return f"{estimate}{unit and ' ' + unit}{limits}"


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean over seeds with Student's 95% interval; one or two seeds are too few for limits.

    Two differ by chance so much or so little that their interval says nothing.

    >>> over_seeds([1.0, 2.0])
    Interval(estimate=1.5, low=-inf, high=inf, confidence=0.95)
    """
    if len(values) < FEWEST_SEEDS:
        return Interval(float(np.mean(values)), -np.inf, np.inf)
    return mean_interval(values)


def paired_over_seeds(values: Sequence[float], others: Sequence[float]) -> Interval:
    """The mean difference of two variants that were run with the same seeds, as `over_seeds`.

    Raises:
        ValueError: there are not as many values as others.
    """
    return over_seeds([one - other for one, other in zip(values, others, strict=True)])


def caution_about_seeds(n_seeds: int) -> list[str]:
    """A warning where a lucky pair of runs could pass for a finding; else nothing."""
    if n_seeds >= ENOUGH_SEEDS:
        return []
    seeds = "One seed is" if n_seeds == 1 else f"{n_seeds} seeds are"
    return [
        f"**{seeds} too few to rest a claim on: the verdicts here are hints.** The preset *full* "
        f"has {ENOUGH_SEEDS}."
    ]
