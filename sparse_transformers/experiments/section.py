"""What a section of the tour is: a question, its measurement, and how the answer is shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from sparse_transformers.claims.tables import Tables
from sparse_transformers.training.data import ByteCorpus


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
class Highlight:
    """One row of the README's table.

    Attributes:
        question: what was compared.
        found: the number, with its interval.
        beside: the number of the control or the competitor.
    """

    question: str
    found: str
    beside: str


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
        findings: what was found, in one or two plain sentences with their numbers and intervals.
        parts: figures and words.
        pages: for the browser.
        summary: the tables that `make readme` puts into docs/results.md; without it, the findings
            stand there alone.
        highlight: the section's best comparison, for the README.
        check: raises a `ValueError` if the text does not suit the settings.
    """

    name: str
    title: str
    presets: Mapping[str, Any]
    result: type
    run: Callable[[Visit], Any]
    findings: Callable[[Any], Sequence[str]]
    parts: Sequence[Part]
    check: Callable[[Any, ByteCorpus], None] = lambda settings, corpus: None
    pages: Sequence[Page] = ()
    summary: Callable[[Any], str] | None = None
    highlight: Callable[[Any], Highlight] | None = None
