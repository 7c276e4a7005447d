"""The time of attention over the lengths: how it grows, and from where on one arm is faster."""

from collections.abc import Sequence
from dataclasses import dataclass

from sparse_transformers.efficiency.comparison import Direction
from sparse_transformers.efficiency.scaling_law import (
    PowerLaw,
    crossing_length,
    fit_power_law,
    speedup_interval,
)
from sparse_transformers.efficiency.timing import Timing


@dataclass(frozen=True)
class TimePoint:
    """One arm at one length."""

    seq_len: int
    timing: Timing

    def speedup_over(self, other: "TimePoint") -> float:
        """How many times as fast it is, by the medians."""
        return other.timing.median_ms / self.timing.median_ms

    def speedup_interval_over(self, other: "TimePoint") -> tuple[float, float]:
        """The speed-ups that the quartiles of both allow."""
        return speedup_interval(self._quartiles_ms, other._quartiles_ms)

    @property
    def _quartiles_ms(self) -> tuple[float, float]:
        return self.timing.lower_quartile_ms, self.timing.upper_quartile_ms


@dataclass(frozen=True)
class TimeCurve:
    """One arm over the lengths.

    Attributes:
        name: the key of the arm's colour and label: "dense", "masked", "local" or "block".
        fit: None where too few lengths were measured.
    """

    name: str
    direction: Direction
    points: tuple[TimePoint, ...]
    fit: PowerLaw | None

    def at(self, seq_len: int) -> TimePoint:
        """The point of a length that was measured."""
        return next(point for point in self.points if point.seq_len == seq_len)


@dataclass(frozen=True)
class Crossing:
    """From which length on an arm is faster than dense SDPA.

    Attributes:
        length: None if it is not faster at the longest length measured with both.
        early: the same if dense was as slow, and the arm as fast, as their quartiles allow.
        late: the same the other way round.
        shortest: the shortest length measured; a crossing there may lie before it.
        longest: the longest length measured with both.
    """

    name: str
    direction: Direction
    length: float | None
    early: float | None
    late: float | None
    shortest: int
    longest: int


def fit_time_curve(
    name: str, direction: Direction, points: Sequence[TimePoint], *, fit_from: int
) -> TimeCurve:
    """The curve through the points, with its exponent from the length `fit_from` on."""
    fitted = [point for point in points if point.seq_len >= fit_from]
    fit = fit_power_law(
        [point.seq_len for point in fitted], [point.timing.median_ms for point in fitted]
    )
    return TimeCurve(name, direction, tuple(points), fit)


def find_crossing(dense: TimeCurve, sparse: TimeCurve) -> Crossing:
    """From which of the lengths that dense attention was timed at the sparse arm stays faster."""
    lengths = [point.seq_len for point in dense.points]
    pairs = [(sparse.at(point.seq_len), point) for point in dense.points]
    intervals = [ours.speedup_interval_over(theirs) for ours, theirs in pairs]
    return Crossing(
        name=sparse.name,
        direction=sparse.direction,
        length=crossing_length(lengths, [ours.speedup_over(theirs) for ours, theirs in pairs]),
        early=crossing_length(lengths, [high for _, high in intervals]),
        late=crossing_length(lengths, [low for low, _ in intervals]),
        shortest=lengths[0],
        longest=lengths[-1],
    )
