"""What a benchmark leaves behind: tables for the terminal and for documents, JSON, and a figure."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any, Protocol, runtime_checkable

from matplotlib.figure import Figure

from sparse_transformers.efficiency.comparison import Benchmark
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


@runtime_checkable
class Record(Protocol):
    """A dataclass of results that are no comparison."""

    def table(self) -> Table:
        """All of it."""


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
        records: the classes of further results, by their name in the file.
        record_plots: draws further results of a name.
    """

    subject: str
    file_name: str
    settings: str
    columns: Mapping[str, str]
    plot: Callable[..., object]
    records: Mapping[str, type[Record]] = field(default_factory=dict)
    record_plots: Mapping[str, Callable[..., object]] = field(default_factory=dict)

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
        self, folder: Path, benchmarks: Sequence[Benchmark], **records: Sequence[Record]
    ) -> list[Path]:
        """Write results as JSON, and tables and a figure of them; returns the paths.

        Args:
            folder: an existing folder.
            benchmarks: one for each direction.
            records: further results, by the names in `self.records`.

        Raises:
            ValueError: there are no benchmarks.
        """
        if not benchmarks:
            raise ValueError("benchmarks must hold at least one entry, got none")
        json_path, tables, image = (folder / f"{self.file_name}.{e}" for e in ("json", "md", "png"))
        further = {name: list(records.get(name, [])) for name in self.records}
        results = to_json({"benchmarks": list(benchmarks), **further})
        atomic_write_text(json_path, json.dumps(results, indent=2) + "\n")
        atomic_write_text(tables, self.render_markdown(json_path) + "\n")

        drawn = {name: plot for name, plot in self.record_plots.items() if further[name]}
        n_plots = len(benchmarks) + len(drawn)
        figure = Figure(figsize=(7 * n_plots, 6), layout="constrained")
        axes = iter(figure.subplots(1, n_plots, squeeze=False)[0])
        for benchmark in benchmarks:
            self.plot(benchmark.table(), ax=next(axes))
        for name, plot in drawn.items():
            plot(results[name], ax=next(axes))
        drawing = io.BytesIO()
        figure.savefig(drawing, format="png", dpi=120)
        atomic_write_bytes(image, drawing.getvalue())
        return [json_path, tables, image]

    def read(self, results: Path) -> tuple[list[Benchmark], list[Record]]:
        """The benchmarks and the further results of a recorded run; arguments as below."""
        try:
            content = json.loads(results.read_text(encoding="utf-8"))
            benchmarks = [from_json(Benchmark, entry) for entry in content["benchmarks"]]
            records = [from_json(self.records[n], e) for n in self.records for e in content[n]]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{results} must be the results of {self.subject}") from error
        if not benchmarks:
            raise ValueError(f"{results} must hold times, got none")
        return benchmarks, records

    def render_markdown(self, results: Path) -> str:
        """The tables of a recorded run, with the machine that it ran on.

        Args:
            results: the JSON file that `write` wrote.

        Raises:
            OSError: it cannot be read.
            ValueError: it holds something else, or no times.
        """
        benchmarks, records = self.read(results)
        tables = [self.table(benchmark) for benchmark in benchmarks]
        tables += [record.table() for record in records]
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
