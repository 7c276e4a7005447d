"""Stopping early must find the same weights however often the run is interrupted."""

from dataclasses import replace

import pytest
import torch

from sparse_transformers.training.checkpoint import load_state
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.next_byte import NextByteTask
from sparse_transformers.training.task import Evaluation
from sparse_transformers.training.trainer import Trainer

CONFIG = TrainingConfig(
    steps=40,
    batch_size=4,
    learning_rate=0.01,
    eval_every=2,
    save_every=5,
    patience=3,
    progress=False,
    device="cpu",
)


class Scripted(NextByteTask):
    """Validates by a list of losses; dies when the batch of `fatal_step` is asked for."""

    losses: tuple[float, ...] = (9, 5, 4, 3, 3, 3.5, 8, 1, 1)
    fatal_step: int | None = None

    def evaluate(self, model, *, batch_size):
        self.seen.append({name: each.clone() for name, each in model.state_dict().items()})
        return Evaluation(float(self.losses[self.step // 2]), accuracy=0.5, n_targets=10)

    def batch(self, step, *, batch_size, seed):
        if step == self.fatal_step:
            raise KeyboardInterrupt
        self.step = step + 1
        return super().batch(step, batch_size=batch_size, seed=seed)


@pytest.fixture
def task(byte_task):
    task = Scripted(byte_task.corpus, 16, max_valid_windows=4)
    task.seen, task.step = [], 0
    return task


def assert_same_weights(model, weights):
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


def test_run_stops_out_of_patience_with_the_first_best_weights(make_model, task):
    model = make_model()
    result = Trainer(model, task, CONFIG).train()
    # The lowest loss, 3, came third (after step 6); its repetition is no improvement.
    assert list(result.evaluations) == [0, 2, 4, 6, 8, 10, 12]
    assert (result.steps, result.best_step, result.final.loss_nats) == (12, 6, 8)
    assert_same_weights(model, task.seen[3])


def test_run_that_ends_in_time_keeps_its_best_weights_too(make_model, task):
    model = make_model()
    result = Trainer(model, task, replace(CONFIG, steps=9)).train()
    assert result.steps == 9
    assert_same_weights(model, task.seen[3])


def test_run_without_patience_goes_on_to_its_last_weights(make_model, task):
    task.losses = (9, 5, 4, 3, 3, 3.5, 8, 9, 9)
    model = make_model()
    result = Trainer(model, task, replace(CONFIG, steps=16, patience=None)).train()
    assert result.steps == 16
    assert_same_weights(model, task.seen[-1])


def test_new_best_renews_the_patience(make_model, task):
    task.losses = (9, 8, 9, 9, 7, 9, 9, 6, 9, 9, 9, 1)
    result = Trainer(make_model(), task, CONFIG).train()
    assert (result.steps, result.best_step) == (20, 14)


def test_time_limit_and_patience_go_together(make_model, task):
    model = make_model()
    result = Trainer(model, task, replace(CONFIG, time_limit_s=1000.0)).train()
    assert result.steps == 12
    assert_same_weights(model, task.seen[3])
    task.step = 0
    limited = Trainer(make_model(), task, replace(CONFIG, time_limit_s=1e-9)).train()
    assert limited.steps == 1


@pytest.mark.parametrize("fatal_step", [1, 7, 11])
def test_resumed_run_stops_at_the_same_step_with_the_same_weights(
    make_model, task, tmp_path, fatal_step
):
    unbroken, resumed = make_model(), make_model()
    expected = Trainer(unbroken, task, CONFIG, tmp_path / "unbroken").train()
    task.step, task.fatal_step = 0, fatal_step
    with pytest.raises(KeyboardInterrupt):
        Trainer(make_model(), task, CONFIG, tmp_path / "resumed").train()
    task.fatal_step = None
    result = Trainer(resumed, task, CONFIG, tmp_path / "resumed").train(resume=True)
    assert result.evaluations == expected.evaluations
    assert_same_weights(resumed, unbroken.state_dict())
    for folder in ("best", "last"):
        first, second = (
            (tmp_path / run / folder / "model.safetensors").read_bytes()
            for run in ("unbroken", "resumed")
        )
        assert first == second


def test_run_that_stopped_early_resumes_to_the_same_result(make_model, task, tmp_path):
    expected = Trainer(make_model(), task, CONFIG, tmp_path).train()
    assert load_state(tmp_path / "last")["progress"]["step"] == expected.steps == 12
    model = make_model()
    assert Trainer(model, task, CONFIG, tmp_path).train(resume=True) == expected
    assert_same_weights(model, task.seen[3])
    assert_same_weights(make_model.from_pretrained(tmp_path / "best"), task.seen[3])


def test_patience_must_be_positive():
    with pytest.raises(ValueError, match="patience must be at least 1, or None, got 0"):
        TrainingConfig(patience=0)
