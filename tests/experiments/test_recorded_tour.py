"""What an earlier run recorded can be read back, and nothing else is taken for it."""

import json
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import pytest
import torch

from sparse_transformers.experiments.tour import (
    RESULTS,
    Part,
    Section,
    prepare_tour,
    read_recorded,
    run_tour,
)
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
    presets={"small": 3},
    result=Count,
    run=lambda visit: Count(visit.settings, (0.5, 1.5)),
    parts=[Part("How many?", "owls.png", draw, lambda count: f"{count.owls} owls.")],
)


@pytest.fixture
def recorded(tmp_path):
    """The results file of a run."""
    run_tour([OWLS], "small", CORPUS, prepare_tour([OWLS], "small", CORPUS, tmp_path))
    return tmp_path / RESULTS


def change(file, edit):
    results = json.loads(file.read_text())
    edit(results)
    file.write_text(json.dumps(results))


def test_result_is_read_back(recorded):
    assert read_recorded(recorded, OWLS)[0] == Count(3, (0.5, 1.5))


def test_line_tells_of_the_machine_of_that_run(recorded):
    other = {"python": "3.99", "torch": "9.9", "threads": 77, "cpu": "Abacus", "commit": "abc123"}
    change(recorded, lambda results: results["environment"].update(other))
    assert read_recorded(recorded, OWLS)[1] == (
        "Measured with Python 3.99, torch 9.9, 77 threads of Abacus, commit abc123."
    )


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="results"):
        read_recorded(tmp_path / RESULTS, OWLS)


@pytest.mark.parametrize(
    "content",
    [b"", b"owls", b"[]", b"null", b"3", b"{}", b'{"environment": {}}', b"\xff\xfe\x00"],
)
def test_file_of_another_kind_is_named(tmp_path, content):
    file = tmp_path / "owls.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"owls\.json must be the results of owls"):
        read_recorded(file, OWLS)


def test_run_without_the_section_is_named(recorded):
    with pytest.raises(ValueError, match=r"results\.json must be the results of ponds"):
        read_recorded(recorded, replace(OWLS, name="ponds"))


@pytest.mark.parametrize(
    "result",
    [{"owls": 3}, {"owls": 3, "nights": [], "moons": 1}, [3], None, {"owls": 3, "nights": 2}],
)
def test_result_with_other_fields_is_named(recorded, result):
    change(recorded, lambda results: results["sections"]["owls"].update(result=result))
    with pytest.raises(ValueError, match=r"results\.json must be the results of owls"):
        read_recorded(recorded, OWLS)
