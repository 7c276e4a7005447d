"""Runs sections one after the other, and writes what they found: results, figures, report.

A section measures and returns a frozen dataclass. That goes into `results.json`, and whatever else
is written is made from what that file holds. After each section everything is on disk and fits
together, so a run that is stopped half-way leaves the report of what it finished.
"""

import io
import json
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sparse_transformers.claims.tables import Tables
from sparse_transformers.experiments.section import Section, Visit
from sparse_transformers.experiments.tour_report import RESULTS, render_report, result_of
from sparse_transformers.training.data import ByteCorpus
from sparse_transformers.utils.plots.style import DOTS_PER_INCH
from sparse_transformers.utils.records import to_json
from sparse_transformers.utils.runtime import (
    atomic_write_bytes,
    atomic_write_text,
    environment,
    make_writable_folder,
)

REPORT = "DEMONSTRATION_REPORT.md"

Results = dict[str, Any]


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


def _publish(results: Results, section: Section, sections: Sequence[Section], folder: Path) -> None:
    """Write the results, then the figures of the section and the report from what was written."""
    text = json.dumps(results, indent=1, allow_nan=False) + "\n"
    atomic_write_text(folder / RESULTS, text)
    results = json.loads(text)
    result = result_of(section, results)
    for part in section.parts:
        picture = io.BytesIO()
        figure = part.draw(result)
        figure.savefig(picture, format="png", dpi=DOTS_PER_INCH)
        atomic_write_bytes(folder / section.name / part.file, picture.getvalue())
    for page in section.pages:
        atomic_write_text(folder / section.name / page.file, page.render(result))
    atomic_write_text(folder / REPORT, render_report(results, sections))
