"""A scaling run measures what it says, and its words follow its numbers."""

import json
import math
import re
from dataclasses import replace

import pytest
from visits import visit

from sparse_transformers.efficiency.costs import attention_cost
from sparse_transformers.experiments.efficiency_analysis.counted_costs import cost_frame
from sparse_transformers.experiments.efficiency_analysis.figures import (
    draw_memory_growth,
    draw_memory_table,
    draw_operations,
    draw_times,
)
from sparse_transformers.experiments.efficiency_analysis.measure import (
    AttentionScaling,
    AttentionScalingSettings,
    MeasuredTimes,
    PeakMemory,
    measure_attention_scaling,
)
from sparse_transformers.experiments.efficiency_analysis.report import (
    describe_memory_growth,
    describe_memory_table,
    describe_operations,
    describe_times,
    findings,
    summarise,
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
    return measure_attention_scaling(visit(SETTINGS, seed=1))


def timed(attention: str, milliseconds, lengths, direction="forward") -> list[MeasuredTimes]:
    """Times given by a function of the length, with quartiles one per cent away."""
    return [
        MeasuredTimes(
            attention, direction, length, tuple(f * milliseconds(length) for f in (0.98, 1, 1.02))
        )
        for length in lengths
    ]


def with_times(scaling: AttentionScaling, **growth: tuple[float, float]) -> AttentionScaling:
    """The same with times of the given factors and exponents in both directions.

    They wobble by half a per cent.
    """
    times = []
    everywhere = (*SETTINGS.lengths, *SETTINGS.longer_lengths)
    for direction in ("forward", "forward_backward"):
        for name, (factor, exponent) in growth.items():
            lengths = {"masked": (64, 128), "dense": SETTINGS.lengths}.get(name, everywhere)
            wobble = {length: 1 + 0.005 * (-1) ** nth for nth, length in enumerate(lengths)}
            times += timed(
                name,
                lambda n, f=factor, e=exponent, w=wobble: f * n**e * w[n],
                lengths,
                direction,
            )
    return replace(scaling, times=tuple(times))


GROWTH = {"dense": (1e-4, 2), "masked": (2e-4, 2), "local": (1e-2, 1), "block": (1e-5, 2)}


def test_every_attention_is_timed_where_the_settings_say(scaling):
    for direction in ("forward", "forward_backward"):
        lengths = {
            name: scaling.time_frame().loc[name, direction].index.tolist()
            for name in scaling.timed()
        }
        assert lengths == {
            "dense": [64, 128, 256],
            "masked": [64, 128],
            "local": [64, 128, 256, 512],
            "block": [64, 128, 256, 512],
        }
    assert all(len(each.samples_ms) == 2 for each in scaling.times)


def test_exponent_is_fitted_where_fixed_costs_no_longer_rule(scaling):
    settings = replace(SETTINGS, fit_from=128)
    times = timed("local", lambda n: max(n, 128.0), (32, 64, 128, 256, 512))
    found = replace(scaling, settings=settings, times=tuple(times))
    assert found.time_exponent("local", "forward").estimate == pytest.approx(1)
    assert len(found.time_frame()) == 5


def test_speedup_and_its_interval_compare_two_timings(scaling):
    times = [*timed("local", lambda n: 1.0, (64, 512)), *timed("dense", lambda n: 2.0, (64,))]
    found = replace(scaling, times=tuple(times)).speedups("local", "forward")
    assert found.index.tolist() == [64]
    assert found.iloc[0].tolist() == pytest.approx([2, 1.98 / 1.01, 2.02 / 0.99])


def test_crossing_is_found_where_the_curves_meet(scaling):
    times = [
        *timed("dense", lambda n: 1e-4 * n**2, (64, 128, 256)),
        *timed("local", lambda n: 1e-2 * n, (64, 128, 256, 512)),
        *timed("block", lambda n: 1e-3 * n**2, (64, 128, 256, 512)),
    ]
    found = replace(scaling, times=tuple(times))
    crossing = found.crossing("local", "forward")
    assert crossing.estimate == pytest.approx(100)  # 1e-4 * n**2 == 1e-2 * n
    assert crossing.low == pytest.approx(100 * 0.99 / 1.01)
    assert crossing.high == pytest.approx(100 * 1.01 / 0.99)
    never = found.crossing("block", "forward")
    assert (never.estimate, never.low, never.high) == (math.inf,) * 3


def test_memory_of_stored_scores_holds_at_least_the_scores(scaling):
    peaks = scaling.peak_bytes()
    stored = peaks.loc["stored"].dropna()
    assert stored.index.tolist() == [64, 128]
    assert all(peak >= 2 * length**2 * 4 for length, peak in stored.items())
    assert peaks.loc["dense"].notna().all()
    assert tuple(peaks.columns) == SETTINGS.memory_lengths
    output_and_gradients = 4 * 256 * 2 * 8 * 4
    assert (peaks.loc[["dense", "local", "block"], 256] >= output_and_gradients).all()


def test_costs_are_those_of_the_cost_model(scaling):
    costs = cost_frame(scaling.costs)
    cost = costs.loc["window of 32", 256]
    expected = attention_cost(LocalWindow(32), 256, 2, 8, causal=True)
    assert cost.flops == expected.forward_flops + expected.backward_flops
    assert cost.dense_flops == expected.dense_forward_flops + expected.dense_backward_flops
    assert cost.all_score_bytes == 2 * 256**2 * 4
    assert cost.allowed_score_bytes == 8 * expected.allowed_pairs
    tensors = cost.tensor_bytes
    assert cost.fewer_flops == cost.dense_flops / cost.flops
    assert cost.saving_no_scores == (tensors + 2 * 256**2 * 4) / tensors
    assert cost.saving_allowed_scores < cost.saving_no_scores

    blocks = costs.loc["block sparse at 50%"]
    assert blocks.index.tolist() == [64]  # and no further, as the settings say
    seeded = attention_cost(BlockSparse(16, 0.5, seed=1), 64, 2, 8, causal=True)
    assert blocks.flops[64] == seeded.forward_flops + seeded.backward_flops


def test_scaling_survives_json(scaling):
    assert from_json(AttentionScaling, json.loads(json.dumps(to_json(scaling)))) == scaling


def test_seed_decides_what_is_counted(scaling):
    briefly = replace(SETTINGS, lengths=(64,), longer_lengths=(), memory_lengths=(), repeats=1)
    assert measure_attention_scaling(visit(briefly, seed=1)).costs == scaling.costs
    assert measure_attention_scaling(visit(briefly, seed=2)).costs != scaling.costs


def cells(text: str, name: str) -> list[str]:
    """The cells of the row that is called so in the last table that has it."""
    [*_, row] = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return row.strip("| ").split(" | ")[1:]


def test_words_confirm_growth_and_name_the_crossing(scaling):
    recorded = with_times(scaling, **GROWTH)
    text = describe_times(recorded)
    expected, forward, backward, *crossings = cells(text, "window of 16")
    assert expected == "1"
    assert re.fullmatch(r"1\.00 \[.*\]", forward) and forward == backward
    assert crossings == ["100 [98, 102]"] * 2
    assert re.fullmatch(r"2\.00 \[.*\]", cells(text, "dense SDPA")[1])
    assert cells(text, "dense SDPA")[3:] == ["–", "–"]
    assert cells(text, "block sparse at 90%")[3:] == ["64 or fewer"] * 2
    assert cells(text, "dense SDPA with a mask")[3:] == ["none up to 128"] * 2
    assert text.splitlines()[-3] in summarise(recorded)
    found, _ = findings(recorded)
    assert "The crossing: 100 [98, 102] positions." in found
    assert "256 positions: window of 16 is faster than dense SDPA: 2.5" in found
    assert "128 positions: dense SDPA with a mask is slower than dense SDPA: 0.50×" in found


def test_words_state_what_did_not_come_out_as_expected(scaling):
    growth = {**GROWTH, "local": (1.0, 1.5), "block": (1.0, 1.0), "masked": (1e-5, 2)}
    recorded = with_times(scaling, **growth)
    text = describe_times(recorded)
    assert re.search(r"\] above \| 1\.50 \[.*\] above \|", text)
    assert all(cell.endswith("] above") for cell in cells(text, "window of 16")[1:3])
    assert all(cell.endswith("] below") for cell in cells(text, "block sparse at 90%")[1:3])
    assert all(cell.endswith("]") for cell in cells(text, "dense SDPA")[1:3])
    assert cells(text, "window of 16")[3] == "none up to 256"
    found, _ = findings(recorded)
    assert "The crossing: none up to 256 positions." in found
    assert "window of 16 is slower than dense SDPA" in found
    assert "dense SDPA with a mask is faster than dense SDPA: 10.00×" in found


def test_words_limit_a_crossing_by_the_lengths_compared(scaling):
    def crossing(lengths, milliseconds):
        times = [
            *timed("dense", lambda n: 1.0, lengths),
            *timed("local", milliseconds, lengths),
            *timed("block", milliseconds, lengths),
        ]
        both = [*times, *(replace(each, direction="forward_backward") for each in times)]
        return findings(replace(scaling, times=tuple(both)))[0]

    early = crossing(SETTINGS.lengths, lambda n: 1.005 if n == 64 else 0.5)
    assert re.search(r"The crossing: 64 \[64 or fewer, \d+\] positions", early)
    late = crossing(SETTINGS.lengths, lambda n: 0.995 if n == 256 else 2.0)
    assert re.search(r"The crossing: \d+ \[\d+, more than 256\] positions", late)
    assert "The control was not measured." in late


def test_words_make_no_claim_from_a_wide_interval_or_too_few_lengths(scaling):
    noise = {64: 3, 128: 0.3, 256: 3, 512: 1}
    recorded = with_times(scaling, **GROWTH)
    others = [each for each in recorded.times if each.attention != "local"]
    wide = timed("local", lambda n: 1e-2 * n * noise[n], noise)
    both = [*wide, *timed("local", lambda n: 1e-2 * n, noise, "forward_backward")]
    text = describe_times(replace(recorded, times=(*others, *both)))
    assert re.fullmatch(r".* \[-.*\]", cells(text, "window of 16")[1])  # no verdict after it
    assert cells(text, "dense SDPA with a mask")[1] == "too few lengths"  # two


def test_table_holds_every_median_or_says_that_there_is_none(scaling):
    text = summarise(with_times(scaling, **GROWTH))
    assert cells(text, "dense SDPA (forward)") == ["0.412", "1.63", "6.59", "not measured"]
    assert cells(text, "window of 16 (forward + backward)")[-1] == "5.09"


def test_words_about_memory_follow_the_measurement(scaling):
    def with_peaks(local: int, dense=(100, 200, 400)) -> AttentionScaling:
        peaks = {"stored": (1000, 4000), "dense": dense, "local": (local,) * 3, "block": dense}
        records = [
            PeakMemory(name, length, peak)
            for name, of_name in peaks.items()
            for length, peak in zip((64, 128, 256), of_name, strict=False)
        ]
        return replace(scaling, memory=tuple(records))

    assert "holds 50% more memory than dense SDPA at 256" in findings(with_peaks(600))[1]
    less = findings(with_peaks(200))[1]
    assert "holds 50% less memory than dense SDPA at 256" in less
    title = draw_memory_growth(with_peaks(200)).axes[0].get_title()
    assert title.endswith("at 128 positions stored scores take 20× the memory of the window")
    stored = cells(describe_memory_growth(with_peaks(200)), "dense, scores stored")
    assert stored == ["1000 B", "3.91 KiB", "not measured"]


def test_counts_and_models_are_called_what_they_are(scaling):
    assert "(**model, not measured**)" in describe_memory_table(scaling)
    assert draw_memory_table(scaling).axes[0].get_title().startswith("Model, not measured")
    # Operations follow exactly from the rule, which is what the report calls counted.
    assert "*counted*" in describe_operations(scaling)
    assert "model" not in describe_operations(scaling)
    assert draw_operations(scaling).axes[0].get_title().startswith("Counted")
    saving = cost_frame(scaling.costs).saving_no_scores["window of 16", 256]
    assert f"at 256 positions that alone takes {saving:.2f}× less" in describe_memory_table(scaling)


def test_figures_draw_what_was_measured(scaling):
    forward, backward = draw_times(with_times(scaling, **GROWTH)).axes
    dense = forward.get_lines()[0]
    assert dense.get_xdata().tolist() == [64, 128, 256]
    assert dense.get_ydata()[-1] == pytest.approx(1e-4 * 256**2, rel=0.01)
    assert forward.get_title() == "Forward: the window is faster from 100 on"
    assert backward.get_legend().get_texts()[2].get_text().startswith("window of 16: length^1.00")

    growth = draw_memory_growth(scaling).axes[0]
    stored = scaling.peak_bytes().loc["stored"].dropna()
    assert growth.get_lines()[0].get_ydata().tolist() == (stored / 2**20).tolist()

    costs = cost_frame(scaling.costs)
    [savings], [operations] = draw_memory_table(scaling).axes, draw_operations(scaling).axes
    assert savings.collections[0].get_array()[0, -1] == costs.saving_no_scores["window of 16", 256]
    drawn = operations.collections[0].get_array()
    assert drawn[0, -1] == costs.fewer_flops["window of 16", 256]
    assert drawn.mask.sum() == 2  # blocks at the longest length
    dense = costs.dense_flops["window of 16", 256] / 1e9
    assert operations.get_xticklabels()[-1].get_text() == f"256\n{dense:.4f}\nGFLOP"


def test_no_crossing_is_drawn_where_there_is_none(scaling):
    growth = {**GROWTH, "local": (1.0, 1.5)}
    forward, _ = draw_times(with_times(scaling, **growth)).axes
    assert forward.get_title() == "Forward: the window is not faster"
    assert (
        len(forward.get_lines())
        == len(draw_times(with_times(scaling, **GROWTH)).axes[0].get_lines()) - 1
    )
