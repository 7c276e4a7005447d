"""A run that is killed and resumed must equal one that is not, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import sparse_transformers
from sparse_transformers.training.checkpoint import load_state, recover_checkpoint
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.data import ByteCorpus
from sparse_transformers.training.metrics import read_metrics
from sparse_transformers.training.next_byte import NextByteTask
from sparse_transformers.training.trainer import Trainer

CONFIG = TrainingConfig(
    steps=12,
    batch_size=4,
    log_every=2,
    eval_every=3,
    save_every=5,
    progress=False,
    device="cpu",
)
TIMINGS = ("seconds", "tokens_per_second")


def untimed(rows):
    return [{name: row[name] for name in row if name not in TIMINGS} for row in rows]


class DiesAt(NextByteTask):
    """Raises when the batch of a step is asked for."""

    fatal_step = None

    def batch(self, step, *, batch_size, seed):
        if step == self.fatal_step:
            raise KeyboardInterrupt
        return super().batch(step, batch_size=batch_size, seed=seed)


@pytest.fixture
def task(byte_task):
    return DiesAt(byte_task.corpus, 16, max_valid_windows=4)


@pytest.fixture
def die(make_model, task):
    """Run into the death at a step."""

    def run(folder, step, config=CONFIG):
        task.fatal_step = step
        with pytest.raises(KeyboardInterrupt):
            Trainer(make_model(), task, config, folder).train()
        task.fatal_step = None

    return run


# Before the first save at step 5, right at it, after it, at the one after, and in the last step.
@pytest.mark.parametrize("fatal_step", [0, 4, 5, 6, 10, 11])
def test_resumed_run_equals_unbroken_run(make_model, task, die, tmp_path, fatal_step):
    unbroken_model, resumed_model = make_model(), make_model()
    unbroken = Trainer(unbroken_model, task, CONFIG, tmp_path / "unbroken").train()

    die(tmp_path / "resumed", fatal_step)
    torch.manual_seed(9)  # whatever the global state is, a resumed run does not care
    resumed = Trainer(resumed_model, task, CONFIG, tmp_path / "resumed").train(resume=True)

    assert untimed(resumed.metrics) == untimed(unbroken.metrics)
    assert untimed(read_metrics(tmp_path / "resumed" / "metrics.jsonl")) == untimed(
        unbroken.metrics
    )
    assert resumed.evaluations == unbroken.evaluations
    assert resumed.tokens == unbroken.tokens
    for name, tensor in unbroken_model.state_dict().items():
        assert torch.equal(resumed_model.state_dict()[name], tensor), name
    for folder in ("best", "last"):
        weights = [
            (tmp_path / run / folder / "model.safetensors").read_bytes()
            for run in ("unbroken", "resumed")
        ]
        assert weights[0] == weights[1]


def test_time_goes_on_where_it_stopped(make_model, task, die, tmp_path):
    die(tmp_path, 7)
    before = load_state(tmp_path / "last")["progress"]["seconds"]
    result = Trainer(make_model(), task, CONFIG, tmp_path).train(resume=True)
    assert result.train_seconds > before > 0


def test_finished_run_resumes_to_the_same_result(make_model, task, tmp_path):
    result = Trainer(make_model(), task, CONFIG, tmp_path).train()
    assert Trainer(make_model(), task, CONFIG, tmp_path).train(resume=True) == result


def test_settings_that_differ_are_named_with_both_values(make_model, make_config, task, tmp_path):
    Trainer(make_model(), task, CONFIG, tmp_path).train()
    other_task = NextByteTask(ByteCorpus(task.corpus.content[:-1]), 16, max_valid_windows=4)
    other_model = make_model(make_config(d_model=8))
    other_config = replace(CONFIG, learning_rate=0.5)
    with pytest.raises(ValueError) as caught:
        Trainer(other_model, other_task, other_config, tmp_path).train(resume=True)
    message = str(caught.value)
    assert "training.learning_rate was 0.001 and is 0.5" in message
    assert "model.d_model was 16 and is 8" in message
    assert "task.corpus_sha256 was" in message
    assert "batch_size" not in message


def test_device_and_progress_bar_may_change(make_model, task, die, tmp_path):
    die(tmp_path, 7)
    config = replace(CONFIG, device="auto", progress=True)
    assert Trainer(make_model(), task, config, tmp_path).train(resume=True).steps == 12


@pytest.mark.parametrize("exists", [True, False])
def test_folder_without_checkpoint_is_named(make_model, task, tmp_path, exists):
    folder = tmp_path / "run"
    if exists:
        folder.mkdir()
    with pytest.raises(FileNotFoundError, match="run holds no checkpoint to resume from"):
        Trainer(make_model(), task, CONFIG, folder).train(resume=True)


def test_resuming_needs_a_folder(make_model, task):
    with pytest.raises(ValueError, match="output_dir, got None"):
        Trainer(make_model(), task, CONFIG).train(resume=True)


def test_damaged_checkpoint_is_named(make_model, task, die, tmp_path):
    die(tmp_path, 7)
    state = tmp_path / "last" / "trainer_state.pt"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"trainer_state\.pt is not a complete trainer state"):
        Trainer(make_model(), task, CONFIG, tmp_path).train(resume=True)


def kill_run(folder, settings, *options, past_row):
    """Run `resumable_run.py`, and kill it a moment after its metrics got past a row."""
    here = Path(__file__).parent
    repository = Path(sparse_transformers.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, here / "resumable_run.py", folder, json.dumps(settings), *options],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(repository), str(here)]),
            "OMP_NUM_THREADS": "1",  # as in this process: the bits depend on it
        },
    )
    try:
        metrics = folder / "metrics.jsonl"
        while not (metrics.exists() and len(read_metrics(metrics)) > past_row):
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.05))
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX signal")
def test_run_killed_at_random_moments_ends_as_if_it_had_not_been(make_model, byte_task, tmp_path):
    # Saving takes much longer than a step of this model, so a kill is likely to come in a save.
    settings = {"steps": 60, "batch_size": 4, "log_every": 1, "eval_every": 3, "save_every": 1}
    settings |= {"progress": False, "device": "cpu"}
    folder = tmp_path / "killed"
    for past_row, options in ((10, ()), (40, ("--resume",))):
        kill_run(folder, settings, *options, past_row=past_row)
        assert recover_checkpoint(folder / "last")
        make_model.from_pretrained(folder / "last")
        assert load_state(folder / "last")["progress"]["step"] > 0
    config = TrainingConfig(**settings)
    resumed = Trainer(make_model(), byte_task, config, folder).train(resume=True)
    unbroken = Trainer(make_model(), byte_task, config).train()
    assert untimed(resumed.metrics) == untimed(unbroken.metrics)
