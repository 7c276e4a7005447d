"""What a benchmark of experts found, as records that print as a table."""

from dataclasses import dataclass
from typing import Any

from sparse_transformers.efficiency.comparison import Direction
from sparse_transformers.utils.report import table


@dataclass(frozen=True)
class ExpertRow:
    """One arm at one size. Without a measurement the numbers are None and the reason is given.

    Attributes:
        d_ff: width inside one expert; the dense layer is `top_k` times as wide.
        gated: whether experts are gated (SwiGLU) rather than plain (GELU).
        relative_speed: tokens per second over those of the dense layer, which were taken in the
            same round: the median over the rounds, and its quartiles.
    """

    arm: str
    d_model: int
    d_ff: int
    gated: bool
    direction: Direction
    median_ms: float | None = None
    lower_quartile_ms: float | None = None
    upper_quartile_ms: float | None = None
    tokens_per_second: float | None = None
    relative_speed: float | None = None
    lower_relative_speed: float | None = None
    upper_relative_speed: float | None = None
    not_measured: str | None = None

    @property
    def kind(self) -> str:
        return "gated" if self.gated else "plain"


@dataclass(frozen=True)
class ExpertBenchmark:
    """Times of all arms in one direction, and what they depend on. Printed, it is a table."""

    direction: Direction
    rows: tuple[ExpertRow, ...]
    batch: int
    seq_len: int
    num_experts: int
    top_k: int
    repeats: int
    seed: int
    device: str
    environment: dict[str, Any]

    @property
    def title(self) -> str:
        return (
            f"{self.direction.replace('_', ' + ').capitalize()}, {self.num_experts} experts, "
            f"top-{self.top_k}, {self.batch} x {self.seq_len:,} tokens, float32 on {self.device}, "
            f"median of {self.repeats} (quartiles)"
        )

    def __str__(self) -> str:
        arms = max(len(row.arm) for row in self.rows)
        lines = [
            self.title,
            f"{'experts':<7}  {'d_model':>7}  {'d_ff':>5}  {'arm':<{arms}}  {'ms':>9}  "
            f"{'quartiles':>19}  {'tokens/s':>9}  of dense (quartiles)",
        ]
        for row in self.rows:
            start = f"{row.kind:<7}  {row.d_model:>7}  {row.d_ff:>5}  {row.arm:<{arms}}  "
            lines.append(start + _measurement(row))
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """The table for a document: one row for each arm and size, in the order measured."""
        headers = ["experts", "d_model", "d_ff", "arm", "ms", "tokens/s", "of dense"]
        cells = [
            [row.kind, str(row.d_model), str(row.d_ff), row.arm, *_cells(row)] for row in self.rows
        ]
        return f"{self.title}:\n\n{table(headers, cells)}"


def _measurement(row: ExpertRow) -> str:
    if row.median_ms is None:
        return f"not measured: {row.not_measured}"
    quartiles = f"{row.lower_quartile_ms:,.1f} - {row.upper_quartile_ms:,.1f}"
    text = f"{row.median_ms:>9,.1f}  {quartiles:>19}  {row.tokens_per_second:>9,.0f}"
    if row.relative_speed is None:
        return text
    spread = f"{row.lower_relative_speed:.2f} - {row.upper_relative_speed:.2f}"
    return f"{text}  {row.relative_speed:.2f} ({spread})"


def _cells(row: ExpertRow) -> list[str]:
    if row.median_ms is None:
        return [f"not measured: {row.not_measured}", "", ""]
    ms = f"{row.median_ms:,.1f} ({row.lower_quartile_ms:,.1f}–{row.upper_quartile_ms:,.1f})"
    relative = ""
    if row.relative_speed is not None:
        spread = f"{row.lower_relative_speed:.2f}–{row.upper_relative_speed:.2f}"
        relative = f"{row.relative_speed:.2f} ({spread})"
    return [ms, f"{row.tokens_per_second:,.0f}", relative]
