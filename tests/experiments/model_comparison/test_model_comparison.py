"""Models are compared on equal terms, and the words claim no more than the runs show."""

import json
from dataclasses import replace

import pytest
import torch
from visits import visit

from sparse_transformers.experiments.model_comparison.byte_baselines import ByteBaseline
from sparse_transformers.experiments.model_comparison.figures import draw_comparison
from sparse_transformers.experiments.model_comparison.measure import (
    ModelComparison,
    ModelComparisonSettings,
    TrainedModel,
    Validation,
    compare_models,
)
from sparse_transformers.experiments.model_comparison.report import describe_comparison, findings
from sparse_transformers.models.attention_patterns import Causal, LocalWindow
from sparse_transformers.training.data import ByteCorpus
from sparse_transformers.utils.records import from_json, to_json

SETTINGS = ModelComparisonSettings(
    seq_len=32,
    batch_size=2,
    d_model=16,
    n_layers=1,
    n_heads=2,
    window_size=4,
    stride=4,
    seconds=0.05,
    n_seeds=2,
    eval_every=5,
    valid_windows=2,
)
NAMES = ["dense", "local", "strided"]


def corpus() -> ByteCorpus:
    text = b"the quick brown fox jumps over the lazy dog. " * 40
    return ByteCorpus(torch.tensor(list(text), dtype=torch.uint8), name="a text")


@pytest.fixture(scope="module")
def comparison():
    return compare_models(visit(SETTINGS, corpus(), seed=5))


def with_runs(
    comparison: ModelComparison,
    bits: dict[str, list[float]],
    speed: dict[str, list[float]],
    leaks: str | None = None,
) -> ModelComparison:
    """The same with runs of the given bits per byte and bytes per second, one for each seed."""
    runs = [
        TrainedModel(
            name=name,
            seed=seed,
            steps=10,
            train_seconds=10.0,
            validations=(Validation(0.0, 0, 8.0), Validation(10.0, int(10 * rate), loss)),
            leaks=name == leaks,
            largest_leak=1.0 if name == leaks else 0.0,
        )
        for name in NAMES
        for seed, (loss, rate) in enumerate(zip(bits[name], speed[name], strict=True))
    ]
    settings = replace(comparison.settings, n_seeds=len(bits["dense"]))
    baselines = (ByteBaseline("single bytes", 4.5), ByteBaseline("pairs of bytes", 3.5))
    return replace(comparison, runs=tuple(runs), settings=settings, baselines=baselines)


def test_every_model_is_trained_with_every_seed_for_the_same_time(comparison):
    assert [(run.name, run.seed) for run in comparison.runs] == [
        ("dense", 5),
        ("local", 5),
        ("strided", 5),
        ("local", 6),  # another model goes first
        ("strided", 6),
        ("dense", 6),
    ]
    for run in comparison.runs:
        assert run.train_seconds >= SETTINGS.seconds
        assert run.validations[0].tokens == 0
        assert run.validations[-1].tokens == run.steps * SETTINGS.batch_size * SETTINGS.seq_len
    first = comparison.runs[0]
    assert comparison.by_seed("bits").loc[5, "dense"] == first.validations[-1].bits_per_byte
    assert comparison.by_seed("bytes_read").loc[5, "dense"] == first.validations[-1].tokens
    speed = first.validations[-1].tokens / first.train_seconds
    assert comparison.by_seed("bytes_per_second").loc[5, "dense"] == speed


def test_models_differ_in_the_pattern_alone(comparison):
    assert [model.name for model in comparison.models] == NAMES
    assert len({model.n_parameters for model in comparison.models}) == 1
    dense, local, _ = comparison.models
    pattern = LocalWindow(4) & Causal()
    assert dense.density == 1
    assert local.pattern == repr(LocalWindow(4))
    assert local.density == pattern.allowed_pairs(32) / Causal().allowed_pairs(32)
    assert all(model.step_bytes > 0 for model in comparison.models)


def test_seed_decides_weights_and_batches(comparison):
    untrained = [run.validations[0].bits_per_byte for run in comparison.runs]
    again = compare_models(visit(SETTINGS, corpus(), seed=5))
    assert [run.validations[0].bits_per_byte for run in again.runs] == untrained
    first, second = (run for run in comparison.runs if run.name == "dense")
    assert first.validations[0] != second.validations[0]


def test_no_model_reads_ahead(comparison):
    assert not any(run.leaks for run in comparison.runs)


def test_comparison_survives_json(comparison):
    assert from_json(ModelComparison, json.loads(json.dumps(to_json(comparison)))) == comparison


def test_baselines_predict_the_bytes_that_the_models_predict(comparison):
    assert comparison.predicted_bytes == SETTINGS.valid_windows * SETTINGS.seq_len
    assert [baseline.name for baseline in comparison.baselines] == [
        "single bytes",
        "pairs of bytes",
    ]


def test_words_follow_a_sparse_model_that_wins(comparison):
    drawn = with_runs(
        comparison,
        bits={"dense": [3.0, 3.1, 3.05], "local": [2.8, 2.9, 2.85], "strided": [3.2, 3.3, 3.25]},
        speed={"dense": [1000] * 3, "local": [2000, 2002, 2001], "strided": [500] * 3},
    )
    local, strided = findings(drawn)
    assert "*local window* model is lower than that of the dense one: -0.200 bits" in local
    assert "*strided* model is higher than that of the dense one: +0.200 bits per byte" in strided
    text = describe_comparison(drawn)
    assert "local window 2.00 [2.00, 2.00] and strided 0.50 [0.50, 0.50]. " in text
    assert "Above the dense speed: local window. Below the dense speed: strided." in text
    assert "Below it: dense, local window and strided." in text
    assert "| local window | " in text
    assert "| 2.850 (2.800 to 2.900) |" in text
    assert "3 seeds are too few to rest a claim on" in text


def test_words_make_no_claim_within_the_spread(comparison):
    drawn = with_runs(
        comparison,
        bits={"dense": [3.0, 3.1, 3.1], "local": [2.8, 3.2, 3.1], "strided": [3.4, 3.6, 3.5]},
        speed={"dense": [1000] * 3, "local": [900, 1100, 1000], "strided": [500] * 3},
    )
    assert (
        "the loss of the *local window* model and that of the dense one is not shown"
        in (findings(drawn)[0])
    )
    text = describe_comparison(drawn)
    assert "Not shown to differ from the dense speed: local window." in text
    assert "Below it: dense and local window. Not shown to differ from it: strided." in text


def test_words_admit_one_seed_and_missed_marks(comparison):
    drawn = with_runs(
        comparison,
        bits={"dense": [3.6], "local": [3.4], "strided": [3.7]},
        speed={"dense": [1000], "local": [900], "strided": [500]},
    )
    assert all("(1 seed)" in found and "is not shown" in found for found in findings(drawn))
    text = describe_comparison(drawn)
    assert "**One seed is too few to rest a claim on" in text
    assert "Above it: dense and strided. Below it: local window." in text


def test_words_denounce_a_leak(comparison):
    values = {name: [1.0] for name in NAMES}
    honest = describe_comparison(with_runs(comparison, values, values))
    leaking = describe_comparison(with_runs(comparison, values, values, leaks="local"))
    assert "The leak probe found no prediction" in honest
    assert "**Predictions depend on later bytes in: local window.**" in leaking
    assert "The leak probe found no prediction" not in leaking


def test_words_warn_of_a_machine_that_was_busy(comparison):
    bits = {name: [3.0, 3.0] for name in NAMES}
    steady = {name: [1000, 1400] for name in NAMES}
    quiet = describe_comparison(with_runs(comparison, bits, steady))
    busy = describe_comparison(with_runs(comparison, bits, {**steady, "local": [200, 1000]}))
    assert "Take care" not in quiet
    assert "**Take care:** the speeds of the *local window* model differ by a factor of 5.0" in busy


def test_table_tells_what_a_step_takes_and_the_marks(comparison):
    peaks = (1000, 800, 500)
    models = (replace(m, step_bytes=p) for m, p in zip(comparison.models, peaks, strict=True))
    drawn = with_runs(comparison, *2 * [{name: [3.0] for name in NAMES}])
    text = describe_comparison(replace(drawn, models=tuple(models)))
    assert [line.split(" | ")[-1] for line in text.splitlines() if " B |" in line] == [
        "1000 B |",
        "800 B |",
        "500 B |",
    ]
    assert "| counting pairs of bytes | – | 3.500 | – | – | – |" in text


def test_figure_draws_runs_marks_speed_and_memory(comparison):
    bits = {"dense": [3.0, 3.1, 3.0], "local": [2.8, 2.9, 2.8], "strided": [3.0, 3.4, 3.1]}
    speed = {"dense": [1000, 3000, 2000], "local": [2000] * 3, "strided": [500] * 3}
    drawn = with_runs(comparison, bits, speed)
    seconds, tokens, speeds = draw_comparison(drawn).axes
    assert seconds.get_title() == (
        "In the same time. Below dense: local window. Not shown to differ from dense: strided."
    )
    curves = [line for line in seconds.get_lines() if len(line.get_xdata()) == 2]
    assert [line.get_ydata()[-1] for line in curves[:9]] == [
        bit for each in bits.values() for bit in each
    ]
    assert tokens.get_lines()[0].get_xdata()[-1] == 10  # thousand bytes
    assert [text.get_text() for text in seconds.texts] == [
        "counting single bytes: 4.50",
        "counting pairs of bytes: 3.50",
    ]
    assert [bar.get_width() for bar in speeds.patches] == [2.0, 2.0, 0.5]
    assert speeds.get_lines()[0].get_xdata().tolist() == [1.0, 3.0]
    assert speeds.get_title() == "Fastest in training: dense"
