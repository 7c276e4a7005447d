"""The judgement follows the numbers: change a number, and the sentence changes."""

from dataclasses import replace

import pytest

from sparse_transformers.utils.analysis.bias_findings import judge_bias
from sparse_transformers.utils.analysis.dataset_findings import judge_dataset, judge_table
from sparse_transformers.utils.analysis.dataset_records import (
    CLEAR,
    MINOR,
    MODERATE,
    SERIOUS,
    SEVERITIES,
)
from sparse_transformers.utils.dataset_analysis import DatasetAnalyzer
from sparse_transformers.utils.dataset_synthesis import generate_liar_sample
from sparse_transformers.utils.metrics.significance import Interval


@pytest.fixture(scope="module")
def leaky():
    table = generate_liar_sample(500, seed=1, leaky_history=True)
    return DatasetAnalyzer(table, n_probe_shuffles=2).analyze()


def with_pair(analysis, **changes):
    [pair] = analysis.split_overlap
    return replace(analysis, split_overlap=(replace(pair, **changes),))


def with_probes(analysis, **changes):
    bias = replace(analysis.bias, probes=replace(analysis.bias.probes, **changes))
    return replace(analysis, bias=bias)


def with_probe(analysis, name, **changes):
    probes = [
        replace(probe, **changes) if probe.name == name else probe
        for probe in analysis.bias.probes.probes
    ]
    return with_probes(analysis, probes=tuple(probes))


def finding(analysis, start):
    [found] = [each for each in judge_dataset(analysis) if each.title.startswith(start)]
    return found


def test_gravest_findings_come_first(leaky):
    findings = judge_dataset(leaky)
    ranks = [SEVERITIES.index(each.severity) for each in findings]
    assert ranks == sorted(ranks)
    assert findings[0].title == "Label leak through numbers"
    assert len(findings) == len(judge_bias(leaky.bias)) + len(judge_table(leaky))


def test_leak_is_told_with_its_numbers(leaky):
    text = finding(leaky, "Label leak through numbers").text
    probes, counts = leaky.bias.probes, leaky.bias.leak.named_counts
    assert f"{100 * probes.find('numbers').accuracy.estimate:.1f}% of the rows" in text
    assert f"against {100 * probes.find('text').accuracy.estimate:.1f}% with the text" in text
    assert f"{100 * probes.advantage.low:+.1f} to {100 * probes.advantage.high:+.1f}" in text
    assert f"{100 * counts.hit_share:.1f}% (by chance: {100 * counts.chance_share:.1f}%)" in text
    assert f"in {counts.single_rows:,} rows" in text
    assert "the counts include the very row that they stand in" in text


def test_numbers_without_advantage_are_cleared(leaky):
    leak = replace(leaky.bias.leak, numbers_win=False, named_counts=None)
    cleared = replace(leaky, bias=replace(leaky.bias, leak=leak))
    found = finding(cleared, "No leak through numbers")
    assert found.severity == CLEAR
    assert "certainly above 5 points" in found.text
    own_row = replace(leaky.bias.leak, numbers_win=False)
    by_counts = replace(leaky, bias=replace(leaky.bias, leak=own_row))
    assert finding(by_counts, "Label leak through numbers").severity == SERIOUS


def test_shortcut_is_one_only_beyond_chance_and_grave_only_if_strong(leaky):
    def severity(low, p_value):
        lift = Interval(low + 0.05, low, low + 0.1)
        changed = with_probe(leaky, "metadata", lift=lift, p_value=p_value)
        [found] = [each for each in judge_dataset(changed) if "through the metadata" in each.title]
        return found.severity

    assert severity(-0.01, 0.01) == CLEAR
    assert severity(0.01, 0.05) == CLEAR
    assert severity(0.01, 0.04) == MODERATE
    assert severity(0.25, 0.04) == SERIOUS


def test_telling_column_is_named(leaky):
    name = leaky.bias.associations[0].column
    leak = replace(leaky.bias.leak, telling_columns=(name,))
    found = finding(replace(leaky, bias=replace(leaky.bias, leak=leak)), "A single column")
    assert found.severity == SERIOUS
    assert f"`{name}`" in found.text


def test_associations_are_counted(leaky):
    significant = [each for each in leaky.bias.associations if each.is_significant]
    found = finding(leaky, "Columns that go with the label")
    assert found.text.startswith(f"{len(significant)} of them")
    assert f"`{significant[0].column}`" in found.text
    none = tuple(replace(each, adjusted_p_value=1.0) for each in leaky.bias.associations)
    quiet = replace(leaky, bias=replace(leaky.bias, associations=none))
    assert finding(quiet, "No column goes with").severity == CLEAR


@pytest.mark.parametrize(
    ("rows", "severity"), [(0, CLEAR), (1, MODERATE), (4, MODERATE), (5, SERIOUS)]
)
def test_shared_texts_weigh_by_their_share(leaky, rows, severity):
    changed = with_pair(leaky, held_out_rows=100, rows_with_shared_text=rows)
    [found] = [
        each for each in judge_dataset(changed) if "ext" in each.title and "in both" in each.title
    ]
    assert found.severity == severity


def test_shared_speakers_are_counted(leaky):
    changed = with_pair(leaky, held_out_rows=100, shared_groups=7, rows_with_shared_group=30)
    found = finding(changed, "The same `speaker` in both train and valid")
    assert found.severity == MODERATE
    assert "7 stand in both; 30 of the 100 rows of valid (30%)" in found.text
    assert finding(leaky, "No `speaker` in both").severity == CLEAR


@pytest.mark.parametrize(
    ("ratio", "severity"), [(0.9, CLEAR), (0.8, MINOR), (0.51, MINOR), (0.5, MODERATE)]
)
def test_imbalance_weighs_by_its_ratio(leaky, ratio, severity):
    changed = replace(leaky, label_analysis=replace(leaky.label_analysis, balance_ratio=ratio))
    assert finding(changed, "Labels are").severity == severity


def test_rarest_label_is_named(leaky):
    found = finding(leaky, "Labels are not balanced")
    assert found.title.endswith("pants-fire is rare")


@pytest.mark.parametrize(("rows", "severity"), [(0, CLEAR), (24, MINOR), (25, MODERATE)])
def test_repeats_and_contradictions_weigh_by_their_share(leaky, rows, severity):
    quality = leaky.data_quality
    changed = replace(
        leaky,
        data_quality=replace(
            quality,
            duplicates=replace(quality.duplicates, repeated_normalized_texts=rows),
            inconsistencies=replace(
                quality.inconsistencies, label_inconsistencies=rows, contradictory_rows=rows
            ),
        ),
    )
    by_title = {each.title: each.severity for each in judge_table(changed)}
    assert by_title["Repeated texts" if rows else "No repeated texts"] == severity
    assert by_title["One text, several labels" if rows else "No contradictory labels"] == severity


def test_few_rows_are_not_called_none(leaky):
    quality = leaky.data_quality
    repeats = replace(quality.duplicates, repeated_normalized_texts=3)
    stats = replace(leaky.basic_stats, total_samples=10_000)
    changed = replace(leaky, basic_stats=stats, data_quality=replace(quality, duplicates=repeats))
    assert "3 rows (0.030%)" in finding(changed, "Repeated texts").text


def test_too_few_rows_are_said_to_be(leaky):
    few = replace(leaky, bias=replace(leaky.bias, probes=None))
    assert finding(few, "Too few rows for shortcuts").severity == MINOR


def test_missing_and_odd_are_named(leaky):
    assert "`speaker_job`" in finding(leaky, "Missing cells").text
    quality = leaky.data_quality
    odd = {"statement": replace(quality.text_quality["statement"], extremely_long=2)}
    changed = replace(leaky, data_quality=replace(quality, text_quality=odd))
    assert finding(changed, "Odd texts").text == "Of the texts in `statement`: 2 extremely long."
