# ruff: noqa: NPY002 (the global generator is what is tested)
import os
import random
import shutil
import subprocess

import numpy as np
import pytest
import torch

from sparse_transformers.utils import runtime
from sparse_transformers.utils.runtime import (
    atomic_write_bytes,
    atomic_write_text,
    environment,
    reproducible_draws,
    resolve_device,
    resolve_precision,
    seed_everything,
)


@pytest.fixture
def machine(monkeypatch):
    """Pretend to a number of CUDA devices, with or without bfloat16, and to MPS or none."""

    def pretend(*, cuda=0, bfloat16=False, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Pretended GPU")
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ({"cuda": 1, "mps": True}, "cuda"),
        ({"mps": True}, "mps"),
        ({}, "cpu"),
    ],
)
def test_auto_takes_cuda_then_mps_then_cpu(machine, present, expected):
    machine(**present)
    assert resolve_device("auto").type == expected


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:1", torch.device("cuda", 0)])
def test_named_device_is_taken(machine, name):
    machine(cuda=2)
    assert resolve_device(name) == torch.device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "xpu"])
def test_absent_device_is_never_replaced(machine, name):
    machine()
    with pytest.raises(ValueError, match=rf"device must be .* \(cpu\), got '{name}'"):
        resolve_device(name)


def test_device_index_beyond_the_last_is_refused(machine):
    machine(cuda=2)
    with pytest.raises(ValueError, match=r"\(cpu, cuda\), got 'cuda:2'"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x"])
def test_unknown_device_is_refused_with_the_known_ones(name):
    with pytest.raises(ValueError, match='device must be "auto", "cpu"'):
        resolve_device(name)


@pytest.mark.parametrize(
    ("precision", "device", "bfloat16", "expected"),
    [
        ("auto", "cpu", False, torch.float32),
        ("auto", "mps", False, torch.float32),
        ("auto", "cuda", False, torch.float32),
        ("auto", "cuda", True, torch.bfloat16),
        ("float32", "cuda", True, torch.float32),
        ("bfloat16", "cuda", True, torch.bfloat16),
        ("bfloat16", "cpu", False, torch.bfloat16),
    ],
)
def test_precision_depends_on_the_hardware_only_if_auto(
    machine, precision, device, bfloat16, expected
):
    machine(cuda=1, bfloat16=bfloat16)
    assert resolve_precision(precision, torch.device(device)) == expected


def test_bfloat16_is_refused_by_hardware_without_it(machine):
    machine(cuda=1, bfloat16=False)
    with pytest.raises(ValueError, match="Pretended GPU"):
        resolve_precision("bfloat16", torch.device("cuda"))


def test_unknown_precision_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="auto, float32, bfloat16, got 'half'"):
        resolve_precision("half", torch.device("cpu"))


@pytest.fixture
def keep_global_generators():
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


@pytest.mark.usefixtures("keep_global_generators")
def test_seeding_makes_all_global_generators_repeat():
    def draws(seed):
        seed_everything(seed)
        return random.random(), np.random.random(), torch.rand(()).item()

    assert draws(3) == draws(3)
    assert all(one != other for one, other in zip(draws(3), draws(4), strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=f"got {seed}"):
        seed_everything(seed)


def test_draws_inside_follow_the_seed_and_leave_no_trace():
    cpu = torch.device("cpu")
    before = torch.get_rng_state()
    with reproducible_draws(5, cpu):
        first = torch.rand(3)
    torch.testing.assert_close(torch.get_rng_state(), before)
    with reproducible_draws(5, cpu):
        assert torch.equal(torch.rand(3), first)
    with reproducible_draws(6, cpu):
        assert not torch.equal(torch.rand(3), first)


def test_written_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "results.json"
    atomic_write_text(path, "first ✓")
    atomic_write_text(str(path), "second")
    assert path.read_text() == "second"
    atomic_write_bytes(path, bytes(range(256)))
    assert path.read_bytes() == bytes(range(256))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_failed_write_keeps_the_old_content_and_leaves_nothing_behind(tmp_path, monkeypatch, name):
    def fail(*arguments, **options):
        raise OSError("no space left")

    path = tmp_path / "results.json"
    atomic_write_text(path, "old")
    # pathlib's replace and the library's fsync both end in `os`.
    monkeypatch.setattr(os, name, fail)
    with pytest.raises(OSError, match="no space left"):
        atomic_write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_written_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "any").touch()
    atomic_write_text(tmp_path / "ours", "text")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_environment_says_what_a_measurement_depends_on(machine):
    machine(cuda=1)
    facts = environment()
    assert facts["torch"] == torch.__version__
    assert facts["threads"] == torch.get_num_threads()
    assert facts["accelerator"] == "Pretended GPU"
    assert facts["cpu"]
    machine()
    assert environment()["accelerator"] is None


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository that holds the module, with one commit."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        run = subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        return run.stdout.strip()

    module = tmp_path / "sparse_transformers" / "utils" / "runtime.py"
    module.parent.mkdir(parents=True)
    module.touch()
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    monkeypatch.setattr(runtime, "__file__", str(module))
    return module, git


def test_commit_is_that_of_the_checkout_and_marks_changes(checkout):
    module, git = checkout
    head = git("rev-parse", "--short=12", "HEAD")
    assert environment()["commit"] == head
    module.write_text("changed")
    assert environment()["commit"] == f"{head}+"


def test_commit_is_unknown_outside_the_package_s_own_checkout(checkout, monkeypatch):
    module, _ = checkout
    installed = module.parents[2] / "lib" / "sparse_transformers" / "utils" / "runtime.py"
    monkeypatch.setattr(runtime, "__file__", str(installed))
    assert environment()["commit"] is None
