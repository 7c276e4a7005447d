"""The demo from end to end, on a small scale, and its errors at the door."""

import json
import re
from dataclasses import replace

import pytest

import demo
from sparse_transformers.claims.config import (
    ClaimClassifierConfig,
    NGramMember,
    TransformerMember,
)
from sparse_transformers.experiments.evidence_recall.model import Curriculum
from sparse_transformers.experiments.tour import REPORT
from sparse_transformers.experiments.tour_report import RESULTS, render_report
from sparse_transformers.experiments.truthfulness_evaluation.records import ClaimEvaluationSettings

PROMISED = {
    "attention_patterns/attention_patterns_comparison.png",
    "attention_patterns/reach.png",
    "attention_patterns/sparsity_analysis.png",
    "dataset_analysis/common_words.png",
    "dataset_analysis/label_balance.png",
    "dataset_analysis/text_lengths_and_readability.png",
    "dataset_analysis/what_predicts_the_label.png",
    "evidence_recall/evidence_reach.png",
    "evidence_recall/evidence_recall.png",
    "efficiency_analysis/flops_reduction.png",
    "efficiency_analysis/memory_savings_heatmap.png",
    "efficiency_analysis/memory_scaling.png",
    "efficiency_analysis/scaling.png",
    "model_comparison/architecture_comparison.png",
    "truthfulness_evaluation/confusion_matrix.png",
    "truthfulness_evaluation/reliability_diagram.png",
    "truthfulness_evaluation/roc_curve.png",
    "truthfulness_evaluation/threshold_curves.png",
    "truthfulness_evaluation/truthfulness_metrics.png",
    "truthfulqa_choices/truthfulqa_choices.png",
    "expert_routing/balance_over_training.png",
    "expert_routing/drop_rate.png",
    "expert_routing/expert_ablation.png",
    "expert_claims/expert_claims.png",
    "expert_routing/expert_routing_analysis.png",
    "expert_routing/expert_specialization.png",
    "expert_routing/token_flow.png",
}
PAGE = "expert_routing/token_flow.html"
SMALLER = {
    "attention_patterns": {"measured_len": 256, "reach_len": 64, "repeats": 1},
    "efficiency_analysis": {
        "lengths": (64, 128, 256),
        "longer_lengths": (512,),
        "fit_from": 64,
        "longest_mask": 128,
        "memory_lengths": (64, 128, 256),
        "longest_stored": 128,
        "counted_lengths": (256, 512),
        "longest_counted_blocks": 256,
        "repeats": 1,
    },
    "model_comparison": {"seq_len": 64, "d_model": 32, "seconds": 0.2, "eval_every": 2},
    "evidence_recall": {
        "curriculum": Curriculum(lengths=(16,), most_steps=3),
        "lengths": (32, 64),
        "keys_per_query": 8,
        "n_documents": 3,
    },
    "dataset_analysis": {"synthetic_rows": 150, "n_shuffles": 99, "n_probe_shuffles": 2},
    "truthfulness_evaluation": {
        "invented": ClaimClassifierConfig(
            transformer=TransformerMember(d_model=8, epochs=1),
            ngrams=NGramMember(epochs=1),
            folds=2,
        ),
        "synthetic_rows": 200,
        "n_resamples": 19,
    },
    "truthfulqa_choices": {
        "seconds": 0.1,
        "seq_len": 32,
        "d_model": 16,
        "synthetic_questions": 8,
        "n_resamples": 19,
    },
    "expert_routing": {
        "n_statements": 900,
        "seq_len": 40,
        "d_model": 16,
        "n_heads": 2,
        "d_ff": 8,
        "num_experts": 4,
        "steps": 3,
        "batch_size": 4,
        "n_snapshots": 1,
        "valid_rows": 16,
        "capacity_factors": (1.0,),
        "n_shuffles": 5,
    },
    "expert_claims": {
        "claims": ClaimEvaluationSettings(
            invented=ClaimClassifierConfig(
                transformer=TransformerMember(d_model=8, epochs=1), ngrams=None
            ),
            synthetic_rows=200,
            n_resamples=19,
        ),
        "num_experts": 4,
        "n_seeds": 2,
    },
}
MEGABYTE = 1_000_000


@pytest.fixture
def small_sections(monkeypatch):
    """The demo's own sections, with the smoke preset made smaller still."""
    sections = [
        replace(section, presets={"smoke": replace(section.presets["smoke"], **changes)})
        for section, changes in zip(demo.SECTIONS, SMALLER.values(), strict=True)
    ]
    monkeypatch.setattr(demo, "SECTIONS", sections)
    return sections


@pytest.fixture
def forbid_running(monkeypatch):
    """The demo with sections that must not be reached."""

    def reached(visit):
        raise AssertionError("a section was run")

    monkeypatch.setattr(demo, "SECTIONS", [replace(each, run=reached) for each in demo.SECTIONS])


@pytest.mark.timeout(400)  # all sections in one test: over a minute on a busy machine
def test_smoke_writes_every_promised_file(tmp_path, small_sections, capsys):
    assert demo.main(["--preset", "smoke", "--output", str(tmp_path), "--seed", "3"]) == 0

    figures = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")}
    assert figures == PROMISED
    assert all((tmp_path / figure).stat().st_size < 0.3 * MEGABYTE for figure in figures)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]

    results = json.loads((tmp_path / RESULTS).read_text())
    assert results["seed"] == 3
    assert list(results["sections"]) == list(SMALLER)
    report = (tmp_path / REPORT).read_text()
    assert report == render_report(results, small_sections)
    assert set(re.findall(r"!\[.*?\]\((.*?)\)", report)) == PROMISED
    assert f"`{PAGE}`" in report
    assert (tmp_path / PAGE).read_text().startswith("<!doctype html>")
    assert "nan" not in report.lower().replace("finance", "")

    printed = capsys.readouterr()
    assert printed.err == ""
    assert re.search(r"^\[ +\d+ s\] model_comparison: training local, seed 3", printed.out, re.M)
    assert printed.out.endswith(f"The report is {tmp_path / REPORT}\n")


def test_chosen_sections_alone_are_run_and_the_rest_is_named(tmp_path, small_sections):
    chosen = ["--sections", "attention_patterns"]
    assert demo.main(["--preset", "smoke", "--output", str(tmp_path), *chosen]) == 0
    assert {path.parent.name for path in tmp_path.rglob("*.png")} == {"attention_patterns"}
    results = json.loads((tmp_path / RESULTS).read_text())
    assert list(results["sections"]) == ["attention_patterns"]
    report = (tmp_path / REPORT).read_text()
    assert "Not measured in this run: Efficiency, Dense and sparse models, " in report


def test_text_file_is_read_instead_of_the_default(tmp_path, small_sections):
    (tmp_path / "story.txt").write_text("once upon a time " * 300)
    arguments = ["--text", str(tmp_path / "story.txt"), "--sections", "model_comparison"]
    assert demo.main([*arguments, "--preset", "smoke", "--output", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / RESULTS).read_text())
    assert results["text"]["name"] == "story.txt"  # without its folder, which is nobody's business
    assert results["text"]["bytes"] == 17 * 300
    assert "the next byte of story.txt" in (tmp_path / "out" / REPORT).read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "missing.txt"], "No such file or directory: 'missing.txt'"),
        (["--text", "empty.txt"], "empty.txt must hold at least one byte"),
        (["--text", "short.txt"], "short.txt is too short for seq_len=1024"),
        (["--output", "empty.txt"], "the output folder empty.txt must be writable"),
        (["--seed", "-1"], "seed must be in"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_any_work(
    tmp_path, monkeypatch, capsys, forbid_running, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").touch()
    (tmp_path / "short.txt").write_text("too short")
    assert demo.main(["--preset", "smoke", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("arguments", [["--preset", "huge"], ["--sections", "nothing"]])
def test_unknown_names_are_refused_with_those_there_are(capsys, forbid_running, arguments):
    with pytest.raises(SystemExit):
        demo.main(arguments)
    assert "choose from" in capsys.readouterr().err


def test_every_section_has_every_preset_and_a_folder_of_its_own():
    for section in demo.SECTIONS:
        assert tuple(section.presets) == demo.PRESETS
    assert len({section.name for section in demo.SECTIONS}) == len(demo.SECTIONS)
