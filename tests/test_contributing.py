"""The section that CONTRIBUTING.md adds as an example is short, and runs as it stands there."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest
import torch

import sparse_transformers.experiments
from sparse_transformers.experiments.tour import REPORT, prepare_tour, run_tour
from sparse_transformers.experiments.tour_report import RESULTS
from sparse_transformers.training.data import ByteCorpus

CONTRIBUTING = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = re.findall(
    r"^`experiments/(\w+/\w+\.py)`[^\n]*\n\n```python\n(.*?)^```$",
    CONTRIBUTING,
    flags=re.MULTILINE | re.DOTALL,
)


@pytest.fixture
def tile_fill(tmp_path, monkeypatch):
    """The example as a room of `experiments`, although it lies elsewhere."""
    for name, text in FILES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    places = [*sparse_transformers.experiments.__path__, str(tmp_path)]
    monkeypatch.setattr(sparse_transformers.experiments, "__path__", places)
    before = set(sys.modules)
    yield importlib.import_module("sparse_transformers.experiments.tile_fill")
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_example_has_less_than_150_lines_in_four_files():
    names = ["measure.py", "figures.py", "report.py", "__init__.py"]
    assert [name.removeprefix("tile_fill/") for name, _ in FILES] == names
    assert sum(len(text.splitlines()) for _, text in FILES) < 150


def test_example_measures_draws_and_tells(tmp_path, tile_fill):
    section = tile_fill.SECTION
    corpus = ByteCorpus(torch.arange(100, dtype=torch.uint8))
    folder = prepare_tour([section], "smoke", corpus, tmp_path / "out")
    run_tour([section], "smoke", corpus, folder)
    assert (folder / "tile_fill" / "fill.png").read_bytes().startswith(b"\x89PNG")
    result = json.loads((folder / RESULTS).read_text())["sections"]["tile_fill"]["result"]
    fills = {each["window_size"]: each["fill"] for each in result["windows"]}
    # A window of 32 in tiles of 32 touches two tiles in each row but the first.
    pairs = 32 * 1024 - 32 * 31 // 2
    assert fills[32] == pairs / (32 * 32 * (2 * 32 - 1))
    report = (folder / REPORT).read_text()
    assert f"- **Tile fill.** A window of 32 keys fills {fills[32]:.0%} of what" in report
    assert report.count("| window of") == len(fills)
