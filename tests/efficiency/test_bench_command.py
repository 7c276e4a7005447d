"""`python -m sparse_transformers bench attention`, from arguments to files."""

import json

import pytest

from sparse_transformers.cli import main
from sparse_transformers.commands.pattern_arguments import parse_pattern
from sparse_transformers.efficiency.attention_benchmark import ATTENTION
from sparse_transformers.models.attention_patterns import (
    Causal,
    Fixed,
    GlobalTokens,
    LocalWindow,
    RandomSparse,
)
from sparse_transformers.utils import runtime

TINY = ["--heads", "2", "--head-dim", "16", "--repeats", "1", "--quiet"]
TWO = ["--implementations", "dense SDPA", "sparse_transformers"]


def bench(*arguments):
    return main(["bench", "attention", *TINY, *arguments])


def test_command_prints_tables_and_writes_results_and_plot(tmp_path, capsys):
    patterns = ["--patterns", "local:window_size=8", "strided:stride=4"]
    lengths = ["--seq-lens", "64", "128", "--memory", "512", "1024"]

    assert bench(*patterns, *lengths, *TWO, "--output", str(tmp_path / "new")) == 0

    printed = capsys.readouterr().out
    assert "torch: " in printed and "threads: " in printed
    assert "Forward, 1 × 2 heads × 16" in printed
    assert "Forward + backward, 1 × 2 heads × 16" in printed
    assert "grows as positions^" in printed
    results = json.loads((tmp_path / "new" / "attention_benchmark.json").read_text())
    forward, both = results["benchmarks"]
    assert (forward["direction"], both["direction"]) == ("forward", "forward_backward")
    assert len(forward["rows"]) == 2 * 3  # dense attention once, ours for each pattern
    assert {row["seq_len"] for row in both["rows"]} == {64, 128}
    assert forward["environment"]["threads"] >= 1
    lengths = [growth["columns"]["positions"] for growth in results["memory"]]
    assert lengths == [[512, 1024]] * 2
    tables = (tmp_path / "new" / "attention_benchmark.md").read_text()
    assert tables == ATTENTION.render_markdown(tmp_path / "new" / "attention_benchmark.json") + "\n"
    assert (tmp_path / "new" / "attention_benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_command_measures_memory_only_when_asked(tmp_path, capsys):
    options = ["--seq-lens", "64", "--directions", "forward", "--output", str(tmp_path)]

    assert bench("--patterns", "local:window_size=8", *options, *TWO) == 0

    results = json.loads((tmp_path / "attention_benchmark.json").read_text())
    assert results["memory"] == []
    assert len(results["benchmarks"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--patterns", "locale:window_size=8"], "unknown pattern 'locale'; known are dense,"),
        (["--patterns", "local:8"], "must look like local:window_size=256, got 'local:8'"),
        (["--patterns", "local:window=8"], "no option window"),
        (["--patterns", "local:window_size=0"], "window_size must be"),
        (["--seq-lens", "0"], "seq_lens must be a whole number of at least 1, got 0"),
        (["--implementations", "xformers"], "implementations must be out of"),
        (["--memory", "64"], "at least two lengths"),
        (["--device", "tpu"], "device must be"),
    ],
)
def test_bad_input_ends_with_one_line_and_no_results(arguments, message, tmp_path, capsys):
    assert bench("--output", str(tmp_path), *arguments) == 2

    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder_is_noticed_before_measuring(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")

    assert bench("--output", str(tmp_path / "file" / "folder")) == 2

    captured = capsys.readouterr()
    assert "must be writable" in captured.err
    assert captured.out == ""


def test_read_only_folder_is_noticed_before_measuring(tmp_path, monkeypatch, capsys):
    def refuses(dir):
        raise PermissionError(f"read-only file system: {dir}")

    monkeypatch.setattr(runtime, "TemporaryFile", refuses)

    assert bench("--output", str(tmp_path)) == 2

    assert "must be writable: read-only file system" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("causal", Causal()),
        ("local:window_size=256", LocalWindow(256)),
        ("fixed:block_size=8,summary_size=2,part=local", Fixed(8, 2, "local")),
        ("fixed:block_size=8,part='column'", Fixed(8, part="column")),
        ("random:sparsity=0.9,seed=3", RandomSparse(0.9, seed=3)),
        ("global:positions=(0,5)", GlobalTokens((0, 5))),
    ],
)
def test_pattern_is_read_from_its_name_and_options(text, pattern):
    assert parse_pattern(text) == pattern


@pytest.mark.parametrize(
    "text",
    ["local:256", "local:window_size=", "local:window_size=f(1)", "local:window_size=1)+(2"],
)
def test_other_text_is_no_pattern(text):
    with pytest.raises(ValueError, match="must look like local:window_size=256"):
        parse_pattern(text)
