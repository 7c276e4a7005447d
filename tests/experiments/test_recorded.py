"""What earlier runs recorded can be read back, and nothing else is taken for it."""

import json
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import pytest
import torch

from sparse_transformers.experiments.recorded import (
    recorded_sections,
    render_highlights,
    render_results,
)
from sparse_transformers.experiments.section import Highlight, Part, Section
from sparse_transformers.experiments.tour import prepare_tour, run_tour
from sparse_transformers.experiments.tour_report import RESULTS
from sparse_transformers.training.data import ByteCorpus

CORPUS = ByteCorpus(torch.arange(100, dtype=torch.uint8), name="a text")


@dataclass(frozen=True)
class Count:
    owls: int
    nights: tuple[float, ...]


def draw(count: Count):
    figure, _ = plt.subplots()
    return figure


OWLS = Section(
    name="owls",
    title="Owls",
    presets={"small": 3, "large": 30},
    result=Count,
    run=lambda visit: Count(visit.settings, (0.5, 1.5)),
    findings=lambda count: [f"There are {count.owls} owls."],
    parts=[Part("How many?", "owls.png", draw, lambda count: f"{count.owls} owls.")],
    summary=lambda count: f"| owls |\n| {count.owls} |",
    highlight=lambda count: Highlight("owls", str(count.owls), "no larks"),
)
LARKS = replace(OWLS, name="larks", title="Larks", highlight=None, summary=None)


def record(folder, sections=(OWLS, LARKS), preset="small"):
    run_tour(sections, preset, CORPUS, prepare_tour(sections, preset, CORPUS, folder))
    return folder / RESULTS


def change(file, edit):
    results = json.loads(file.read_text())
    edit(results)
    file.write_text(json.dumps(results))


def read(outputs, sections=(OWLS, LARKS)):
    return list(recorded_sections(outputs, sections))


def test_a_run_of_its_own_counts_before_the_whole_tour(tmp_path):
    record(tmp_path)
    record(tmp_path / "birds", [OWLS], "large")
    owls, larks = read(tmp_path)
    assert owls.text == "- There are 30 owls.\n\n| owls |\n| 30 |"
    assert owls.command == "python demo.py --preset large --sections owls"
    assert larks.text == "- There are 3 owls."
    assert larks.command == "python demo.py --preset small --sections larks"


def test_command_names_the_files_that_the_user_must_have(tmp_path):
    change(record(tmp_path), lambda run: run.update(tables={"LIAR": 7, "TruthfulQA": 9}))
    assert read(tmp_path)[0].command.endswith("owls --liar DIR --truthfulqa FILE")


def test_results_have_a_chapter_for_each_section(tmp_path):
    file = record(tmp_path)
    other = {"python": "3.99", "torch": "9.9", "threads": 77, "cpu": "Abacus", "commit": "abc123"}
    change(file, lambda run: run["environment"].update(other))
    text = render_results(read(tmp_path))
    assert text.index("## Owls\n") < text.index("There are 3 owls.") < text.index("## Larks\n")
    machine = "Measured with Python 3.99, torch 9.9, 77 threads of Abacus, commit abc123."
    assert text.count(machine) == 2


def test_highlights_are_a_row_for_each_section_that_has_one(tmp_path):
    record(tmp_path)
    assert render_highlights(read(tmp_path)).splitlines()[2:] == ["| owls | 3 | no larks |"]


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="results"):
        read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"owls", b"[]", b"null", b"3", b"{}", b'{"environment": {}}', b"\xff\xfe\x00"],
)
def test_file_of_another_kind_is_named(tmp_path, content):
    record(tmp_path)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / RESULTS).write_bytes(content)
    with pytest.raises(ValueError, match=r"odd.results\.json must be the results of a tour"):
        read(tmp_path)


def test_section_that_no_run_has_is_named(tmp_path):
    record(tmp_path)
    with pytest.raises(ValueError, match="must hold a run of the section ponds, has none"):
        read(tmp_path, [replace(OWLS, name="ponds")])


@pytest.mark.parametrize(
    "result",
    [{"owls": 3}, {"owls": 3, "nights": [], "moons": 1}, [3], None, {"owls": 3, "nights": 2}],
)
def test_result_with_other_fields_is_named(tmp_path, result):
    change(record(tmp_path), lambda run: run["sections"]["owls"].update(result=result))
    with pytest.raises(ValueError, match=r"results\.json must hold results of owls"):
        read(tmp_path)
