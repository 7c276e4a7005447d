"""The analyzer finds by itself what was planted, and reports nothing where nothing was."""

import json

import numpy as np
import pandas as pd
import pytest

from sparse_transformers.utils.analysis.dataset_findings import judge_dataset
from sparse_transformers.utils.analysis.dataset_records import (
    CLEAR,
    MODERATE,
    SERIOUS,
    DatasetAnalysis,
)
from sparse_transformers.utils.dataset_analysis import DatasetAnalyzer
from sparse_transformers.utils.dataset_synthesis import (
    generate_liar_sample,
    generate_multifc_sample,
)
from sparse_transformers.utils.records import from_json, to_json


@pytest.fixture(scope="module")
def flawed() -> pd.DataFrame:
    """Synthetic claims with the flaws of real ones: leak, shared speakers and statements."""
    table = generate_liar_sample(500, seed=3, leaky_history=True)
    train, valid = (table.index[table["split"] == name] for name in ("train", "valid"))
    table.loc[valid[:40], "speaker"] = table.loc[train[:40], "speaker"].to_numpy()
    table.loc[valid[40:43], "statement"] = table.loc[train[:3], "statement"].str.upper().to_numpy()
    return table


@pytest.fixture(scope="module")
def analyzer(flawed) -> DatasetAnalyzer:
    return DatasetAnalyzer(flawed)


def test_planted_flaws_are_found_and_told_in_order(analyzer):
    found = {each.title: each for each in judge_dataset(analyzer.analyze())}
    assert found["Label leak through numbers"].severity == SERIOUS
    assert found["The same `speaker` in both train and valid"].severity == MODERATE
    assert "3 texts stand in both, 0 of them" in found["Texts in both train and valid"].text
    assert found["Labels are not balanced: pants-fire is rare"].severity == MODERATE

    report = analyzer.generate_report("text")
    places = [report.index(each.title) for each in found.values()]
    assert places == sorted(places)
    assert report.index("## Findings") < places[0] < report.index("## Looked for and not found")


def test_clean_claims_are_reported_without_a_leak():
    analyzer = DatasetAnalyzer(generate_liar_sample(500, seed=3))
    assert not analyzer.analyze().bias.leak.found
    serious = [each.title for each in judge_dataset(analyzer.analyze()) if each.severity == SERIOUS]
    assert serious == []
    report = analyzer.generate_report("text")
    assert "(serious)" not in report
    for title in ("No leak through numbers", "No text in both", "No `speaker` in both"):
        assert title in report.partition("## Looked for and not found")[2]


def test_report_has_the_seeds_keys_as_plain_values(analyzer):
    report = analyzer.generate_report("dict")
    assert set(report) >= {
        *("basic_stats", "text_analysis", "label_analysis", "data_quality", "advanced")
    }
    assert set(report["advanced"]) >= {"text_length_by_label", "numeric_correlations"}
    assert "total_samples" in report["basic_stats"]
    assert "overall_quality_score" in report["data_quality"]
    assert set(report["text_analysis"]["statement"]) >= {
        *("total_texts", "non_empty_texts", "char_length_stats", "word_length_stats"),
        *("linguistic_patterns", "readability", "common_patterns"),
    }
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert analyzer.generate_report() == report


def test_analysis_survives_json(analyzer):
    analysis = analyzer.analyze(include_advanced=True)
    text = json.dumps(to_json(analysis), allow_nan=False)
    assert from_json(DatasetAnalysis, json.loads(text)) == analysis


def test_advanced_part_comes_only_when_asked_for(analyzer):
    assert analyzer.analyze().advanced is None
    assert analyzer.analyze(include_advanced=True).advanced is not None


def test_numbers_by_label_are_those_of_the_rows(analyzer, flawed):
    advanced = analyzer.analyze(include_advanced=True).advanced
    lengths = advanced.text_length_by_label["statement"]
    # From pants-fire to true: the order of `truth_level`, not of the alphabet.
    assert list(lengths) == list(flawed.sort_values("truth_level")["label"].unique())
    words = flawed["statement"].str.split().str.len()
    for label, found in lengths.items():
        assert found.mean == pytest.approx(words[flawed["label"] == label].mean())
    correlations = advanced.numeric_correlations
    expected = flawed[["false_count", "half_true_count"]].corr("spearman").iloc[0, 1]
    assert correlations["false_count"]["half_true_count"] == pytest.approx(expected)


def test_basic_stats_count_rows_splits_and_speakers(analyzer, flawed):
    stats = analyzer.analyze().basic_stats
    assert stats.total_samples == 500
    assert stats.rows_per_split == {"train": 400, "valid": 100}
    assert stats.groups == flawed["speaker"].nunique()
    assert stats.rows_per_group.max == flawed["speaker"].value_counts().max()


def test_table_is_left_as_it_is_and_seed_decides_everything():
    table = generate_multifc_sample(80, seed=1)
    table.index = [0] * len(table)
    before = table.copy()
    quick = {"n_shuffles": 49, "n_probe_shuffles": 1}
    first = DatasetAnalyzer(table, **quick).analyze(True)
    pd.testing.assert_frame_equal(table, before)
    assert first == DatasetAnalyzer(table, **quick).analyze(True)
    assert first != DatasetAnalyzer(table, **quick, seed=1).analyze(True)


def test_questions_without_label_are_analyzed_without_bias():
    table = pd.DataFrame(
        {
            "question": ["Do cats bark?", "Do dogs meow?"],
            "best_answer": ["No, cats meow.", "No, dogs bark."],
            "correct_answers": [["No."], ["No.", "Never."]],
        }
    )
    analyzer = DatasetAnalyzer(table)
    analysis = analyzer.analyze(include_advanced=True)
    assert (analysis.label_analysis, analysis.bias) == (None, None)
    assert analysis.advanced.text_length_by_label == {"question": {}, "best_answer": {}}
    assert "Label: none" in analyzer.generate_report("text")


def test_one_label_or_a_handful_of_rows_is_no_reason_to_fail():
    table = pd.DataFrame({"claim": ["It rains.", "It snows."], "label": ["true", "true"]})
    assert DatasetAnalyzer(table).analyze().bias is None
    table = pd.DataFrame({"claim": ["It rains.", None], "label": [True, False], "n": [1, np.nan]})
    analyzer = DatasetAnalyzer(table)
    assert analyzer.analyze(True).bias.probes is None
    assert "Too few rows" in analyzer.generate_report("text")


def test_only_missing_labels_are_no_labels():
    table = pd.DataFrame({"claim": ["It rains.", "It snows."], "label": [None, None]})
    assert DatasetAnalyzer(table).analyze().label_analysis is None


def test_columns_can_be_named():
    table = pd.DataFrame({"verdict": ["a", "b"] * 5, "said": [f"word {n}" for n in range(10)]})
    analysis = DatasetAnalyzer(table, text_columns="said", label_column="verdict").analyze()
    assert list(analysis.text_analysis) == ["said"]
    assert analysis.label_analysis.balance_class == "Well-balanced"


def test_unknown_format_and_column_are_refused(analyzer):
    with pytest.raises(ValueError, match='format must be "dict" or "text", got \'html\''):
        analyzer.generate_report("html")
    with pytest.raises(ValueError, match="label_column must be one of claim, got 'x'"):
        DatasetAnalyzer(pd.DataFrame({"claim": ["a"]}), label_column="x")
    with pytest.raises(ValueError, match="texts must be strings or missing, got 5"):
        DatasetAnalyzer(pd.DataFrame({"claim": ["a", 5]})).analyze()


def test_nothing_that_is_clear_is_called_a_finding(analyzer):
    report = analyzer.generate_report("text")
    findings, _, cleared = report.partition("## Looked for and not found")
    for each in judge_dataset(analyzer.analyze()):
        is_clear = each.severity == CLEAR
        assert (f"**{each.title}** ({each.severity})" in findings) == (not is_clear)
        assert (f"**{each.title}**. " in cleared) == is_clear
        assert f"**{each.title}**. " not in findings
