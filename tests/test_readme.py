"""The README's examples run, and what it points to exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(language: str, text: str = README) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for name, block in blocks if name == language]


def test_python_examples_run_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = code_blocks("python")
    assert len(blocks) >= 3
    namespace: dict[str, object] = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "no leak" in printed
    assert "of their pairs are allowed" in printed


def test_own_pattern_takes_at_most_fifteen_lines() -> None:
    [block] = [block for block in code_blocks("python") if "AttentionPattern)" in block]
    lines = [line for line in block.splitlines() if line.strip()]
    assert len(lines) <= 15
    assert "def allows" in block


def test_command_lines_are_accepted() -> None:
    from sparse_transformers.cli import build_parser

    commands = re.findall(r"^python -m sparse_transformers (.+)$", README, flags=re.MULTILINE)
    assert commands
    for command in commands:
        build_parser().parse_args(command.split())


def test_linked_files_exist() -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", README)
    assert links
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


def test_file_tree_names_real_files() -> None:
    [tree] = [block for block in code_blocks("") if "demo.py" in block]
    names = re.findall(r"^ *([\w/]+(?:\.py|/|\.md))(?= |$)", tree, flags=re.MULTILINE)
    assert "attention_ops.py" in names
    for name in names:
        places = [ROOT / name, ROOT / "sparse_transformers" / name]
        places.append(ROOT / "sparse_transformers" / "models" / name)
        assert any(place.exists() for place in places), name


def test_tables_are_those_of_the_recorded_runs() -> None:
    from sparse_transformers.commands.readme import RECORDED
    from sparse_transformers.utils.readme import end_mark, start_mark

    for name, render in RECORDED.items():
        written = README.split(start_mark(name))[1].split(end_mark(name))[0]
        assert written.strip() == render(ROOT / "outputs"), name
