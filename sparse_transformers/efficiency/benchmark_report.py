"""What a benchmark leaves behind: tables for the terminal and for documents, JSON, and a figure."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

from matplotlib.figure import Figure

from sparse_transformers.efficiency.comparison import Benchmark
from sparse_transformers.utils.plots.style import DOTS_PER_INCH, WIDTH
from sparse_transformers.utils.records import from_json, to_json
from sparse_transformers.utils.report import NOT_MEASURED, table
from sparse_transformers.utils.runtime import atomic_write_bytes, atomic_write_text

TIMES = "{median_ms:,.1f} ({lower_quartile_ms:,.1f}–{upper_quartile_ms:,.1f})"
WORDS = ("implementation", "causal pattern", "experts")
"""Columns of words, which are set to the left; numbers are set to the right."""


@dataclass(frozen=True)
class Table:
    """Cells below a title and heads, aligned where they are printed."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        lines = [self.heads, *self.rows]
        # A reason why there are no numbers runs on over the empty cells after it.
        widths = [
            max(len(cell) for cell in column if not cell.startswith(NOT_MEASURED))
            for column in zip(*lines, strict=True)
        ]
        aligned = [
            "  ".join(
                cell.ljust(width) if head in WORDS else cell.rjust(width)
                for head, cell, width in zip(self.heads, line, widths, strict=True)
            )
            for line in lines
        ]
        return "\n".join([self.title, *(line.rstrip() for line in aligned)])

    def to_markdown(self) -> str:
        """The table for a document."""
        return f"{self.title}:\n\n{table(self.heads, self.rows, words=WORDS)}"


@dataclass(frozen=True)
class Growth:
    """How something about one causal pattern grows with the number of positions.

    Attributes:
        subject: what grows, and how it was measured.
        pattern: as Python, without `Causal()`.
        columns: a number for each length, by the head of the column; the first are the lengths.
        exponent: of the growth, fitted to the logarithms: 1 is linear, 2 quadratic; None if it was
            not fitted.
    """

    subject: str
    pattern: str
    columns: dict[str, tuple[float, ...]]
    exponent: float | None = None

    def table(self) -> Table:
        """A row for each length."""
        title = f"{self.subject}, causal `{self.pattern}`"
        if self.exponent is not None:
            title += f"; it grows as positions^{self.exponent:.2f}"
        rows = [
            [f"{cell:,}" if isinstance(cell, int) else f"{cell:,.1f}" for cell in row]
            for row in zip(*self.columns.values(), strict=True)
        ]
        return Table(title, list(self.columns), rows)


@dataclass(frozen=True)
class Report:
    """How the benchmarks of one subject are shown and stored.

    Attributes:
        subject: what the results are, as in "must be the results of an attention benchmark".
        file_name: of the files, without their endings.
        settings: the sizes that all rows share, as a template of `Benchmark.settings`.
        columns: heads of the table and templates of a row's columns, the times below "ms". A cell
            is empty where a value is missing; below "ms" it then holds the reason.
        plot: draws the rows of a benchmark.
        growths: what else is measured, by its name in the file.
    """

    subject: str
    file_name: str
    settings: str
    columns: Mapping[str, str]
    plot: Callable[..., object]
    growths: Sequence[str] = ()

    def table(self, benchmark: Benchmark, **templates: str) -> Table:
        """A row for each implementation and case; `templates` replaces those of `columns`."""
        direction = benchmark.direction.replace("_", " + ").capitalize()
        title = (
            f"{direction}, {self.settings.format(**benchmark.settings)}, float32 on "
            f"{benchmark.device}, median of {benchmark.repeats} (quartiles)"
        )
        columns = {**self.columns, **templates}
        return Table(title, list(columns), [_cells(row, columns) for row in benchmark.rows])

    def write(
        self, folder: Path, benchmarks: Sequence[Benchmark], **growths: Sequence[Growth]
    ) -> list[Path]:
        """Write results as JSON, and tables and a figure of them; returns the paths.

        Args:
            folder: an existing folder.
            benchmarks: one for each direction.
            growths: what else was measured, by the names in `self.growths`.

        Raises:
            ValueError: there are no benchmarks.
        """
        if not benchmarks:
            raise ValueError("benchmarks must hold at least one entry, got none")
        json_path, tables, image = (folder / f"{self.file_name}.{e}" for e in ("json", "md", "png"))
        further = {name: list(growths.get(name, [])) for name in self.growths}
        results = to_json({"benchmarks": list(benchmarks), **further})
        atomic_write_text(json_path, json.dumps(results, indent=2) + "\n")
        atomic_write_text(tables, self.render_markdown(json_path) + "\n")
        drawing = io.BytesIO()
        self.draw(benchmarks).savefig(drawing, format="png", dpi=DOTS_PER_INCH)
        atomic_write_bytes(image, drawing.getvalue())
        return [json_path, tables, image]

    def draw(self, benchmarks: Sequence[Benchmark]) -> Figure:
        """The benchmarks below each other."""
        figure = Figure(figsize=(WIDTH, 5.5 * len(benchmarks)), layout="constrained")
        panels = figure.subplots(len(benchmarks), 1, squeeze=False)
        for benchmark, ax in zip(benchmarks, panels[:, 0], strict=True):
            self.plot(benchmark.table(), ax=ax)
        return figure

    def read(self, results: Path) -> tuple[list[Benchmark], list[Growth]]:
        """The benchmarks and what else a recorded run has measured; arguments as below."""
        try:
            content = json.loads(results.read_text(encoding="utf-8"))
            benchmarks = [from_json(Benchmark, entry) for entry in content["benchmarks"]]
            growths = [from_json(Growth, each) for name in self.growths for each in content[name]]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{results} must be the results of {self.subject}") from error
        if not benchmarks:
            raise ValueError(f"{results} must hold times, got none")
        return benchmarks, growths

    def render_markdown(self, results: Path) -> str:
        """The tables of a recorded run, with the machine that it ran on.

        Args:
            results: the JSON file that `write` wrote.

        Raises:
            OSError: it cannot be read.
            ValueError: it holds something else, or no times.
        """
        benchmarks, growths = self.read(results)
        tables = [self.table(benchmark) for benchmark in benchmarks]
        tables += [growth.table() for growth in growths]
        machine = measured_with([each.environment for each in benchmarks])
        return "\n\n".join([machine, *(table.to_markdown() for table in tables)])


def measured_with(environments: Sequence[dict[str, Any]]) -> str:
    """The machine and the software, each differing value once."""
    values = {
        name: " and ".join(dict.fromkeys(str(each[name]) for each in environments))
        for name in environments[0]
        if environments[0][name] is not None
    }
    return f"Measured with {', '.join(f'{name} {value}' for name, value in values.items())}."


def _cells(row: Mapping[str, Any], columns: Mapping[str, str]) -> list[str]:
    cells = []
    for head, template in columns.items():
        names = [name for _, name, _, _ in Formatter().parse(template) if name]
        if head == "ms" and row["median_ms"] is None:
            cells.append(f"{NOT_MEASURED}: {row['not_measured']}")
        elif any(row[name] is None for name in names):
            cells.append("")
        else:
            cells.append(template.format(**row))
    return cells
