"""A survey repeats what the patterns say, and its words follow its numbers."""

import json
import re
from dataclasses import replace

import pytest
from visits import visit

from sparse_transformers.experiments.attention_patterns.figures import (
    draw_costs,
    draw_pictures,
    draw_reach,
)
from sparse_transformers.experiments.attention_patterns.measure import (
    MedianTime,
    PatternSurvey,
    PatternSurveySettings,
    example_patterns,
    survey_patterns,
)
from sparse_transformers.experiments.attention_patterns.report import (
    describe_costs,
    describe_pictures,
    describe_reach,
    findings,
    summarise,
)
from sparse_transformers.models.attention_patterns import Causal
from sparse_transformers.utils.plots.style import style_of
from sparse_transformers.utils.records import from_json, to_json

SETTINGS = PatternSurveySettings(
    picture_len=16, reach_len=32, max_layers=3, measured_len=128, n_heads=2, head_dim=8, repeats=1
)


@pytest.fixture(scope="module")
def survey():
    return survey_patterns(visit(SETTINGS, seed=1))


def with_speeds(survey: PatternSurvey, speedup=None, **speedups: float | None) -> PatternSurvey:
    """The survey with dense SDPA at 10 ms, and the patterns so many times as fast.

    Quartiles lie a tenth to either side. Patterns that are not named have the first speed-up.
    """

    def timed(ms: float | None) -> MedianTime:
        return MedianTime(ms and 0.9 * ms, ms, ms and 1.1 * ms)

    def retimed(each):
        chosen = speedups.get(each.name, speedup)
        return replace(each, timing=timed(chosen and 10 / chosen))

    patterns = tuple(retimed(each) for each in survey.patterns)
    return replace(survey, dense=timed(10.0), patterns=patterns)


def test_pictures_are_the_masks(survey):
    for each in survey.patterns:
        pattern = example_patterns(16, seed=1)[each.name] & Causal()
        rows = [[character == "#" for character in row] for row in each.picture]
        assert rows == pattern.mask(16).tolist()
        assert each.picture_density == pattern.allowed_pairs(16) / (16 * 17 / 2)
        for query, row in enumerate(each.picture):
            assert set(row[query + 1 :]) <= {" "}
            assert " " not in row[: query + 1]


def test_counts_are_those_of_the_rules_over_all_heads(survey):
    frame = survey.frame()
    for each in survey.patterns:
        pattern = example_patterns(128, seed=1)[each.name]
        assert each.measured_pattern == repr(pattern)
        assert each.allowed_pairs == 2 * (pattern & Causal()).mask(128).sum()
        assert each.dense_pairs == 2 * (128 * 129 / 2)
        row = frame.loc[each.name]
        assert row.skipped == 1 - each.allowed_pairs / each.dense_pairs
        assert row.fill == each.allowed_pairs / each.computed_pairs
        assert row.pair_limit == each.dense_pairs / each.allowed_pairs
        assert row.tile_limit == each.dense_pairs / each.computed_pairs <= row.pair_limit


def test_layers_needed_agree_with_reach(survey):
    needed = survey.layers_needed()
    for each in survey.patterns:
        pattern = example_patterns(32, seed=1)[each.name] & Causal()
        for n in range(SETTINGS.max_layers + 1):
            reached = pattern.reach(32, n)[-1]
            found = needed[each.name] <= n
            assert found.tolist() == reached.tolist()
            assert found.idxmax() == 31 - reached.nonzero()[0].item()


def test_every_pattern_is_timed_beside_dense(survey):
    assert survey.dense.median_ms > 0
    assert survey.speedups().keys() == {each.name for each in survey.patterns}
    for each in survey.patterns:
        speedup = survey.speedups()[each.name]
        assert speedup.estimate == survey.dense.median_ms / each.timing.median_ms
        assert speedup.low <= speedup.estimate <= speedup.high
        assert style_of(each.name)


def test_interval_pairs_fast_dense_with_slow_sparse_timings(survey):
    speedups = with_speeds(survey, local=2.0).speedups()
    assert speedups.keys() == {"local"}
    local = speedups["local"]
    assert (local.estimate, local.low, local.high) == pytest.approx((2, 9 / 5.5, 11 / 4.5))


def test_seed_decides_all_but_the_times(survey):
    def untimed(each: PatternSurvey):
        return [replace(pattern, timing=survey.dense) for pattern in each.patterns]

    again = survey_patterns(visit(replace(SETTINGS), seed=1))
    other = survey_patterns(visit(replace(SETTINGS), seed=2))
    assert untimed(again) == untimed(survey)
    assert untimed(other) != untimed(survey)


def test_survey_survives_json(survey):
    assert from_json(PatternSurvey, json.loads(json.dumps(to_json(survey)))) == survey


def test_words_say_which_patterns_are_faster_and_slower(survey):
    text, _ = findings(with_speeds(survey, 0.5, local=4.0, strided=2.0, fixed=1.0))
    assert "Above the speed of dense SDPA at 128 positions: 2 of 9 sparse patterns; below:" in text
    assert "below: dilated window, Longformer, BigBird, sinks + window, block sparse and" in text
    assert "; not shown: fixed. " in text
    assert "The fastest is local window, 4.00× [3.27×, 4.89×];" in text


def test_words_do_not_call_a_slow_kernel_fast(survey):
    text, _ = findings(with_speeds(survey, 0.25))
    assert "128 positions: 0 of 9 sparse patterns; below: local window, dilated window," in text
    assert "not shown" not in text
    assert "this kernel on all pairs, 0.25× [0.20×, 0.31×]." in text


def test_words_say_what_was_not_measured(survey):
    assert findings(with_speeds(survey))[0] == "No sparse pattern was timed."
    assert "on all pairs, not measured." in findings(with_speeds(survey, 2.0, dense=None))[0]
    assert re.search(
        r"\| local window \| .* \| 8\.3× \| .*× \| not measured \|",
        summarise(with_speeds(survey)),
    )


def test_table_shows_theory_beside_measurement(survey):
    retimed = with_speeds(survey, 2.0)
    local = retimed.frame().loc["local"]
    row = f"{local.pair_limit:.1f}× | {local.tile_limit:.1f}× | 2.00× [1.64×, 2.44×] |"
    assert f"| local window | `LocalWindow(window_size=8)` | {row}" in summarise(retimed)
    assert "dense causal SDPA (10.0 ms) at 128 positions" in summarise(retimed)
    assert summarise(retimed) in describe_costs(retimed)


def test_scattered_pairs_are_pointed_out(survey):
    def title_with_fill(computed_per_allowed):
        patterns = [
            replace(each, computed_pairs=computed_per_allowed * each.allowed_pairs)
            for each in survey.patterns
        ]
        return draw_costs(replace(survey, patterns=tuple(patterns))).axes[2].get_title()

    assert title_with_fill(10) == "Tiles mostly empty: 10 of 10"
    assert title_with_fill(1) == "Tiles mostly empty: 0 of 10"


def test_words_about_reach_follow_the_layers(survey):
    text = findings(survey)[1]
    # A window of 2 goes one token back with each layer.
    assert "the local window reaches 3 tokens back" in text
    n_complete = survey.layers_needed().notna().all().sum()
    assert f"After 3 layers {n_complete} of 10 patterns let the last of 32 tokens depend" in text
    dense_only = replace(
        survey, patterns=(survey.patterns[0], replace(survey.patterns[0], name="local"))
    )
    assert "After 3 layers 2 of 2 patterns let" in findings(dense_only)[1]


def test_table_names_every_pattern_as_python(survey):
    assert "The pictures show 16 tokens" in describe_pictures(survey)
    text = summarise(survey)
    for each in survey.patterns:
        assert each.measured_pattern.replace("|", r"\|") in text


def test_figures_draw_every_pattern(survey):
    pictures = draw_pictures(survey)
    assert [ax.get_title().splitlines()[0] for ax in pictures.axes] == [
        style_of(each.name).label for each in survey.patterns
    ]
    left, middle, right = draw_costs(survey).axes
    frame = survey.frame()
    assert [bar.get_width() for bar in left.patches] == (100 * frame.skipped).tolist()
    measured = next(line for line in middle.get_lines() if line.get_label() == "measured")
    assert measured.get_xdata().tolist() == frame.estimate.tolist()
    assert [bar.get_width() for bar in right.patches] == (100 * frame.fill).tolist()
    labels = [text.get_text() for text in draw_reach(survey).axes[0].get_yticklabels()]
    assert labels[:2] == ["dense: 100%", "local window: 12%"]  # 4 of 32 tokens


def test_titles_count_what_was_found(survey):
    title = draw_costs(with_speeds(survey, 0.5, local=4.0, fixed=1.0)).axes[1].get_title()
    assert title == "At 128 positions 1 of 9 beat dense SDPA"
    complete = survey.layers_needed().notna().all().sum()
    assert draw_reach(survey).axes[0].get_title().startswith(f"{complete} of 10 patterns")
    skipped = (survey.frame().skipped > 0.75).sum()
    assert draw_costs(survey).axes[0].get_title() == f"{skipped} of 10 skip over 75%"


def test_bands_show_the_layers_and_what_is_never_reached(survey):
    bands = draw_reach(survey).axes[0].collections[0].get_array()
    local = [each.name for each in survey.patterns].index("local")
    assert bands[local].tolist() == [None] * 28 + [3, 2, 1, 1]


def test_figures_stand_a_pattern_that_was_not_measured(survey):
    drawn = draw_costs(with_speeds(survey, 2.0, local=None)).axes[1]
    measured = next(line for line in drawn.get_lines() if line.get_label() == "measured")
    assert len(measured.get_xdata()) == len(survey.patterns) - 1


def test_words_say_how_the_share_of_the_pairs_depends_on_the_length(survey):
    # Four sinks are a quarter of 16 tokens, and a thirtieth of 128.
    sinks = next(each for each in survey.patterns if each.name == "sinks")
    small, large = sinks.picture_density, sinks.allowed_pairs / sinks.dense_pairs
    assert small > 2.5 * large
    assert (
        f"sinks + window allows {small:.0%} of the pairs here, and {large:.0%} at 128 tokens"
        in (describe_pictures(survey))
    )


def test_words_about_reach_speak_of_every_pattern(survey):
    text = describe_reach(survey)
    assert all(style_of(each.name).label in text for each in survey.patterns)
    assert "All 32 tokens can influence the last after 1 layer: dense;" in text
    # A window of 2 reaches its own token and one more with each of 3 layers.
    assert re.search(r"After 3 layers still not all of them: local window 12%,", text)
