import json
import math
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from sparse_transformers.training import trainer as trainer_module
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.data import ByteCorpus
from sparse_transformers.training.metrics import read_metrics
from sparse_transformers.training.next_byte import NextByteTask
from sparse_transformers.training.optimizer import learning_rate_at
from sparse_transformers.training.trainer import Trainer


def config(**settings):
    defaults = {"steps": 6, "batch_size": 8, "log_every": 1, "progress": False, "device": "cpu"}
    return TrainingConfig(**defaults | settings)


def rows_with(result, name):
    return [row for row in result.metrics if name in row]


def gradients(model):
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def test_noise_cannot_be_predicted_below_8_bits(make_model, random_byte_corpus):
    task = NextByteTask(random_byte_corpus, seq_len=32)
    model = make_model()
    result = Trainer(model, task, config(steps=80, learning_rate=0.01, eval_every=20)).train()
    # 2,048 targets, each about 0.2 bits apart: the mean is within 0.02 bits of the floor.
    assert result.best.loss_bits > 8 - 0.02
    assert result.best.loss_bits < 8.2


def test_periodic_bytes_become_certain(make_model, make_config):
    content = torch.arange(10, dtype=torch.uint8).repeat(200)
    task = NextByteTask(ByteCorpus(content), seq_len=16)
    model = make_model(make_config(dropout=0.0))
    result = Trainer(model, task, config(steps=120, learning_rate=0.03)).train()
    assert result.evaluations[0].loss_bits == pytest.approx(8, abs=0.2)
    assert result.final.loss_bits < 0.05
    assert result.final.accuracy == 1.0


def test_labels_are_learned(make_classifier, label_task):
    settings = config(steps=60, batch_size=10, learning_rate=0.1)
    result = Trainer(make_classifier(2), label_task, settings).train()
    assert result.evaluations[0].accuracy < 0.75
    assert result.final.accuracy > 0.95
    assert "train_bits_per_label" in result.metrics[-2]


def test_accumulated_parts_make_the_gradient_of_the_whole_batch(make_model, make_config, byte_task):
    whole, parts = (make_model(make_config(dropout=0.0)) for _ in range(2))
    for model, grad_accumulation in ((whole, 1), (parts, 4)):
        settings = config(steps=1, clip_norm=None, grad_accumulation=grad_accumulation)
        Trainer(model, byte_task, settings).train()
    # Equal up to the order of a float32 sum over 128 targets.
    torch.testing.assert_close(gradients(parts), gradients(whole), rtol=1e-4, atol=1e-8)


def test_accumulation_shows_the_model_one_part_at_a_time(make_model, byte_task):
    sizes = []
    model = make_model()
    model.register_forward_pre_hook(
        lambda module, inputs: sizes.append(len(inputs[0])) if module.training else None
    )
    Trainer(model, byte_task, config(steps=2, grad_accumulation=4)).train()
    assert sizes == [2] * 8


def test_gradient_is_clipped_to_its_norm_and_reported_unclipped(make_model, byte_task):
    free, clipped = make_model(), make_model()
    [row] = rows_with(
        Trainer(free, byte_task, config(steps=1, clip_norm=None)).train(), "grad_norm"
    )
    limit = row["grad_norm"] / 3
    result = Trainer(clipped, byte_task, config(steps=1, clip_norm=limit)).train()
    assert gradients(free).norm().item() == pytest.approx(row["grad_norm"])
    assert gradients(clipped).norm().item() == pytest.approx(limit, rel=1e-4)
    assert rows_with(result, "grad_norm")[0]["grad_norm"] == pytest.approx(row["grad_norm"])


def test_learning_rate_follows_the_steps(make_model, byte_task):
    settings = config(steps=10, learning_rate=1.0, warmup_fraction=0.2, final_lr_fraction=0.1)
    rates = [
        row["learning_rate"]
        for row in rows_with(Trainer(make_model(), byte_task, settings).train(), "learning_rate")
    ]
    assert rates[:2] == [0.5, 1.0]
    assert rates[5] == pytest.approx(0.55)  # the middle of the cosine
    assert rates[9] == pytest.approx(0.1)


def test_weights_stay_float32_while_bfloat16_multiplies(make_model, byte_task):
    dtypes = set()
    model = make_model()
    model.head.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    result = Trainer(model, byte_task, config(precision="bfloat16", steps=30)).train()
    assert dtypes == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert result.final.loss_nats < result.evaluations[0].loss_nats


def test_cpu_computes_in_float32_unless_told_otherwise(make_model, byte_task):
    dtypes = set()
    model = make_model()
    model.head.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    Trainer(model, byte_task, config(precision="auto")).train()
    assert dtypes == {torch.float32}


@pytest.mark.parametrize("wanted", [True, False])
def test_gradient_checkpointing_is_passed_on(make_model, byte_task, wanted):
    model = make_model()
    model.checkpointing = not wanted
    Trainer(model, byte_task, config(gradient_checkpointing=wanted))
    assert model.checkpointing is wanted


def test_gradient_checkpointing_needs_a_model_that_can(make_classifier, label_task):
    with pytest.raises(ValueError, match="set_gradient_checkpointing, got a TinyClassifier"):
        Trainer(make_classifier(2), label_task, config(gradient_checkpointing=True))


def test_global_random_state_is_neither_used_nor_changed(make_model, byte_task):
    losses = []
    for seed in (1, 2):
        trainer = Trainer(make_model(), byte_task, config())
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        losses.append(trainer.train().final.loss_nats)
        assert torch.equal(torch.get_rng_state(), before)
    assert losses[0] == losses[1]


def test_seed_decides_dropout(make_model, make_config, byte_task):
    class SameBatches(NextByteTask):
        def batch(self, step, *, batch_size, seed):
            return super().batch(step, batch_size=batch_size, seed=0)

    task = SameBatches(byte_task.corpus, 16)
    for dropout, differs in ((0.5, True), (0.0, False)):
        losses = {
            Trainer(make_model(make_config(dropout=dropout)), task, config(seed=seed))
            .train()
            .final.loss_nats
            for seed in (0, 1)
        }
        assert (len(losses) == 2) is differs


def test_rows_are_written_when_due_and_at_the_end(make_model, byte_task, tmp_path):
    settings = config(steps=7, log_every=3, eval_every=4)
    result = Trainer(make_model(), byte_task, settings, tmp_path / "run").train()
    assert [row["step"] for row in rows_with(result, "train_loss_nats")] == [3, 6, 7]
    assert [row["step"] for row in rows_with(result, "valid_loss_nats")] == [0, 4, 7]
    assert list(result.evaluations) == [0, 4, 7]
    assert read_metrics(tmp_path / "run" / "metrics.jsonl") == list(result.metrics)


def test_row_says_what_the_step_saw(make_model, byte_task):
    result = Trainer(make_model(), byte_task, config(steps=2)).train()
    first, second = rows_with(result, "train_loss_nats")
    assert set(first) == {
        "step",
        "train_loss_nats",
        "train_bits_per_byte",
        "learning_rate",
        "grad_norm",
        "tokens_per_second",
        "seconds",
    }
    assert first["train_bits_per_byte"] == pytest.approx(first["train_loss_nats"] / math.log(2))
    seconds_of_second = second["seconds"] - first["seconds"]
    assert second["tokens_per_second"] * seconds_of_second == pytest.approx(8 * 16)
    assert result.tokens == 2 * 8 * 16
    assert result.tokens_per_second == pytest.approx(2 * 8 * 16 / second["seconds"])


def test_best_is_the_lowest_validation(make_model, byte_task, tmp_path):
    # A rate that is far too large: the loss falls first and then explodes.
    settings = config(steps=20, learning_rate=3.0, warmup_fraction=1.0, eval_every=2)
    model = make_model()
    result = Trainer(model, byte_task, settings, tmp_path / "run").train()
    losses = {step: each.loss_nats for step, each in result.evaluations.items()}
    assert result.best.loss_nats == losses[result.best_step] == min(losses.values())
    assert 0 < result.best_step < 20
    best = make_model.from_pretrained(tmp_path / "run" / "best")
    last = make_model.from_pretrained(tmp_path / "run" / "last")
    assert byte_task.evaluate(best, batch_size=8) == result.best
    assert byte_task.evaluate(last, batch_size=8) == result.final
    assert byte_task.evaluate(model, batch_size=8) == result.final


def test_run_leaves_its_files_and_no_others(make_model, byte_task, tmp_path):
    Trainer(make_model(), byte_task, config(), tmp_path / "run").train()
    files = {path.relative_to(tmp_path / "run").as_posix() for path in tmp_path.rglob("*.*")}
    assert files == {
        ".lock",
        "run.json",
        "metrics.jsonl",
        "training.png",
        "best/config.json",
        "best/model.safetensors",
        "last/config.json",
        "last/model.safetensors",
        "last/trainer_state.pt",
    }
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["training"]["batch_size"] == 8
    assert about["task"] == byte_task.description()
    assert about["environment"]["torch"] == torch.__version__


def test_model_is_left_in_evaluation_mode(make_model, byte_task):
    model = make_model()
    Trainer(model, byte_task, config()).train()
    assert not model.training


def test_progress_bar_is_shown_unless_switched_off(make_model, byte_task, capsys):
    Trainer(make_model(), byte_task, config(progress=True)).train()
    assert "6/6" in capsys.readouterr().err
    Trainer(make_model(), byte_task, config(progress=False)).train()
    assert capsys.readouterr().err == ""


class FakeClock:
    """Every look at the clock takes a second, and so does what calls `sleep`."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        self.now += 1.0
        return self.now


@contextmanager
def slow_validation(task, clock):
    evaluate = task.evaluate

    def slowly(model, *, batch_size):
        clock.now += 100.0
        return evaluate(model, batch_size=batch_size)

    task.evaluate = slowly
    yield


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(trainer_module, "time", clock)
    return clock


def test_time_limit_counts_training_and_not_validation(make_model, byte_task, clock):
    settings = config(steps=1000, time_limit_s=4.5, eval_every=1)
    with slow_validation(byte_task, clock):
        result = Trainer(make_model(), byte_task, settings).train()
    assert result.steps == 5
    assert result.train_seconds == 5.0
    assert result.metrics[-1]["step"] == 5
    assert "valid_loss_nats" in result.metrics[-1]


def test_learning_rate_follows_the_time_under_a_limit(make_model, byte_task, clock):
    settings = config(steps=1000, time_limit_s=5.0, warmup_fraction=0.2)
    result = Trainer(make_model(), byte_task, settings).train()
    rates = [row["learning_rate"] for row in rows_with(result, "learning_rate")]
    shares = [0.001, 0.2, 0.4, 0.6, 0.8]
    assert rates == pytest.approx([learning_rate_at(share, settings) for share in shares])


def test_steps_end_a_run_that_has_time_left(make_model, byte_task, clock):
    settings = config(steps=3, time_limit_s=1000.0)
    result = Trainer(make_model(), byte_task, settings).train()
    assert result.steps == 3
    last_rate = rows_with(result, "learning_rate")[-1]["learning_rate"]
    assert last_rate == pytest.approx(learning_rate_at(1.0, settings))


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_loss_that_is_not_finite_ends_the_run_before_it_is_saved(
    make_model, byte_task, tmp_path, broken
):
    class BreaksAtStep3(NextByteTask):
        def batch(self, step, *, batch_size, seed):
            self.is_broken = step == 2
            return super().batch(step, batch_size=batch_size, seed=seed)

        def loss(self, model, batch):
            loss = super().loss(model, batch)
            return loss * broken if self.is_broken else loss

    model = make_model()
    task = BreaksAtStep3(byte_task.corpus, 16)
    with pytest.raises(FloatingPointError, match="step 3 has loss"):
        Trainer(model, task, config(save_every=1), tmp_path / "run").train()
    last = make_model.from_pretrained(tmp_path / "run" / "last")
    assert all(parameter.isfinite().all() for parameter in last.parameters())


def test_validation_that_is_not_finite_ends_the_run(make_model, byte_task):
    model = make_model()
    with torch.no_grad():
        model.head.bias.fill_(math.nan)
    with pytest.raises(FloatingPointError, match="validation loss after step 0 is nan"):
        Trainer(model, byte_task, config()).train()


def test_output_that_is_a_file_is_named(make_model, byte_task, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"output folder .*file.* must be writable"):
        Trainer(make_model(), byte_task, config(), tmp_path / "file").train()


def test_folder_with_a_run_is_not_overwritten(make_model, byte_task, tmp_path):
    Trainer(make_model(), byte_task, config(), tmp_path / "run").train()
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with pytest.raises(FileExistsError, match="already holds a run"):
        Trainer(make_model(), byte_task, config(), tmp_path / "run").train()
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_saving_needs_a_model_that_can(byte_task, tmp_path):
    model = nn.Sequential(nn.Embedding(256, 8), nn.Linear(8, 256))
    with pytest.raises(ValueError, match="save_pretrained and from_pretrained, got a Sequential"):
        Trainer(model, byte_task, config(), tmp_path / "run")
    assert Trainer(model, byte_task, config()).train().output_dir is None
