"""What an attention benchmark found, as records that print as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparse_transformers.efficiency.comparison import Direction


@dataclass(frozen=True)
class AttentionRow:
    """One arm at one length. Without a measurement the numbers are None and the reason is given.

    Attributes:
        pattern: what the arm computes, in its causal form; a peer may differ from what was asked.
        theoretical_speedup: dense pairs per allowed pair, by count.
        fill: allowed pairs per pair that is computed, by count; None for arms of others.
        speedup: time of dense attention divided by the arm's, in the same run.
        sparse_efficiency: `speedup` divided by `theoretical_speedup`. 1.0 is where an allowed pair
            costs as much as a pair of dense attention.
    """

    arm: str
    pattern: str
    seq_len: int
    direction: Direction
    theoretical_speedup: float
    fill: float | None
    median_ms: float | None = None
    lower_quartile_ms: float | None = None
    upper_quartile_ms: float | None = None
    speedup: float | None = None
    sparse_efficiency: float | None = None
    not_measured: str | None = None


@dataclass(frozen=True)
class AttentionBenchmark:
    """Times of all arms in one direction, and what they depend on. Printed, it is a table."""

    direction: Direction
    rows: tuple[AttentionRow, ...]
    n_heads: int
    head_dim: int
    repeats: int
    seed: int
    device: str
    environment: dict[str, Any]

    def __str__(self) -> str:
        title = (
            f"{self.direction.replace('_', ' + ')}, 1 x {self.n_heads} heads x {self.head_dim}, "
            f"float32 on {self.device}, median of {self.repeats} (quartiles)"
        )
        return "\n".join([title, *_table(self.rows)])

    def to_markdown(self) -> str:
        """The table for a document: one row for each arm and length, in the order measured."""
        title = (
            f"{self.direction.replace('_', ' + ').capitalize()}, 1 × {self.n_heads} heads × "
            f"{self.head_dim}, float32, median of {self.repeats} with quartiles:"
        )
        head = "| positions | arm | causal pattern | fill | ms | speed-up | sparse efficiency |"
        return "\n".join([title, "", head, "|--:|---|---|--:|--:|--:|--:|", *map(_line, self.rows)])


def _line(row: AttentionRow) -> str:
    fill = "" if row.fill is None else f"{row.fill:.2f}"
    start = f"| {row.seq_len:,} | {row.arm} | `{row.pattern}` | {fill} |"
    if row.median_ms is None:
        return f"{start} not measured: {row.not_measured} | | |"
    quartiles = f"{row.lower_quartile_ms:,.0f}–{row.upper_quartile_ms:,.0f}"
    line = f"{start} {row.median_ms:,.0f} ({quartiles}) |"
    if row.speedup is None:
        return f"{line} | |"
    speedup = f"{row.speedup:.1f}× of {row.theoretical_speedup:.1f}×"
    return f"{line} {speedup} | {row.sparse_efficiency:.2f} |"


def _table(rows: Sequence[AttentionRow]) -> list[str]:
    """A heading, and a line for each row."""
    arms = max(len(row.arm) for row in rows)
    patterns = max(len(row.pattern) for row in rows)
    lines = [
        f"{'positions':>9}  {'arm':<{arms}}  {'pattern':<{patterns}}  {'fill':>4}  "
        f"{'ms':>9}  {'quartiles':>19}  {'speedup':>8}  {'limit':>8}  {'efficiency':>10}"
    ]
    for row in rows:
        fill = "" if row.fill is None else f"{row.fill:.2f}"
        line = f"{row.seq_len:>9,}  {row.arm:<{arms}}  {row.pattern:<{patterns}}  {fill:>4}  "
        lines.append(line + _measurement(row))
    return lines


def _measurement(row: AttentionRow) -> str:
    if row.median_ms is None:
        return f"not measured: {row.not_measured}"
    quartiles = f"{row.lower_quartile_ms:,.1f} - {row.upper_quartile_ms:,.1f}"
    text = f"{row.median_ms:>9,.1f}  {quartiles:>19}"
    if row.speedup is None:
        return text
    return (
        f"{text}  {row.speedup:>7.2f}x  {row.theoretical_speedup:>7.2f}x  "
        f"{row.sparse_efficiency:>10.2f}"
    )
