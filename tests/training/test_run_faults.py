"""Faults around a run: full disks, foreign files, other runs, and runs that end at once."""

import json
import logging
import os
import subprocess
import sys
import textwrap

import pytest
import torch

from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.training import run_folder
from sparse_transformers.training.checkpoint import load_state
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.metrics import read_metrics
from sparse_transformers.training.trainer import Trainer
from sparse_transformers.utils.plots import training as training_plot


def trainer(model, task, folder, **settings):
    defaults = {"steps": 4, "batch_size": 4, "log_every": 1, "save_every": 2, "progress": False}
    return Trainer(model, task, TrainingConfig(device="cpu", **defaults | settings), folder)


def test_a_run_that_ends_before_anything_is_logged_keeps_its_result(
    make_model, byte_task, tmp_path, caplog
):
    settings = {"log_every": 100, "eval_every": 1, "patience": 1, "learning_rate": 1e-12}
    result = trainer(make_model(), byte_task, tmp_path / "run", steps=50, **settings).train()
    assert result.steps < 50
    assert [row["step"] for row in result.metrics if "learning_rate" in row] == [result.steps]
    assert (tmp_path / "run" / "training.png").exists()
    assert not caplog.records


def test_a_plot_that_fails_does_not_fail_the_run(
    make_model, byte_task, tmp_path, monkeypatch, caplog
):
    def broken(*_, **__):
        raise RuntimeError("no fonts here")

    monkeypatch.setattr(training_plot, "plot_training", broken)
    with caplog.at_level(logging.WARNING):
        result = trainer(make_model(), byte_task, tmp_path / "run").train()
    assert result.steps == 4
    assert "its plot could not be drawn: no fonts here" in caplog.text


def test_a_full_disk_is_an_error_of_the_system_and_leaves_the_old_checkpoint(
    make_model, byte_task, tmp_path, monkeypatch
):
    saved = []
    save = torch.save

    def until_full(state, path):
        if saved:
            raise RuntimeError("[enforce fail at inline_container.cc] PytorchStreamWriter failed")
        saved.append(path)
        save(state, path)

    monkeypatch.setattr(torch, "save", until_full)
    run = trainer(make_model(), byte_task, tmp_path / "run")
    with pytest.raises(OSError, match=r"run.last could not be written: .*PytorchStreamWriter"):
        run.train()
    assert load_state(tmp_path / "run" / "last")["progress"]["step"] == 0


def test_a_full_disk_names_the_checkpoint_that_was_not_written(
    make_model, byte_task, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    run = trainer(make_model(), byte_task, tmp_path / "run")
    monkeypatch.setattr(type(run.model), "save_pretrained", full)
    with pytest.raises(OSError, match=r"run.(best|last) could not be written: .*No space left"):
        run.train()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"other": 1}, "which has optimizer, progress, settings"),
        ([1, 2], "must hold a trainer state, got a list"),
        ({"settings": None, "optimizer": {}, "progress": {}}, "must have the settings"),
    ],
)
def test_a_foreign_trainer_state_is_refused(make_model, byte_task, tmp_path, state, message):
    trainer(make_model(), byte_task, tmp_path / "run").train()
    file = tmp_path / "run" / "last" / "trainer_state.pt"
    if isinstance(state, dict) and "settings" in state:
        state["settings"] = {"training": {}}
    torch.save(state, file)
    with pytest.raises(ValueError, match=message):
        trainer(make_model(), byte_task, tmp_path / "run").train(resume=True)


@pytest.mark.parametrize("part", ["optimizer", "progress"])
def test_a_state_that_does_not_fit_is_refused(make_model, byte_task, tmp_path, part):
    trainer(make_model(), byte_task, tmp_path / "run").train()
    file = tmp_path / "run" / "last" / "trainer_state.pt"
    state = torch.load(file, weights_only=True)
    state[part] = {"strange": 1}
    torch.save(state, file)
    with pytest.raises(ValueError, match=r"run.last does not fit this run"):
        trainer(make_model(), byte_task, tmp_path / "run").train(resume=True)


@pytest.mark.parametrize(
    ("line", "message"),
    [('{"step": 2, "tra', "line 2: no row of metrics"), ("[3]", "line 2: a row of metrics must")],
)
def test_a_torn_line_of_metrics_is_named(tmp_path, line, message):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f"{json.dumps({'step': 1})}\n{line}\n{json.dumps({'step': 3})}\n")
    with pytest.raises(ValueError, match=rf"metrics\.jsonl, {message}"):
        read_metrics(path)
    path.write_text(f"{json.dumps({'step': 1})}\n{line}")  # cut short by a kill
    assert read_metrics(path) == [{"step": 1}]


def test_a_folder_belongs_to_one_run_at_a_time(make_model, byte_task, tmp_path):
    class Meddling:
        """A task in the middle of which another run wants the same folder."""

        def __getattr__(self, name):
            return getattr(byte_task, name)

        def batch(self, step, **options):
            if step == 3:
                with pytest.raises(OSError, match="run is in use by another run"):
                    trainer(make_model(), byte_task, tmp_path / "run").train(resume=True)
            return byte_task.batch(step, **options)

    result = trainer(make_model(), Meddling(), tmp_path / "run").train()
    assert result.steps == 4
    resumed = trainer(make_model(), byte_task, tmp_path / "run").train(resume=True)
    assert resumed.steps == 4


@pytest.mark.parametrize("resume", [False, True])
def test_a_refused_run_changes_nothing_in_the_folder(make_model, byte_task, tmp_path, resume):
    """Another run is just replacing its checkpoint: the old one has the name "outdated"."""
    trainer(make_model(), byte_task, tmp_path / "run").train()
    other = run_folder.RunFolder(tmp_path / "run", {})
    other._acquire()
    (tmp_path / "run" / "last").rename(tmp_path / "run" / ".last.outdated")
    before = sorted(path.name for path in (tmp_path / "run").iterdir())
    with pytest.raises(BlockingIOError):
        trainer(make_model(), byte_task, tmp_path / "run").train(resume=resume)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before
    other.release()
    assert trainer(make_model(), byte_task, tmp_path / "run").train(resume=True).steps == 4


def test_a_released_folder_is_locked_by_one_run_only(tmp_path):
    first, second, third = (run_folder.RunFolder(tmp_path / "run", {}) for _ in range(3))
    first.create()
    opened = os.open(tmp_path / "run" / run_folder.LOCK_FILE, os.O_RDWR)  # by a second run
    first.release()
    second.create()
    assert os.path.samestat(os.fstat(opened), (tmp_path / "run" / run_folder.LOCK_FILE).stat())
    os.close(opened)
    with pytest.raises(BlockingIOError):
        third.create()


def test_a_killed_run_leaves_no_lock(tmp_path):
    script = """
        import os, sys
        from pathlib import Path
        from sparse_transformers.training.run_folder import RunFolder
        folder = RunFolder(Path(sys.argv[1]), {})
        folder.create()
        os._exit(9)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "run")]
    assert subprocess.run(command, check=False).returncode == 9
    again = run_folder.RunFolder(tmp_path / "run", {})
    again.create()
    again.release()


@pytest.mark.parametrize(
    "content",
    [b"a text", b"\x80\x02N.", b"PK\x05\x06" + bytes(18), bytes(range(256)), b"cos\nsystem\n."],
)
def test_any_other_file_is_no_trainer_state(tmp_path, content):
    (tmp_path / "trainer_state.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"trainer_state\.pt (is not a complete|must hold a)"):
        load_state(tmp_path)


@pytest.mark.parametrize("line", [b"\xff\xfe", b"", b"[" * 100_000, b"3"])
def test_a_line_that_is_no_metrics_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 3}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2"):
        read_metrics(path)


@pytest.mark.parametrize("config", ["[" * 100_000, '{"colour": "red"}', '{"d_model": 7}'])
def test_a_foreign_config_is_named(tmp_path, config):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ValueError, match=str(tmp_path)):
        SparseTransformer.from_pretrained(tmp_path)


def test_a_result_reads_in_one_line(make_model, byte_task):
    result = trainer(make_model(), byte_task, None).train()
    text = repr(result)
    assert text.startswith("TrainingResult(steps=4, train_seconds=")
    assert len(text) < 200
