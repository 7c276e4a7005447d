import shutil
from itertools import count
from pathlib import Path

import pytest
import torch

from sparse_transformers.training.checkpoint import (
    STATE_FILE,
    load_state,
    recover_checkpoint,
    save_checkpoint,
)


class Killed(BaseException):
    """Stands for the end of the process: nothing in the library may catch it."""


@pytest.fixture
def save(make_model):
    """Save checkpoint number `value`, all of whose numbers are `value`."""

    def save_all_equal(folder, value):
        model = make_model()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(value)
        save_checkpoint(folder, model, {"step": value, "moment": torch.full((3,), value)})

    return save_all_equal


@pytest.fixture
def load(make_model):
    """The number of the checkpoint in a folder, if all of it agrees."""

    def number_of(folder):
        state = load_state(folder)
        weights = make_model.from_pretrained(folder).state_dict().values()
        assert all((tensor == state["step"]).all() for tensor in [*weights, state["moment"]])
        return state["step"]

    return number_of


def test_checkpoint_comes_back(tmp_path, save, load):
    for value in (1, 2, 3):
        save(tmp_path / "run" / "last", value)
        assert load(tmp_path / "run" / "last") == value
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["last"]


def test_checkpoint_without_state_holds_the_model_only(tmp_path, make_model):
    save_checkpoint(tmp_path / "best", make_model())
    assert not (tmp_path / "best" / STATE_FILE).exists()
    make_model.from_pretrained(tmp_path / "best")


def kill_at(monkeypatch, moment):
    """Die at the file operation number `moment`, and do nothing from then on.

    A folder that is being removed then has lost one of its files.
    """
    counter = count()

    def dying(operation):
        def run(path, *arguments, **options):
            number = next(counter)
            if number == moment and operation is shutil.rmtree:
                next(iter(Path(path).iterdir())).unlink()
            if number >= moment:
                raise Killed
            return operation(path, *arguments, **options)

        return run

    def removing(path, ignore_errors):
        if Path(path).exists():
            really_remove(path)

    really_remove = dying(shutil.rmtree)
    monkeypatch.setattr(shutil, "rmtree", removing)
    for name in ("rename", "mkdir", "open"):
        monkeypatch.setattr(Path, name, dying(getattr(Path, name)))
    monkeypatch.setattr(torch, "save", dying(torch.save))


def test_kill_before_any_operation_leaves_a_whole_checkpoint(tmp_path, monkeypatch, save, load):
    outcomes = []
    for moment in count():
        folder = tmp_path / str(moment) / "last"
        save(folder, 1)
        with monkeypatch.context() as patch:
            kill_at(patch, moment)
            try:
                save(folder, 2)
            except Killed:
                killed = True
            else:
                killed = False
        assert recover_checkpoint(folder)
        outcomes.append(load(folder))
        save(folder, 3)
        assert load(folder) == 3
        assert [path.name for path in folder.parent.iterdir()] == ["last"]
        if not killed:
            break
    assert outcomes == sorted(outcomes)
    assert outcomes.count(1) >= 5  # operations before the new one is in its place
    assert outcomes.count(2) >= 2  # the removal of the old one, and no kill


def test_kill_of_the_very_first_save_leaves_none(tmp_path, monkeypatch, save):
    with monkeypatch.context() as patch:
        kill_at(patch, 1)
        with pytest.raises(Killed):
            save(tmp_path / "last", 1)
    assert not recover_checkpoint(tmp_path / "last")


def test_save_that_fails_keeps_the_old_checkpoint_and_leaves_nothing_behind(
    tmp_path, monkeypatch, save, load
):
    def fail(state, path):
        path.write_bytes(b"half")
        raise OSError("no space left")

    save(tmp_path / "last", 1)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fail)
        with pytest.raises(OSError, match="no space left"):
            save(tmp_path / "last", 2)
    assert load(tmp_path / "last") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


@pytest.mark.parametrize("n_bytes", [0, 100, -1])
def test_damaged_state_is_named(tmp_path, save, n_bytes):
    save(tmp_path / "last", 1)
    path = tmp_path / "last" / STATE_FILE
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(ValueError, match=rf"{STATE_FILE} is not a complete trainer state"):
        load_state(tmp_path / "last")


def test_state_with_code_in_it_is_refused(tmp_path):
    torch.save({"step": print}, tmp_path / STATE_FILE)
    with pytest.raises(ValueError, match="is not a complete trainer state"):
        load_state(tmp_path)


def test_missing_state_is_named(tmp_path):
    with pytest.raises(OSError, match=STATE_FILE):
        load_state(tmp_path)
