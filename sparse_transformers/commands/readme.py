"""`readme`: writes docs/results.md and the README's table from the recorded runs."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from sparse_transformers.commands.command import Command
from sparse_transformers.efficiency import attention_benchmark, attention_implementations
from sparse_transformers.efficiency import expert_benchmark as experts
from sparse_transformers.efficiency.benchmark_report import Report
from sparse_transformers.experiments.recorded import (
    Recorded,
    recorded_sections,
    render_highlights,
    render_results,
)
from sparse_transformers.experiments.section import Highlight
from sparse_transformers.experiments.sections import SECTIONS
from sparse_transformers.utils.report import image
from sparse_transformers.utils.runtime import atomic_write_text

BENCHMARKS: dict[str, tuple[Report, str, str, str]] = {
    "Attention beside other libraries": (
        attention_benchmark.ATTENTION,
        attention_implementations.OURS,
        attention_implementations.FLEX,
        "make bench ARGS='--memory --layouts'",
    ),
    "Layers of experts beside a dense one": (
        experts.EXPERTS,
        experts.OURS,
        experts.MIXTRAL_LOOP,
        "make bench-experts",
    ),
}
"""By title: how it is shown, our implementation and its rival, and the command that repeats it."""


CASE = {
    "pattern": "causal {}",
    "seq_len": "{:,} positions",
    "kind": "{} experts",
    "d_model": "width {}",
}
"""What tells the cases of a benchmark apart, and how the README calls it."""


def read_recorded(outputs: Path) -> list[Recorded]:
    """The benchmarks and every section, as last recorded."""
    return [*recorded_benchmarks(outputs), *recorded_sections(outputs, SECTIONS)]


def recorded_benchmarks(outputs: Path) -> Iterator[Recorded]:
    """The timings beside other libraries, and the case in which we are furthest from dense.

    Raises:
        OSError: a file cannot be read.
        ValueError: it holds something else.
    """
    for title, (report, ours, rival, command) in BENCHMARKS.items():
        path = outputs / report.file_name / f"{report.file_name}.json"
        machine, _, tables = report.render_markdown(path).partition("\n\n")
        [forward, *_], _ = report.read(path)
        picture = image(f"../{outputs.name}/{report.file_name}/{report.file_name}.png", title)
        rows = forward.table()
        best = rows.loc[rows[rows.implementation == ours].speedup.idxmax()]
        case = [name for name in CASE if name in rows]
        same = (rows[case] == best[case]).all(axis=1) & (rows.implementation == rival)
        where = ", ".join(CASE[name].format(best[name]) for name in case)
        yield Recorded(
            title=title,
            machine=machine,
            command=command,
            text=f"{picture}\n\n{tables}",
            highlight=Highlight(
                question=f"speed beside dense, forward: {where}",
                found=_speed(best),
                beside=f"{rival}: {_speed(rows[same].iloc[0])}",
            ),
        )


def _speed(row: pd.Series) -> str:
    """The speed beside dense, and the time with its quartiles."""
    times = f"{row.median_ms:,.0f} ms, {row.lower_quartile_ms:,.0f} to {row.upper_quartile_ms:,.0f}"
    return f"{row.speedup:.2f}× ({times})"


def start_mark(name: str) -> str:
    """The comment after which the generated text called `name` begins."""
    return f"<!-- {name}: written by `make readme` -->"


def end_mark(name: str) -> str:
    """The comment before which it ends."""
    return f"<!-- end of {name} -->"


def put_into_readme(readme: Path, texts: dict[str, str]) -> None:
    """Replace what stands between the marks of each text, and keep everything else.

    Args:
        readme: the file; it is written once, whole or not at all.
        texts: what to write, by name.

    Raises:
        OSError: the file cannot be read or written.
        ValueError: it lacks the marks of a text.
    """
    content = readme.read_text(encoding="utf-8")
    for name, text in texts.items():
        start, end = start_mark(name), end_mark(name)
        if content.count(start) != 1 or content.count(end) != 1:
            raise ValueError(f"{readme} must hold {start!r} and {end!r} once each")
        before, rest = content.split(start)
        _, after = rest.split(end)
        content = f"{before}{start}\n{text}\n{end}{after}"
    atomic_write_text(readme, content)


def add_readme_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the recorded runs are, and what to write."""
    parser.set_defaults(run=run_readme)
    for flag, value, meaning in (
        ("--outputs", "outputs", "folder of the recorded runs"),
        ("--readme", "README.md", "file to write the table into"),
        ("--results", "docs/results.md", "file to write all tables to"),
    ):
        parser.add_argument(flag, default=value, help=f"{meaning} (default: %(default)s)")


def run_readme(arguments: argparse.Namespace) -> None:
    """Write both files; nothing is written where a recorded run is missing."""
    recorded = read_recorded(Path(arguments.outputs))
    put_into_readme(Path(arguments.readme), {"results": render_highlights(recorded)})
    atomic_write_text(Path(arguments.results), render_results(recorded))


README = Command("readme", "write docs/results.md and the README's table", add_readme_arguments)
