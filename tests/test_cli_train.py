import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import sparse_transformers
from sparse_transformers.cli import PATTERN_ARGUMENTS, main
from sparse_transformers.models.attention_patterns import PATTERNS
from sparse_transformers.models.sparse_transformer import SparseTransformer

TINY = (
    "--d-model 16 --n-layers 2 --n-heads 2 --seq-len 32 --valid-windows 4 --steps 3 "
    "--batch-size 4 --device cpu --quiet"
).split()


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("all work and no play makes jack a dull boy\n" * 40)
    return str(path)


def test_train_command_leaves_a_model_that_loads(text, tmp_path, capsys):
    pattern = "--attention local strided --window-size 8 --stride 4".split()
    options = "--lr 0.5 --grad-accum 2 --positions learned --seed 3 --time-limit 60".split()
    output = str(tmp_path / "run")
    assert main(["train", "--text", text, "--output", output, *TINY, *pattern, *options]) == 0

    model = SparseTransformer.from_pretrained(tmp_path / "run" / "best")
    assert model.config.attention == ("local", "strided")
    assert model.config.attention_options == {"window_size": 8, "stride": 4}
    assert model.config.positions == "learned"
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["training"]
    given = {"learning_rate": 0.5, "grad_accumulation": 2, "seed": 3, "time_limit_s": 60.0}
    assert settings | given == settings

    captured = capsys.readouterr()
    assert "bits per byte" in captured.out
    assert output in captured.out
    assert captured.err == ""


def test_default_text_and_pattern_need_no_arguments(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY]) == 0
    config = json.loads((tmp_path / "runs" / "bytes" / "best" / "config.json").read_text())
    assert config["attention"] == "local"
    assert config["attention_options"] == {}
    assert "bytes to train on" in capsys.readouterr().out


def test_finished_run_resumes(text, tmp_path, capsys):
    command = ["train", "--text", text, "--output", str(tmp_path / "run"), *TINY]
    assert main(command) == 0
    first = capsys.readouterr().out
    assert main([*command, "--resume"]) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--text absent.txt", "absent.txt"),
        ("--text empty.txt", "empty.txt must hold at least one byte, got an empty file"),
        ("--text short.txt", "short.txt is too short for seq_len=32"),
        ("--attention magic", "unknown pattern 'magic'"),
        ("--attention dense --window-size 8", "window_size"),
        ("--attention strided", "stride"),
        ("--window-size 0", "window_size must be at least 1, got 0"),
        ("--d-model 15", "15"),
        ("--device cuda:99", "cuda:99"),
        ("--steps 0", "steps must be at least 1, got 0"),
        ("--output empty.txt", "output folder empty.txt must be writable"),
        ("--resume", "holds no checkpoint"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").touch()
    Path("short.txt").write_text("too short")
    assert main(["train", *TINY, *arguments.split()]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "runs" / "bytes" / "last").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["paint"], "invalid choice: 'paint'"),
        (["train", "--steps", "many"], "--steps: invalid int value: 'many'"),
        (["train", "--global-tokens", "1,x"], "--global-tokens"),
    ],
)
def test_unreadable_arguments_end_with_status_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_every_option_of_every_pattern_has_an_argument():
    in_patterns = {field.name for pattern in PATTERNS.values() for field in fields(pattern)}
    on_command_line = {option for option, _, _ in PATTERN_ARGUMENTS.values()}
    # BigBird's seq_len is for attention that is not causal; this model is.
    assert on_command_line == in_patterns - {"seq_len"}


def test_positions_are_read_as_numbers(text, tmp_path):
    pattern = "--attention longformer --window-size 8 --global-positions 0,5".split()
    output = tmp_path / "run"
    assert main(["train", "--text", text, "--output", str(output), *TINY, *pattern]) == 0
    config = json.loads((output / "best" / "config.json").read_text())
    assert config["attention_options"] == {"window_size": 8, "global_positions": [0, 5]}


def test_module_runs_as_a_program(tmp_path):
    repository = Path(sparse_transformers.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-m", "sparse_transformers", "train", "--text", "absent.txt"],
        env={**os.environ, "PYTHONPATH": str(repository)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert "absent.txt" in run.stderr
    assert list(tmp_path.iterdir()) == []
