"""A survey repeats what the patterns say, and its words follow its numbers."""

import json
from dataclasses import replace

import pytest

from sparse_transformers.experiments.attention_patterns.figures import (
    draw_costs,
    draw_pictures,
    draw_reach,
    plot_layers_needed,
)
from sparse_transformers.experiments.attention_patterns.measure import (
    PatternSurvey,
    PatternSurveySettings,
    example_patterns,
    survey_patterns,
)
from sparse_transformers.experiments.attention_patterns.report import (
    describe_costs,
    describe_pictures,
    describe_reach,
)
from sparse_transformers.models.attention_patterns import Causal
from sparse_transformers.utils.plots.style import style_of
from sparse_transformers.utils.records import from_json, to_json

SETTINGS = PatternSurveySettings(
    picture_len=16, reach_len=32, max_layers=3, measured_len=128, n_heads=2, head_dim=8, repeats=1
)


@pytest.fixture(scope="module")
def survey():
    return survey_patterns(SETTINGS, seed=1)


def with_speeds(survey: PatternSurvey, **speedups: float | None) -> PatternSurvey:
    """The survey with dense SDPA at 10 ms, and the named patterns so many times as fast."""

    def retimed(each):
        if each.name not in speedups:
            return each
        speedup = speedups[each.name]
        ms = None if speedup is None else 10 / speedup
        return replace(
            each,
            timing=replace(
                each.timing,
                speedup=speedup,
                median_ms=ms,
                lower_quartile_ms=ms and 0.9 * ms,
                upper_quartile_ms=ms and 1.1 * ms,
            ),
        )

    dense = replace(survey.dense, median_ms=10.0, lower_quartile_ms=9.0, upper_quartile_ms=11.0)
    return replace(survey, dense=dense, patterns=tuple(map(retimed, survey.patterns)))


def every_speed(survey: PatternSurvey, speedup: float | None) -> dict[str, float | None]:
    return {each.name: speedup for each in survey.patterns}


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
    for each in survey.patterns:
        pattern = example_patterns(128, seed=1)[each.name]
        assert each.measured_pattern == repr(pattern)
        assert each.allowed_pairs == 2 * (pattern & Causal()).mask(128).sum()
        assert each.dense_pairs == 2 * (128 * 129 / 2)
        assert each.sparsity == 1 - each.allowed_pairs / each.dense_pairs
        assert each.fill == each.allowed_pairs / each.computed_pairs
        assert each.tile_speedup <= each.theoretical_speedup


def test_layers_needed_agree_with_reach(survey):
    for each in survey.patterns:
        pattern = example_patterns(32, seed=1)[each.name] & Causal()
        for n in range(SETTINGS.max_layers + 1):
            reached = pattern.reach(32, n)[-1]
            found = [needed is not None and needed <= n for needed in each.layers_needed]
            assert found == reached.tolist()
            assert each.share_reached(n) == reached.float().mean()
            assert each.tokens_back(n) == 31 - reached.nonzero()[0].item()


def test_every_pattern_is_timed_beside_dense(survey):
    assert survey.dense.median_ms > 0
    for each in survey.patterns:
        assert each.timing.not_measured is None
        assert each.timing.speedup == survey.dense.median_ms / each.timing.median_ms
        assert style_of(each.name)


def test_interval_pairs_fast_dense_with_slow_sparse_timings(survey):
    retimed = with_speeds(survey, local=2.0, random=None)
    local, random = (
        next(each for each in retimed.patterns if each.name == name) for name in ("local", "random")
    )
    assert retimed.speedup_interval(local) == pytest.approx((9 / 5.5, 11 / 4.5))
    assert retimed.speedup_interval(random) is None


def test_seed_decides_all_but_the_times(survey):
    def untimed(each: PatternSurvey):
        return [replace(pattern, timing=survey.dense) for pattern in each.patterns]

    again = survey_patterns(replace(SETTINGS), seed=1)
    other = survey_patterns(replace(SETTINGS), seed=2)
    assert untimed(again) == untimed(survey)
    assert untimed(other) != untimed(survey)


def test_survey_survives_json(survey):
    assert from_json(PatternSurvey, json.loads(json.dumps(to_json(survey)))) == survey


def test_words_say_which_patterns_are_faster_and_slower(survey):
    text = describe_costs(
        with_speeds(survey, **{**every_speed(survey, 0.5), "local": 4.0, "fixed": 1.0})
    )
    assert "Faster than dense SDPA beyond the spread of the timings: local window. " in text
    assert "Neither: fixed." in text
    assert "The fastest: *local window* runs 4.0 times as fast as dense SDPA" in text
    assert "takes 2.0 times as long as dense SDPA" in text


def test_words_do_not_call_a_slow_kernel_fast(survey):
    text = describe_costs(with_speeds(survey, **every_speed(survey, 0.25)))
    assert "beyond the spread of the timings: none." in text
    assert "times as fast as" not in text
    assert "what the tiles themselves cost: it takes 4.0 times as long as dense SDPA." in text


def test_words_say_what_was_not_measured(survey):
    text = describe_costs(with_speeds(survey, **every_speed(survey, None)))
    assert "No sparse pattern was timed." in text
    assert "| local window | 88% | 8.3× | " in text
    assert "| not measured | not measured |" in text


def test_scattered_pairs_are_pointed_out(survey):
    def with_fill(computed_per_allowed):
        return replace(
            survey,
            patterns=tuple(
                replace(each, computed_pairs=computed_per_allowed * each.allowed_pairs)
                for each in survey.patterns
            ),
        )

    assert "most of what is computed is thrown away" in describe_costs(with_fill(10))
    assert "most of what is computed is thrown away" not in describe_costs(with_fill(1))


def test_words_about_reach_follow_the_layers(survey):
    text = describe_reach(survey)
    local = next(each for each in survey.patterns if each.name == "local")
    assert local.tokens_back(3) == 3  # a window of 2 goes one token back with each layer
    assert "gets 1 tokens back in one layer and 3 in 3" in text
    assert "stay out of reach with: local window" in text
    dense_only = replace(
        survey, patterns=(survey.patterns[0], replace(survey.patterns[0], name="local"))
    )
    assert "stay out of reach with: none" in describe_reach(dense_only)


def test_words_about_pictures_name_every_pattern(survey):
    text = describe_pictures(survey)
    for each in survey.patterns:
        assert each.measured_pattern.replace("|", r"\|") in text


def test_figures_draw_every_pattern(survey):
    pictures = draw_pictures(survey)
    assert [ax.get_title().splitlines()[0] for ax in pictures.axes] == [
        style_of(each.name).label for each in survey.patterns
    ]
    left, middle, right = draw_costs(survey).axes
    n = len(survey.patterns)
    assert [bar.get_width() for bar in left.patches] == [
        100 * each.sparsity for each in survey.patterns
    ]
    assert [bar.get_width() for bar in middle.patches[-n:]] == [
        each.timing.speedup for each in survey.patterns
    ]
    assert [bar.get_width() for bar in right.patches] == [
        100 * each.fill for each in survey.patterns
    ]
    curves = draw_reach(survey).axes[1]
    assert curves.get_lines()[0].get_ydata()[-1] == 100


def test_strips_show_the_layers_and_what_is_never_heard(survey):
    strips = plot_layers_needed(survey).get_images()[0].get_array()
    local = [each.name for each in survey.patterns].index("local")
    assert strips[local].tolist() == [4] * 28 + [3, 2, 1, 1]


def test_figures_stand_a_pattern_that_was_not_measured(survey):
    texts = [text.get_text() for text in draw_costs(with_speeds(survey, local=None)).axes[1].texts]
    assert texts.count("not measured") == 1
