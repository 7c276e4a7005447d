"""The examples of README and docs run, and what they point to exists."""

import re
from pathlib import Path

import pytest

from sparse_transformers.commands import readme as command
from sparse_transformers.commands.readme import end_mark, start_mark

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "data" / "README.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))


def code_blocks(language: str, text: str = README) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for name, block in blocks if name == language]


def by_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_readme_is_read_in_five_minutes() -> None:
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("page", ["README.md", "docs/claims.md", "docs/experts.md"])
def test_python_examples_run_in_order(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = code_blocks("python", (ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    namespace: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)
    printed = capsys.readouterr().out
    if page == "README.md":
        assert "no leak" in printed
        assert "of their pairs are allowed" in printed


def test_own_pattern_takes_at_most_fifteen_lines() -> None:
    [block] = [block for block in code_blocks("python") if "AttentionPattern)" in block]
    lines = [line for line in block.splitlines() if line.strip()]
    assert len(lines) <= 15
    assert "def allows" in block


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_command_lines_are_accepted(page: Path) -> None:
    from sparse_transformers.cli import build_parser

    text = page.read_text(encoding="utf-8")
    commands = re.findall(r"^ *python -m sparse_transformers (.+)$", text, flags=re.MULTILINE)
    assert commands or page.name not in ("README.md", "claims.md")
    for line in commands:
        build_parser().parse_args(line.split())


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_linked_files_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert links or page.name not in ("README.md", "claims.md")
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_file_tree_names_real_files() -> None:
    [tree] = [block for block in code_blocks("") if "demo.py" in block]
    names = re.findall(r"^ *([\w/]+(?:\.py|/|\.md))(?= |$)", tree, flags=re.MULTILINE)
    assert {"attention_ops.py", "tiled/"} <= set(names)
    for name in names:
        places = [ROOT / name, ROOT / "sparse_transformers" / name]
        places.append(ROOT / "sparse_transformers" / "models" / name)
        assert any(place.exists() for place in places), name


def test_tables_are_those_of_the_recorded_runs() -> None:
    recorded = command.read_recorded(ROOT / "outputs")
    written = README.split(start_mark("results"))[1].split(end_mark("results"))[0]
    assert written.strip() == command.render_highlights(recorded)
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert results == command.render_results(recorded)
    assert len(command.render_highlights(recorded).splitlines()) == 2 + 6


def test_figures_of_the_benchmarks_are_linked() -> None:
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    figures = sorted((ROOT / "outputs").glob("*_benchmark/*.png"))
    assert len(figures) == 2
    assert [
        figure
        for figure in figures
        if f"(../outputs/{figure.parent.name}/{figure.name})" not in results
    ] == []
