"""A scaling run measures what it says, and its words follow its numbers."""

import json
import re
from dataclasses import replace

import pytest

from sparse_transformers.efficiency.costs import attention_cost
from sparse_transformers.efficiency.timing import Timing
from sparse_transformers.experiments.efficiency_analysis.figures import (
    draw_memory_growth,
    draw_memory_table,
    draw_operations,
    draw_times,
)
from sparse_transformers.experiments.efficiency_analysis.measure import (
    AttentionScaling,
    AttentionScalingSettings,
    MemoryCurve,
    measure_attention_scaling,
)
from sparse_transformers.experiments.efficiency_analysis.report import (
    describe_memory_growth,
    describe_memory_table,
    describe_operations,
    describe_times,
)
from sparse_transformers.experiments.efficiency_analysis.time_curves import (
    TimeCurve,
    TimePoint,
    find_crossing,
    fit_time_curve,
)
from sparse_transformers.models.attention_patterns import BlockSparse, LocalWindow
from sparse_transformers.utils.records import from_json, to_json

SETTINGS = AttentionScalingSettings(
    lengths=(64, 128, 256),
    longer_lengths=(512,),
    longest_mask=128,
    fit_from=64,
    window_size=16,
    block_size=16,
    memory_lengths=(64, 128, 256),
    longest_stored=128,
    counted_lengths=(64, 256),
    counted_windows=(16, 32),
    counted_sparsities=(0.5, 0.9),
    longest_counted_blocks=64,
    n_heads=2,
    head_dim=8,
    repeats=2,
)


@pytest.fixture(scope="module")
def scaling():
    return measure_attention_scaling(SETTINGS, seed=1)


def power_curve(name: str, direction: str, factor: float, exponent: float) -> TimeCurve:
    """A curve of this growth that wobbles by half a per cent, with quartiles one per cent away."""
    lengths = {
        "masked": [n for n in SETTINGS.lengths if n <= SETTINGS.longest_mask],
        "dense": SETTINGS.lengths,
    }.get(name, (*SETTINGS.lengths, *SETTINGS.longer_lengths))
    points = []
    for nth, length in enumerate(lengths):
        ms = factor * length**exponent * (1 + 0.005 * (-1) ** nth)
        points.append(TimePoint(length, Timing((0.98 * ms, ms, 1.02 * ms))))
    return fit_time_curve(name, direction, points, fit_from=SETTINGS.fit_from)


def with_times(scaling: AttentionScaling, **growth: tuple[float, float]) -> AttentionScaling:
    """The same with times of the given factors and exponents in both directions."""
    times, crossings = [], []
    for direction in ("forward", "forward_backward"):
        curves = {name: power_curve(name, direction, *growth[name]) for name in growth}
        times += curves.values()
        crossings += [find_crossing(curves["dense"], curves[name]) for name in ("local", "block")]
    return replace(scaling, times=tuple(times), crossings=tuple(crossings))


GROWTH = {"dense": (1e-4, 2), "masked": (2e-4, 2), "local": (1e-2, 1), "block": (1e-5, 2)}


def test_every_arm_is_timed_where_the_settings_say(scaling):
    for direction in ("forward", "forward_backward"):
        lengths = {
            curve.name: [point.seq_len for point in curve.points]
            for curve in scaling.times
            if curve.direction == direction
        }
        assert lengths == {
            "dense": [64, 128, 256],
            "masked": [64, 128],
            "local": [64, 128, 256, 512],
            "block": [64, 128, 256, 512],
        }
    assert all(len(p.timing.samples_ms) == 2 for curve in scaling.times for p in curve.points)


def test_memory_of_stored_scores_holds_at_least_the_scores(scaling):
    stored = scaling.memory_curve("stored")
    assert stored.lengths == (64, 128)
    for length, peak in zip(stored.lengths, stored.peak_bytes, strict=True):
        assert peak >= 2 * length**2 * 4
    assert scaling.memory_curve("dense").lengths == SETTINGS.memory_lengths
    output_and_gradients = 4 * 256 * 2 * 8 * 4
    for name in ("dense", "local", "block"):
        assert scaling.memory_curve(name).peak_bytes[-1] >= output_and_gradients


def test_costs_are_those_of_the_cost_model(scaling):
    cost = scaling.counted("local", 32)[-1]
    expected = attention_cost(LocalWindow(32), 256, 2, 8, causal=True)
    assert cost.seq_len == 256
    assert cost.flops == expected.forward_flops + expected.backward_flops
    assert cost.dense_flops == expected.dense_forward_flops + expected.dense_backward_flops
    assert cost.all_score_bytes == 2 * 256**2 * 4
    assert cost.allowed_score_bytes == 8 * expected.allowed_pairs
    tensors = cost.tensor_bytes
    assert cost.memory_reduction_without_scores == (tensors + 2 * 256**2 * 4) / tensors
    assert cost.memory_reduction_with_scores < cost.memory_reduction_without_scores

    blocks = scaling.counted("block", 0.5)
    assert [cost.seq_len for cost in blocks] == [64]  # and no further, as the settings say
    seeded = attention_cost(BlockSparse(16, 0.5, seed=1), 64, 2, 8, causal=True)
    assert blocks[0].flops == seeded.forward_flops + seeded.backward_flops


def test_scaling_survives_json(scaling):
    assert from_json(AttentionScaling, json.loads(json.dumps(to_json(scaling)))) == scaling


def test_seed_decides_what_is_counted(scaling):
    briefly = replace(SETTINGS, lengths=(64,), longer_lengths=(), memory_lengths=(), repeats=1)
    assert measure_attention_scaling(briefly, seed=1).costs == scaling.costs
    assert measure_attention_scaling(briefly, seed=2).costs != scaling.costs


def test_words_confirm_growth_and_name_the_crossing(scaling):
    text = describe_times(with_times(scaling, **GROWTH))
    assert re.search(r"\*window of 16, forward\*: exponent 1.00 \(.*\), as expected \(1\)", text)
    assert re.search(r"\*dense SDPA, forward\*: exponent 2.00 \(.*\), as expected \(2\)", text)
    assert "*window of 16, forward*: faster than dense SDPA from about 100 positions on" in text
    assert "*block sparse, 90% skipped, forward*: faster than dense SDPA at all lengths" in text
    assert "takes 2.0 times as long as dense causal SDPA" in text
    assert "A mask alone saves no time." in text


def test_words_state_what_did_not_come_out_as_expected(scaling):
    growth = {**GROWTH, "local": (1.0, 1.5), "block": (1.0, 1.0), "masked": (1e-5, 2)}
    text = describe_times(with_times(scaling, **growth))
    assert re.search(r"\*window of 16, forward\*: exponent 1.50 .*, more than expected \(1\)", text)
    assert re.search(
        r"\*block sparse, .*, forward\*: exponent 1.00 .*, less than in the limit \(2\)", text
    )
    assert "*window of 16, forward*: not faster than dense SDPA at 256 positions" in text
    assert "runs 10 times as fast as dense causal SDPA" in text
    assert "A mask alone saves no time." not in text


def test_words_make_no_claim_from_a_wide_interval_or_too_few_lengths(scaling):
    noisy = with_times(scaling, **GROWTH)
    local = noisy.times[2]
    wide = replace(local, fit=replace(local.fit, low=-0.5, high=2.5))
    text = describe_times(replace(noisy, times=(*noisy.times[:2], wide, *noisy.times[3:])))
    assert "exponent 1.00 (-0.50 to 2.50); the interval is too wide to tell" in text
    assert "too few lengths" in text  # the control has two


def test_words_about_memory_follow_the_measurement(scaling):
    def with_peaks(local: int) -> AttentionScaling:
        curves = (
            MemoryCurve("stored", (64, 128), (1000, 4000), None),
            MemoryCurve("dense", (64, 128, 256), (100, 200, 400), None),
            MemoryCurve("local", (64, 128, 256), (local, local, local), None),
            MemoryCurve("block", (64, 128, 256), (100, 200, 400), None),
        )
        return replace(scaling, memory=curves)

    assert "holds 50% more than dense SDPA" in describe_memory_growth(with_peaks(600))
    less = describe_memory_growth(with_peaks(200))
    assert "holds 50% less than dense SDPA" in less
    assert "holds 20× as much as the window at 128 positions" in less
    assert "| not measured | too few lengths |" in less


def test_tables_label_models_and_leave_out_what_was_not_counted(scaling):
    for text in (describe_memory_table(scaling), describe_operations(scaling)):
        assert "(**model, not measured**)" in text
        assert "| block sparse, 50% skipped |" in text
        assert "| not counted |" in text
    cost = scaling.counted("local", 16.0)[-1]
    assert f"| {cost.flop_reduction:.1f}× |" in describe_operations(scaling)


def test_figures_draw_what_was_measured(scaling):
    forward, backward = draw_times(with_times(scaling, **GROWTH)).axes
    dense = forward.get_lines()[0]
    assert dense.get_xdata().tolist() == [64, 128, 256]
    assert dense.get_ydata()[-1] == pytest.approx(1e-4 * 256**2, rel=0.01)
    assert "window faster\nfrom 100" in [text.get_text() for text in forward.texts]
    assert backward.get_legend().get_texts()[2].get_text().startswith("window of 16: length^1.00")

    growth = draw_memory_growth(scaling).axes[0]
    stored = scaling.memory_curve("stored")
    assert growth.get_lines()[0].get_ydata().tolist() == [n / 2**20 for n in stored.peak_bytes]

    measured, model = draw_memory_table(scaling).axes
    assert measured.get_title().startswith("Measured")
    assert model.get_title().startswith("Model, not measured")
    assert len(measured.patches) == 1  # stored scores at the longest length
    operations, reduction = draw_operations(scaling).axes
    assert "counted" in operations.get_title()
    assert (
        reduction.get_lines()[0].get_ydata()[-1] == scaling.counted("local", 16)[-1].flop_reduction
    )


def test_no_crossing_is_drawn_where_there_is_none(scaling):
    growth = {**GROWTH, "local": (1.0, 1.5)}
    forward, _ = draw_times(with_times(scaling, **growth)).axes
    assert not forward.texts
