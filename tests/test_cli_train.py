import argparse
import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import sparse_transformers
import sparse_transformers as st
from sparse_transformers.cli import main
from sparse_transformers.commands.own_files import import_own_files
from sparse_transformers.commands.pattern_arguments import add_pattern_arguments, parse_pattern
from sparse_transformers.commands.train import add_train_arguments
from sparse_transformers.models.attention_patterns import PATTERNS
from sparse_transformers.models.sparse_transformer import SparseTransformer

TINY = (
    "train --d-model 16 --n-layers 2 --n-heads 2 --seq-len 32 --valid-windows 4 --steps 3 "
    "--batch-size 4 --device cpu --quiet "
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, with a text that is long enough and two files that are not."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("all work and no play makes jack a dull boy\n" * 40)
    Path("short.txt").write_text("too short")
    Path("empty.txt").touch()


def run(command):
    return main(command.split())


def saved(name):
    return json.loads(Path("runs/bytes", name).read_text())


def test_train_command_leaves_a_model_that_loads(capsys):
    pattern = "--attention local strided --window-size 8 --stride 4 "
    options = "--lr 0.5 --grad-accum 2 --positions learned --seed 3 --time-limit 60"
    assert run(TINY + "--text text.txt --output here " + pattern + options) == 0

    model = SparseTransformer.from_pretrained("here/best")
    assert model.config.attention == ("local", "strided")
    assert model.config.attention_options == {"window_size": 8, "stride": 4}
    assert model.config.positions == "learned"
    settings = json.loads(Path("here/run.json").read_text())["training"]
    given = {"learning_rate": 0.5, "grad_accumulation": 2, "seed": 3, "time_limit_s": 60.0}
    assert settings | given == settings

    captured = capsys.readouterr()
    assert "bits per byte" in captured.out
    assert "written to here" in captured.out
    assert captured.err == ""


def test_experts_and_their_router_are_options(capsys):
    options = "--text text.txt --num-experts 4 --router switch"
    assert run(TINY + options) == 0
    model = SparseTransformer.from_pretrained("runs/bytes/best")
    assert model.config.experts == {"num_experts": 4, "router": "switch"}
    total, active = model.num_parameters(), model.num_active_parameters()
    assert f"{total:,} parameters ({active:,} of them active per byte)" in capsys.readouterr().out


def test_text_pattern_and_output_have_defaults():
    assert run(TINY) == 0
    assert saved("best/config.json")["attention"] == "local"
    assert saved("best/config.json")["attention_options"] == {}
    assert saved("run.json")["task"]["train_bytes"] > 200_000


def test_tuple_options_are_read_as_numbers():
    options = "--attention longformer --window-size 8 --global-positions 0,5"
    assert run(TINY + "--text text.txt " + options) == 0
    assert saved("best/config.json")["attention_options"] == {
        "window_size": 8,
        "global_positions": [0, 5],
    }


def test_finished_run_resumes_to_the_same_words(capsys):
    assert run(TINY + "--text text.txt") == 0
    first = capsys.readouterr().out
    assert run(TINY + "--text text.txt --resume") == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--text absent.txt", "absent.txt"),
        ("--text empty.txt", "empty.txt must hold at least one byte, got an empty file"),
        ("--text short.txt", "short.txt is too short for seq_len=32"),
        ("--attention magic", "unknown pattern 'magic'"),
        ("--attention dense --window-size 8", "window_size"),
        ("--attention strided", "stride"),
        ("--window-size 0", "window_size"),
        ("--d-model 15", "15"),
        ("--device cuda:99", "cuda:99"),
        ("--steps 0", "steps must be at least 1, got 0"),
        ("--output empty.txt", "output folder empty.txt must be writable"),
        ("--resume", "holds no checkpoint"),
        ("--router hash", "--router hash needs --num-experts"),
        ("--num-experts 0", "num_experts must be a whole number of at least 1, got 0"),
        ("--num-experts 4 --router soft", "a causal model cannot use SoftMoERouter"),
    ],
)
def test_bad_input_is_one_line_and_status_2(options, message, capsys):
    assert run(TINY + options) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "COMMAND"),
        ("paint", "invalid choice: 'paint'"),
        ("train --steps many", "--steps: invalid int value: 'many'"),
        ("train --global-tokens 1,x", "--global-tokens"),
    ],
)
def test_unreadable_arguments_end_with_status_2(command, message, capsys):
    with pytest.raises(SystemExit) as ended:
        run(command)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_every_option_of_every_pattern_has_an_argument():
    in_patterns = {field.name for pattern in PATTERNS.values() for field in fields(pattern)}
    parser = argparse.ArgumentParser()
    add_pattern_arguments(parser)
    options = {action.dest.removeprefix("pattern."): action for action in parser._actions}
    assert in_patterns <= set(options)
    assert "local, dilated, longformer: Number of keys on one side" in options["window_size"].help
    assert all("see the pattern's class" not in options[name].help for name in in_patterns)


def test_options_that_another_argument_has_get_a_prefix():
    flags = {flag for action in train_parser()._actions for flag in action.option_strings}
    assert {"--seed", "--pattern-seed", "--seq-len", "--pattern-seq-len"} <= flags
    assert {"--sinks", "--global-tokens", "--window-size"} <= flags


def train_parser():
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    return parser


OWN = """
from dataclasses import dataclass
import sparse_transformers as st

@st.register_pattern("powers_of_test")
@dataclass(frozen=True)
class Powers(st.AttentionPattern):
    '''Keys at powers of a base.

    Args:
        base: What the distances are powers of, at least 2.
    '''
    base: int

    def allows(self, query, key):
        distance = query - key
        found = distance == 0
        for n in range(12):
            found = found | (distance == self.base**n)
        return found

    @classmethod
    def for_length(cls, seq_len):
        return cls(2)
"""


@pytest.fixture
def own_file():
    Path("my_patterns.py").write_text(OWN)
    return "my_patterns.py"


def test_a_pattern_of_ones_own_is_trained_saved_and_loaded(own_file, capsys):
    options = f"--text text.txt --import {own_file} --attention powers_of_test --base 3"
    assert run(TINY + options) == 0
    config = json.loads(Path("runs/bytes/best/config.json").read_text())
    assert config["attention"] == "powers_of_test"
    assert config["attention_options"] == {"base": 3}
    capsys.readouterr()

    PATTERNS.pop("powers_of_test")
    generate = "generate --checkpoint runs/bytes --prompt ab --tokens 5 --greedy"
    assert run(generate) == 2
    error = capsys.readouterr().err
    assert "@register_pattern('powers_of_test')" in error
    assert "--import FILE" in error

    assert run(f"{generate} --import {own_file}") == 0
    text = capsys.readouterr().out
    assert text.startswith("ab")
    assert run(f"{generate} --import {own_file}") == 0
    assert capsys.readouterr().out == text


def test_an_own_pattern_is_everywhere_where_names_are(own_file):
    import_own_files(["train", "--import", own_file])
    assert "powers_of_test" in PATTERNS
    example = PATTERNS["powers_of_test"].for_length(64)
    assert st.make_pattern("powers_of_test", base=2) == example
    assert st.SparseTransformerConfig(attention=example).layer_patterns()[0] == example
    report = st.SparseAttentionDemo(32, 4).compute_attention("powers_of_test", 16)
    assert report["sparsity"] == 1 - example.mask(16).double().mean()
    assert st.AttentionPatternGenerator().generate("powers_of_test", 16).shape == (16, 16)
    flags = {flag for action in train_parser()._actions for flag in action.option_strings}
    assert "--base" in flags


def test_two_imported_files_may_have_one_name():
    for folder, hint in (("one", "Near"), ("two", "Far")):
        Path(folder).mkdir()
        Path(folder, "own.py").write_text(
            "from __future__ import annotations\n"
            + OWN.replace("powers_of_test", f"powers_{folder}")
            .replace("    base: int", f"    base_{folder}: {hint}")
            .replace("self.base", f"self.base_{folder}")
            .replace("@st.register", f"{hint} = int\n@st.register")
        )
    import_own_files(["train", "--import", "one/own.py", "--import", "two/own.py"])
    flags = {flag for action in train_parser()._actions for flag in action.option_strings}
    assert {"--base-one", "--base-two"} <= flags


def test_an_annotation_that_nothing_can_read_makes_no_option():
    Path("own.py").write_text(
        "from __future__ import annotations\n" + OWN.replace("base: int", "base: Unknown")
    )
    import_own_files(["train", "--import", "own.py"])
    flags = {flag for action in train_parser()._actions for flag in action.option_strings}
    assert "--base" not in flags
    assert parse_pattern("powers_of_test:base=3").base == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dense", st.Dense()),
        (
            "sinks:count=4|local:window_size=9&causal",
            st.AttentionSinks(4) | (st.LocalWindow(9) & st.Causal()),
        ),
        (
            " global:positions=(1,2) & strided:stride=3,part=local ",
            st.GlobalTokens((1, 2)) & st.Strided(3, "local"),
        ),
    ],
)
def test_patterns_are_combined_on_the_command_line(text, expected):
    assert parse_pattern(text) == expected


def test_a_combination_is_trained_and_saved():
    options = "--text text.txt --attention sinks:count=4|local:window_size=8"
    assert run(f"{TINY} {options}") == 0
    config = json.loads(Path("runs/bytes/best/config.json").read_text())
    pattern = st.SparseTransformerConfig.from_dict(config).layer_patterns()[0]
    assert pattern == st.AttentionSinks(4) | st.LocalWindow(8)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ends.py", "import sys; sys.exit(3)", "--import ends.py failed: SystemExit: 3"),
        ("absent.py", None, "--import must name a Python file, got absent.py"),
        ("text.txt", "", "--import must name a Python file, got text.txt"),
        ("broken.py", "1/0", "--import broken.py failed: ZeroDivisionError"),
        ("words.py", "a word", "--import words.py failed: SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_line(name, content, message, capsys):
    if content is not None:
        Path(name).write_text(content)
    assert run(f"{TINY} --import {name}") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_patterns_of_layers_may_have_options_of_their_own():
    layers = "--attention strided:stride=4,part=local sinks:count=3"
    assert run(f"{TINY} --text text.txt {layers}") == 0
    config = json.loads(Path("runs/bytes/best/config.json").read_text())
    assert [layer["name"] for layer in config["attention"]] == ["strided", "sinks"]
    assert config["attention"][0]["stride"] == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--checkpoint absent", "absent"),
        ("--checkpoint runs/bytes --tokens -1", "max_new_tokens"),
        ("--checkpoint runs/bytes --temperature 0", "temperature must be above 0"),
        ("--checkpoint runs/bytes --prompt=", "--prompt must hold at least one byte"),
    ],
)
def test_generate_says_what_is_wrong_in_one_line(options, message, capsys):
    assert run(TINY + "--text text.txt") == 0
    capsys.readouterr()
    assert run(f"generate {options}") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_module_runs_as_a_program():
    repository = Path(sparse_transformers.__file__).parents[1]
    finished = subprocess.run(
        [sys.executable, "-m", "sparse_transformers", "train", "--text", "absent.txt"],
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: ")
    assert "absent.txt" in finished.stderr
