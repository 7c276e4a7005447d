"""Recorded runs as documentation: every section's tables, and the best comparisons."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_transformers.claims.tables import JUDGED, LIAR, TRUTHFULQA
from sparse_transformers.experiments.section import Highlight, Section
from sparse_transformers.experiments.tour_report import RESULTS, result_of
from sparse_transformers.utils.report import bullets, prose, table

INTRODUCTION = """
Written by `make readme` from the recorded runs in `outputs/`. Every chapter names the machine that
it was measured on and the command that repeats it. Brackets hold 95% intervals unless a text says
otherwise."""
OPTIONS = {LIAR: "--liar DIR", JUDGED: "--judged FILE", TRUTHFULQA: "--truthfulqa FILE"}
"""What names the files of the user, by the tables that come of them."""


@dataclass(frozen=True)
class Recorded:
    """What a recorded run says about one question.

    Attributes:
        title: the heading.
        machine: what it was measured with, in one sentence.
        command: repeats it.
        text: tables and findings, in Markdown.
        highlight: a row of the README's table, if it has one.
    """

    title: str
    machine: str
    command: str
    text: str
    highlight: Highlight | None = None


def recorded_sections(outputs: Path, sections: Sequence[Section]) -> Iterator[Recorded]:
    """Each section as last recorded: in a run of its own, or else in that of the whole tour.

    Args:
        outputs: a folder that holds the results of a tour, and folders that hold those of others.
        sections: in this order.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file holds something else, or no run has a section.
    """
    paths = [*sorted(outputs.glob(f"*/{RESULTS}")), outputs / RESULTS]
    runs = {path: _read(path) for path in paths}
    for section in sections:
        found = [path for path, run in runs.items() if section.name in run["sections"]]
        if not found:
            raise ValueError(f"{outputs} must hold a run of the section {section.name}, has none")
        yield _recorded(section, runs[found[0]], found[0])


def render_results(recorded: Sequence[Recorded]) -> str:
    """All of docs/results.md."""
    chapters = [
        f"## {each.title}\n\n{each.machine} To repeat it: `{each.command}`.\n\n{each.text}\n"
        for each in recorded
    ]
    return "\n".join(["# Recorded results\n", f"{prose(INTRODUCTION)}\n", *chapters])


def render_highlights(recorded: Sequence[Recorded]) -> str:
    """The README's table."""
    rows = [each.highlight for each in recorded if each.highlight is not None]
    cells = [(row.question, row.found, row.beside) for row in rows]
    return table(("what was compared", "measured", "beside"), cells)


def _read(path: Path) -> dict[str, Any]:
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        _machine(run)
        run["sections"].keys(), run["tables"].keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} must be the results of a tour") from error
    return dict(run)


def _recorded(section: Section, run: Mapping[str, Any], path: Path) -> Recorded:
    try:
        result = result_of(section, run)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} must hold results of {section.name}") from error
    tables = [section.summary(result)] if section.summary else []
    options = [OPTIONS[name] for name in run["tables"]]
    command = f"python demo.py --preset {run['preset']} --sections {section.name}"
    return Recorded(
        title=section.title,
        machine=_machine(run),
        command=" ".join([command, *options]),
        text="\n\n".join([bullets(section.findings(result)), *tables]),
        highlight=section.highlight(result) if section.highlight else None,
    )


def _machine(run: Mapping[str, Any]) -> str:
    machine = run["environment"]
    return (
        f"Measured with Python {machine['python']}, torch {machine['torch']}, {machine['threads']} "
        f"threads of {machine['cpu']}, commit {machine['commit']}."
    )
