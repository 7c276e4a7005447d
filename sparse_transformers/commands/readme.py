"""`readme`: writes docs/results.md and the README's table from the recorded runs."""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_transformers.commands.command import Command
from sparse_transformers.experiments.section import Highlight, Section
from sparse_transformers.experiments.sections import SECTIONS
from sparse_transformers.experiments.tour_report import RESULTS, result_of
from sparse_transformers.utils.readme import put_into_readme
from sparse_transformers.utils.report import bullets, prose, table
from sparse_transformers.utils.runtime import atomic_write_text

INTRODUCTION = """
Written by `make readme` from the recorded runs in `outputs/`. Every table names the machine that it
was measured on and the command that repeats it. Brackets hold 95% intervals unless a text says
otherwise."""
FILES_OF_THE_USER = {"LIAR": "--liar DIR", "judged answers": "--judged FILE"}
FILES_OF_THE_USER["TruthfulQA"] = "--truthfulqa FILE"


@dataclass(frozen=True)
class Recorded:
    """What a recorded run says about one question.

    Attributes:
        title: the heading.
        machine: what it was measured with.
        command: repeats it.
        text: tables and findings, in Markdown.
        highlight: a row of the README's table, if it has one.
    """

    title: str
    machine: str
    command: str
    text: str
    highlight: Highlight | None = None


def recorded_sections(outputs: Path) -> Iterator[Recorded]:
    """Each section as last recorded: in a run of its own, or else in that of the whole tour.

    Raises:
        OSError: a file cannot be read.
        ValueError: it holds something else than results, or no run holds a section.
    """
    runs = {
        path: _read(path) for path in [*sorted(outputs.glob(f"*/{RESULTS}")), outputs / RESULTS]
    }
    for section in SECTIONS:
        path = next((path for path, run in runs.items() if section.name in run["sections"]), None)
        if path is None:
            raise ValueError(f"{outputs} must hold a run with the section {section.name}, has none")
        yield _recorded(section, runs[path], path)


def render_results(recorded: list[Recorded]) -> str:
    """All of docs/results.md."""
    chapters = [
        f"## {each.title}\n\n{each.machine} To repeat it: `{each.command}`.\n\n{each.text}\n"
        for each in recorded
    ]
    return "\n".join(["# Recorded results\n", prose(INTRODUCTION) + "\n", *chapters])


def render_highlights(recorded: list[Recorded]) -> str:
    """The README's table."""
    rows = [each.highlight for each in recorded if each.highlight is not None]
    return table(
        ("what was compared", "measured", "beside"),
        [(row.question, row.found, row.beside) for row in rows],
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        _machine(run)
        run["sections"].keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} must be the results of a tour") from error
    return dict(run)


def _recorded(section: Section, run: Mapping[str, Any], path: Path) -> Recorded:
    result = result_of(section, run)
    findings = bullets(section.findings(result))
    tables = [section.summary(result)] if section.summary else []
    files = [FILES_OF_THE_USER[name] for name in run["tables"]]
    command = ["python demo.py", f"--preset {run['preset']}", f"--sections {section.name}", *files]
    return Recorded(
        title=section.title,
        machine=_machine(run),
        command=" ".join(command),
        text="\n\n".join([*tables, findings, f"More of it is in {path.parent.as_posix()}."]),
        highlight=section.highlight(result) if section.highlight else None,
    )


def _machine(run: Mapping[str, Any]) -> str:
    machine = run["environment"]
    return (
        f"Measured with Python {machine['python']}, torch {machine['torch']}, {machine['threads']} "
        f"threads of {machine['cpu']}, commit {machine['commit']}."
    )


def add_readme_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the recorded runs are, and what to write."""
    parser.set_defaults(run=run_readme)
    parser.add_argument("--outputs", metavar="DIR", default="outputs", help="of recorded runs")
    parser.add_argument("--readme", metavar="FILE", default="README.md", help="to write into")
    parser.add_argument(
        "--results",
        metavar="FILE",
        default="docs/results.md",
        help="to write (default: %(default)s)",
    )


def run_readme(arguments: argparse.Namespace) -> None:
    """Write the tables of all recorded runs, and the best comparisons into the README."""
    outputs = Path(arguments.outputs)
    recorded = [*recorded_benchmarks(outputs), *recorded_sections(outputs)]
    atomic_write_text(Path(arguments.results), render_results(recorded))
    put_into_readme(Path(arguments.readme), {"results": render_highlights(recorded)})


def recorded_benchmarks(outputs: Path) -> Iterator[Recorded]:
    """The timings of the kernel and of layers of experts."""
    yield from ()


README = Command("readme", "write docs/results.md and the README's table", add_readme_arguments)
