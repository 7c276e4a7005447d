import json
import shutil
from pathlib import Path

import pytest

from sparse_transformers.cli import main
from sparse_transformers.commands import readme as command
from sparse_transformers.commands.readme import end_mark, put_into_readme, start_mark

OUTPUTS = Path(__file__).parents[1] / "outputs"


def marked(name, text="old"):
    return f"{start_mark(name)}\n{text}\n{end_mark(name)}\n"


@pytest.fixture
def recorded(tmp_path):
    """The recorded benchmarks and results, without figures, and a README to write into."""
    for path in OUTPUTS.rglob("*.json"):
        copy = tmp_path / path.relative_to(OUTPUTS)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
    (tmp_path / "README.md").write_text(f"one\n{marked('results')}two")
    return tmp_path


def run(folder):
    files = ["--readme", str(folder / "README.md"), "--results", str(folder / "results.md")]
    return main(["readme", "--outputs", str(folder), *files])


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_table_goes_between_its_marks_and_the_words_around_stay(recorded):
    assert run(recorded) == 0
    readme = (recorded / "README.md").read_text()
    assert readme.startswith(f"one\n{start_mark('results')}\n| what was compared | ")
    assert readme.endswith(f" |\n{end_mark('results')}\ntwo")
    results = (recorded / "results.md").read_text()
    titles = [*command.BENCHMARKS, *(section.title for section in command.SECTIONS)]
    assert [line[3:] for line in results.splitlines() if line.startswith("## ")] == titles


def test_best_case_stands_beside_the_rival_in_the_same_case(recorded):
    path = recorded / "attention_benchmark" / "attention_benchmark.json"
    rows = json.loads(path.read_text())["benchmarks"][0]["rows"]
    ours = [row for row in rows if row["implementation"] == "sparse_transformers"]
    best = max(ours, key=lambda row: row["speedup"] or 0)
    [rival] = [
        row
        for row in rows
        if row["implementation"] == "FlexAttention (compiled)"
        and (row["pattern"], row["seq_len"]) == (best["pattern"], best["seq_len"])
    ]
    highlight = next(command.recorded_benchmarks(recorded)).highlight
    assert highlight.found.startswith(f"{best['speedup']:.2f}× ({best['median_ms']:,.0f} ms, ")
    assert highlight.found.endswith(f" to {best['upper_quartile_ms']:,.0f})")
    assert highlight.beside.startswith(f"FlexAttention (compiled): {rival['speedup']:.2f}× (")
    assert f"causal {best['pattern']}, {best['seq_len']:,} positions" in highlight.question


@pytest.mark.parametrize(
    "missing", ["attention_benchmark/attention_benchmark.json", "results.json"]
)
def test_missing_results_leave_both_files_alone(recorded, missing, capsys):
    before = (recorded / "README.md").read_text()
    (recorded / missing).unlink()
    assert run(recorded) == 2
    assert "No such file" in capsys.readouterr().err
    assert (recorded / "README.md").read_text() == before
    assert not (recorded / "results.md").exists()


@pytest.mark.parametrize(
    "content",
    [
        "words",
        marked("a"),
        marked("a") + 2 * marked("b"),
        marked("a") + start_mark("b") + marked("b"),
        marked("a") + marked("b") + end_mark("b"),
    ],
)
def test_readme_without_the_marks_is_left_alone(tmp_path, content):
    readme = tmp_path / "README.md"
    readme.write_text(content)
    with pytest.raises(ValueError, match=r"must hold '<!-- [ab]: written by `make readme` -->'"):
        put_into_readme(readme, {"a": "new", "b": "new"})
    assert readme.read_text() == content


def test_files_of_another_kind_are_refused(recorded, capsys):
    change(recorded / "attention_benchmark" / "attention_benchmark.json", dict.clear)
    assert run(recorded) == 2
    assert "must be the results of an attention benchmark" in capsys.readouterr().err
