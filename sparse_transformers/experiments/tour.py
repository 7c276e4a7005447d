"""Runs sections one after the other, and writes what they found: results, figures, report.

A section measures and returns a frozen dataclass. That goes into `results.json`, and whatever else
is written is made from what that file holds. After each section everything is on disk and fits
together, so a run that is stopped half-way leaves the report of what it finished.
"""

import io
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from sparse_transformers.claims.tables import Tables
from sparse_transformers.training.data import ByteCorpus
from sparse_transformers.utils.records import from_json, to_json
from sparse_transformers.utils.report import image, prose, table
from sparse_transformers.utils.runtime import (
    atomic_write_bytes,
    atomic_write_text,
    environment,
    make_writable_folder,
)

RESULTS = "results.json"
REPORT = "DEMONSTRATION_REPORT.md"
DOTS_PER_INCH = 110  # of figures 9.2 inches wide: readable in a README, and small files

Results = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One question of a section: a figure, and what it shows.

    Attributes:
        title: the heading in the report.
        file: name of the figure in the section's folder.
        draw: makes the figure from the section's result.
        describe: tells what it shows, in Markdown.
    """

    title: str
    file: str
    draw: Callable[[Any], Figure]
    describe: Callable[[Any], str]


@dataclass(frozen=True)
class Page:
    """Something to open in a browser.

    Attributes:
        file: its name in the section's folder.
        render: makes the HTML from the section's result.
        introduce: what it is, for the line in the report that links to it.
    """

    file: str
    render: Callable[[Any], str]
    introduce: str


@dataclass(frozen=True)
class Visit:
    """What a section is given to run with.

    Attributes:
        settings: the section's own, of the chosen preset.
        corpus: the text of the tour.
        tables: published data sets that the user has named; without any, sections about
            truthfulness make synthetic ones.
        seed: of every random choice.
        say: is told what comes next.
        progress: whether to show progress bars.
    """

    settings: Any
    corpus: ByteCorpus
    tables: Tables
    seed: int
    say: Callable[[str], object]
    progress: bool = False


@dataclass(frozen=True)
class Section:
    """One stop of the tour.

    Attributes:
        name: of its folder and its entry in the results.
        title: the heading in the report.
        presets: its settings, by the name of the preset.
        result: the dataclass that `run` returns.
        run: measures.
        parts: figures and words.
        pages: for the browser.
        check: raises a `ValueError` if the text does not suit the settings.
    """

    name: str
    title: str
    presets: Mapping[str, Any]
    result: type
    run: Callable[[Visit], Any]
    parts: Sequence[Part]
    check: Callable[[Any, ByteCorpus], None] = lambda settings, corpus: None
    pages: Sequence[Page] = ()


def prepare_tour(
    sections: Sequence[Section],
    preset: str,
    corpus: ByteCorpus,
    folder: str | Path,
    *,
    only: Collection[str] | None = None,
) -> Path:
    """Make the folders, and find out before any work whether the tour can be run.

    Returns:
        The folder.

    Raises:
        ValueError: the text does not suit a section.
        OSError: a folder cannot be made or written to.
    """
    chosen = _chosen(sections, only)
    for section in chosen:
        section.check(section.presets[preset], corpus)
    folder = make_writable_folder(folder)
    for section in chosen:
        make_writable_folder(folder / section.name)
    return folder


def run_tour(
    sections: Sequence[Section],
    preset: str,
    corpus: ByteCorpus,
    folder: Path,
    *,
    tables: Tables | None = None,
    only: Collection[str] | None = None,
    seed: int = 0,
    say: Callable[[str], object] = lambda step: None,
    progress: bool = False,
) -> Results:
    """Run the sections and write everything into the folder; returns what `results.json` holds.

    Args:
        sections: in this order.
        preset: which of their settings to use.
        corpus: the text.
        folder: where `prepare_tour` has been.
        tables: published data sets, by name.
        only: run the sections of these names; the report names the others as not run.
        seed: of every random choice.
        say: is told what comes next.
        progress: show progress bars.
    """
    started = time.perf_counter()
    results: Results = {
        "preset": preset,
        "seed": seed,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "text": {"name": corpus.name, "bytes": len(corpus.content), "sha256": corpus.sha256()},
        "tables": {name: len(table) for name, table in (tables or {}).items()},
        "environment": environment(),
        "seconds": 0.0,
        "sections": {},
    }
    for section in _chosen(sections, only):
        section_started = time.perf_counter()
        visit = Visit(
            settings=section.presets[preset],
            corpus=corpus,
            tables=tables or {},
            seed=seed,
            say=partial(_say_in, section, say),
            progress=progress,
        )
        result = section.run(visit)
        results["sections"][section.name] = {
            "seconds": time.perf_counter() - section_started,
            "result": to_json(result),
        }
        results["seconds"] = time.perf_counter() - started
        say(f"{section.name}: figures and report")
        _publish(results, section, sections, folder)
    return results


def _chosen(sections: Sequence[Section], only: Collection[str] | None) -> list[Section]:
    return [section for section in sections if only is None or section.name in only]


def _say_in(section: Section, say: Callable[[str], object], step: str) -> None:
    say(f"{section.name}: {step}")


def read_recorded(path: Path, section: Section) -> tuple[Any, str]:
    """A section's result in the results of an earlier run, and a line about that run.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds something else, or not this section.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        machine = results["environment"]
        where = (
            f"Measured with Python {machine['python']}, torch {machine['torch']}, "
            f"{machine['threads']} threads of {machine['cpu']}, commit {machine['commit']}."
        )
        return _result_of(section, results), where
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} must be the results of {section.name}") from error


def render_report(results: Results, sections: Sequence[Section]) -> str:
    """The report as Markdown: a function of the results alone."""
    done = [section for section in sections if section.name in results["sections"]]
    chapters = [_render_section(section, results) for section in done]
    missing = [section.title for section in sections if section not in done]
    if missing:
        chapters.append(f"## Not measured in this run\n\n{', '.join(missing)}.\n")
    return "\n".join([_render_head(results), *chapters])


def _publish(results: Results, section: Section, sections: Sequence[Section], folder: Path) -> None:
    """Write the results, then the figures of the section and the report from what was written."""
    text = json.dumps(results, indent=1, allow_nan=False) + "\n"
    atomic_write_text(folder / RESULTS, text)
    results = json.loads(text)
    result = _result_of(section, results)
    for part in section.parts:
        picture = io.BytesIO()
        figure = part.draw(result)
        figure.savefig(picture, format="png", dpi=DOTS_PER_INCH)
        plt.close(figure)
        atomic_write_bytes(folder / section.name / part.file, picture.getvalue())
    for page in section.pages:
        atomic_write_text(folder / section.name / page.file, page.render(result))
    atomic_write_text(folder / REPORT, render_report(results, sections))


def _render_head(results: Results) -> str:
    machine, text = results["environment"], results["text"]
    tables = [f"{name}, {n_rows:,} rows" for name, n_rows in results["tables"].items()]
    about = [
        ("preset", results["preset"]),
        ("seed", str(results["seed"])),
        ("text", f"{text['name']}, {text['bytes']:,} bytes, SHA-256 {text['sha256'][:12]}…"),
        ("claims", "; ".join(tables) or "synthetic"),
        ("started", results["started"]),
        ("wall time", f"{results['seconds']:.0f} s"),
        ("processor", f"{machine['cpu']}, {machine['threads']} threads"),
        ("software", f"Python {machine['python']}, torch {machine['torch']}"),
        ("commit", str(machine["commit"])),
    ]
    introduction = prose(f"""
        Written by `demo.py` from the `{RESULTS}` of the same run. *Measured* means on the machine
        below, in this run. *Counted* means derived exactly from the rule of a pattern. *Model, not
        measured* means that a formula says so, and nobody has checked it here.""")
    return (
        f"# What sparse attention does, measured\n\n{introduction}\n\n"
        f"{table(('this run', ''), about)}\n"
    )


def _render_section(section: Section, results: Results) -> str:
    result = _result_of(section, results)
    parts = [
        f"### {part.title}\n\n{image(f'{section.name}/{part.file}', part.title)}\n\n"
        f"{part.describe(result)}\n"
        for part in section.parts
    ]
    pages = [
        f"{page.introduce}: [{page.file}]({section.name}/{page.file})\n" for page in section.pages
    ]
    return "\n".join([f"## {section.title}\n", *parts, *pages])


def _result_of(section: Section, results: Results) -> Any:
    return from_json(section.result, results["sections"][section.name]["result"])
