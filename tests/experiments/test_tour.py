"""A tour writes results first, then all the rest from them, and nothing by halves."""

import json
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.figure import Figure

from sparse_transformers.experiments.section import Page, Part, Section
from sparse_transformers.experiments.tour import REPORT, prepare_tour, run_tour
from sparse_transformers.experiments.tour_report import RESULTS, render_report
from sparse_transformers.training.data import ByteCorpus

CORPUS = ByteCorpus(torch.arange(100, dtype=torch.uint8), name="a text")


@dataclass(frozen=True)
class Finding:
    number: float
    seed: int


def draw(finding: Finding):
    figure = Figure()
    ax = figure.subplots()
    ax.plot([finding.number])
    return figure


def section(name: str, number: float = 1.5, **changes) -> Section:
    first = Section(
        name=name,
        title=name.title(),
        presets={"small": number, "large": 10 * number},
        result=Finding,
        run=lambda visit: Finding(visit.settings, visit.seed),
        findings=lambda finding: [f"The number is {finding.number}."],
        parts=[Part("What?", "what.png", draw, lambda finding: f"It is {finding.number}.")],
    )
    return replace(first, **changes)


def tour(sections, folder, **options):
    return run_tour(
        sections, "small", CORPUS, prepare_tour(sections, "small", CORPUS, folder), **options
    )


def test_tour_writes_results_figures_and_report(tmp_path):
    sections = [section("one"), section("two", 2.5)]
    results = tour(sections, tmp_path / "deep" / "folder", seed=7)
    folder = tmp_path / "deep" / "folder"
    assert json.loads((folder / RESULTS).read_text()) == results
    assert results["sections"]["two"]["result"] == {"number": 2.5, "seed": 7}
    assert results["text"]["bytes"] == 100
    assert results["environment"]["torch"] == torch.__version__
    for name in ("one", "two"):
        assert (folder / name / "what.png").read_bytes().startswith(b"\x89PNG")
    report = (folder / REPORT).read_text()
    assert report.index("## One") < report.index("It is 1.5.") < report.index("It is 2.5.")
    assert "![What?](two/what.png)" in report
    assert "Not measured in this run" not in report
    first_page = report[: report.index("\n## One")]
    assert "- **One.** The number is 1.5.\n- **Two.** The number is 2.5.\n" in first_page
    assert "\n[One](#one) and [Two](#two).\n" in first_page
    assert first_page.index("The number") < first_page.index("(#one)")


def test_report_is_a_function_of_the_results_file(tmp_path):
    sections = [section("one")]
    tour(sections, tmp_path)
    results = json.loads((tmp_path / RESULTS).read_text())
    assert render_report(results, sections) == (tmp_path / REPORT).read_text()
    results["sections"]["one"]["result"]["number"] = 99.0
    assert "It is 99.0." in render_report(results, sections)


def test_pages_are_written_and_named_without_a_link(tmp_path):
    page = Page("touch.html", lambda finding: f"<b>{finding.number}</b>", "To touch")
    tour([section("one", pages=[page])], tmp_path)
    assert (tmp_path / "one" / "touch.html").read_text() == "<b>1.5</b>"
    report = (tmp_path / REPORT).read_text()
    assert "To touch: `one/touch.html`" in report
    assert "(one/touch.html)" not in report  # pages are not stored, so the link could be dead


def test_only_chosen_sections_are_run_and_the_others_are_named(tmp_path):
    sections = [section("one"), section("two")]
    folder = prepare_tour(sections, "small", CORPUS, tmp_path, only=["two"])
    results = run_tour(sections, "small", CORPUS, folder, only=["two"])
    assert results["sections"].keys() == {"two"}
    assert not (tmp_path / "one").exists()
    assert "\nNot measured in this run: One.\n" in (tmp_path / REPORT).read_text()


def test_preset_chooses_the_settings(tmp_path):
    sections = [section("one")]
    folder = prepare_tour(sections, "large", CORPUS, tmp_path)
    results = run_tour(sections, "large", CORPUS, folder)
    assert results["sections"]["one"]["result"]["number"] == 15


def test_interrupted_tour_leaves_what_was_finished(tmp_path):
    def interrupt(visit):
        raise KeyboardInterrupt

    sections = [section("one"), section("two", run=interrupt)]
    with pytest.raises(KeyboardInterrupt):
        tour(sections, tmp_path)
    assert json.loads((tmp_path / RESULTS).read_text())["sections"].keys() == {"one"}
    report = (tmp_path / REPORT).read_text()
    assert "\nNot measured in this run: Two.\n" in report
    assert render_report(json.loads((tmp_path / RESULTS).read_text()), sections) == report


def test_failed_figure_leaves_no_half_written_file(tmp_path):
    def fail(finding):
        raise RuntimeError("no figure")

    broken = section("one", parts=[Part("What?", "what.png", fail, str)])
    with pytest.raises(RuntimeError, match="no figure"):
        tour([broken], tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["one", RESULTS]


def test_the_tour_leaves_no_figure_open(tmp_path):
    before = plt.get_fignums()
    tour([section("one")], tmp_path)
    assert plt.get_fignums() == before


def test_steps_are_announced_with_their_section(tmp_path):
    said = []
    talkative = section("one", run=lambda visit: (visit.say("counting"), Finding(1.0, 0))[1])
    tour([talkative], tmp_path, say=said.append)
    assert said == ["one: counting", "one: figures and report"]


def test_text_that_does_not_suit_is_refused_before_any_folder_is_made(tmp_path):
    def refuse(settings, corpus):
        raise ValueError(f"{corpus.name} is too short for {settings}")

    with pytest.raises(ValueError, match=r"a text is too short for 1\.5"):
        prepare_tour([section("one", check=refuse)], "small", CORPUS, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"the output folder .*file must be writable"):
        prepare_tour([section("one")], "small", CORPUS, tmp_path / "file")
    with pytest.raises(OSError, match=r"the output folder .*file must be writable"):
        prepare_tour([section("file")], "small", CORPUS, tmp_path)
