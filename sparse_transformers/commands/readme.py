"""`readme`: writes docs/results.md and the README's table from the recorded runs."""

import argparse
from pathlib import Path

from sparse_transformers.commands.command import Command
from sparse_transformers.experiments.recorded import (
    Recorded,
    recorded_sections,
    render_highlights,
    render_results,
)
from sparse_transformers.experiments.sections import SECTIONS
from sparse_transformers.utils.readme import put_into_readme
from sparse_transformers.utils.runtime import atomic_write_text


def read_recorded(outputs: Path) -> list[Recorded]:
    """The benchmarks and every section, as last recorded."""
    return [*recorded_benchmarks(outputs), *recorded_sections(outputs, SECTIONS)]


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
