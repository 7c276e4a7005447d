"""`python -m sparse_transformers bench attention`, from arguments to files."""

import json

import pytest

from sparse_transformers.cli import main, parse_pattern
from sparse_transformers.efficiency import attention_report
from sparse_transformers.efficiency.attention_report import README_END, README_START, RESULTS
from sparse_transformers.models.attention_patterns import (
    Causal,
    Fixed,
    GlobalTokens,
    LocalWindow,
    RandomSparse,
)

TINY = ["--heads", "2", "--head-dim", "16", "--repeats", "1", "--quiet"]
TWO_ARMS = ["--arms", "dense SDPA", "sparse_transformers"]


def bench(*arguments):
    return main(["bench", "attention", *TINY, *arguments])


def test_command_prints_tables_and_writes_results_and_plot(tmp_path, capsys):
    patterns = ["--patterns", "local:window_size=8", "strided:stride=4"]
    lengths = ["--seq-lens", "64", "128", "--memory", "512", "1024"]

    assert bench(*patterns, *lengths, *TWO_ARMS, "--output", str(tmp_path / "new")) == 0

    printed = capsys.readouterr().out
    assert "torch: " in printed and "threads: " in printed
    assert "forward, 1 x 2 heads x 16" in printed
    assert "forward + backward, 1 x 2 heads x 16" in printed
    assert "grows as positions^" in printed
    results = json.loads((tmp_path / "new" / "attention_benchmark.json").read_text())
    forward, both = results["benchmarks"]
    assert (forward["direction"], both["direction"]) == ("forward", "forward_backward")
    assert len(forward["rows"]) == 2 * 3  # dense attention once, ours for each pattern
    assert {row["seq_len"] for row in both["rows"]} == {64, 128}
    assert forward["environment"]["threads"] >= 1
    assert [scaling["seq_lens"] for scaling in results["memory"]] == [[512, 1024]] * 2
    assert (tmp_path / "new" / "attention_benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_command_measures_memory_only_when_asked(tmp_path, capsys):
    request = ["--seq-lens", "64", "--patterns", "local:window_size=8", "--layouts", "64"]
    assert bench(*request, *TWO_ARMS, "--output", str(tmp_path)) == 0

    assert main(["bench", "readme", "--results", str(tmp_path), "--readme", str(readme)]) == 0

    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert text.count("| 64 | sparse_transformers | `LocalWindow(window_size=8)` |") == 2
    assert "Building the layout" in text


def test_readme_without_marks_or_results_is_refused(tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("no marks\n")
    (tmp_path / RESULTS).write_text("{}")

    assert main(["bench", "readme", "--results", str(tmp_path), "--readme", str(readme)]) == 2

    assert "must be the results of an attention benchmark" in capsys.readouterr().err
    assert readme.read_text() == "no marks\n"
