"""`train-claims` and `predict`, on synthetic claims."""

import io
import json
import sys

import pytest

from sparse_transformers.claims.classifier import ClaimClassifier
from sparse_transformers.claims.config import (
    ClaimClassifierConfig,
    NGramMember,
    TransformerMember,
)
from sparse_transformers.claims.presets import ClaimPresets
from sparse_transformers.cli import main
from sparse_transformers.commands import train_claims


@pytest.fixture(autouse=True)
def small_members(monkeypatch):
    quick = ClaimClassifierConfig(
        transformer=TransformerMember(d_model=8, epochs=1), ngrams=NGramMember(epochs=2), folds=2
    )
    presets = ClaimPresets(claims=quick, answers=quick, invented=quick)
    monkeypatch.setattr(train_claims, "ClaimPresets", lambda: presets)


@pytest.fixture
def classifier(tmp_path):
    """A folder with a classifier of one field."""
    folder = tmp_path / "claims"
    assert train("--binary", "--output", str(folder)) == 0
    return folder


def train(*options, rows="150"):
    return main(["train-claims", "--synthetic", rows, "--quiet", *options])


def ask(monkeypatch, classifier, text):
    content = text if isinstance(text, bytes) else text.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    return main(["predict", str(classifier)])


def test_training_says_how_good_it_is_beside_the_majority(tmp_path, capsys):
    assert train("--output", str(tmp_path / "claims")) == 0
    printed = capsys.readouterr().out
    assert "30 held-out rows, grouped by speaker: accuracy 0." in printed
    assert "always '" in printed
    assert "LEAKS" not in printed
    made = ClaimClassifier.load(tmp_path / "claims")
    assert made.classes == (
        "pants-fire",
        "false",
        "barely-true",
        "half-true",
        "mostly-true",
        "true",
    )
    assert made.config.fields == ("statement",)


def test_experts_take_the_place_of_the_feed_forward_part(tmp_path, capsys):
    assert train("--experts", "4", "--output", str(tmp_path / "claims")) == 0
    made = ClaimClassifier.load(tmp_path / "claims")
    assert made.config.transformer.experts == {
        "num_experts": 4,
        "router": {"name": "top_k", "top_k": 2},
        "d_ff": 16,
    }
    assert train("--experts", "1", "--output", str(tmp_path / "one")) == 2
    assert "top_k must be at most num_experts (1), got 2" in capsys.readouterr().err


def test_history_is_read_only_when_asked_for_and_then_labelled(tmp_path, capsys):
    options = ("--metadata", "--history", "--output", str(tmp_path / "claims"))
    assert train(*options) == 0
    assert (
        "(LEAKS: the credit history counts the verdicts to be predicted)" in capsys.readouterr().out
    )
    assert "history" in ClaimClassifier.load(tmp_path / "claims").config.fields


def test_judged_answers_are_learned_from_questions_and_answers(tmp_path, capsys):
    lines = [
        {
            "prompt": f"Q: Is place {row // 2} real?\nA: {'Yes' if row % 2 else 'No'}.\nTrue:",
            "completion": " yes" if row % 2 else " no",
        }
        for row in range(120)
    ]
    file = tmp_path / "judged.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    folder = tmp_path / "claims"
    assert main(["train-claims", "--judged", str(file), "--quiet", "--output", str(folder)]) == 0
    assert "grouped by question" in capsys.readouterr().out
    assert ClaimClassifier.load(folder).config.fields == ("question", "answer")


def test_predictions_are_the_classifier_s_own(monkeypatch, classifier, capsys):
    capsys.readouterr()
    assert ask(monkeypatch, classifier, "The tax will\u2028rise.\n\n  It fell.\r\n") == 0
    header, *rows = [line.split("\t") for line in capsys.readouterr().out.strip().split("\n")]
    assert header == ["P(not truthful)", "P(truthful)", "likeliest", "claim"]
    claims = ["The tax will\u2028rise.", "It fell."]
    made = ClaimClassifier.load(classifier)
    for claim, row, probabilities in zip(claims, rows, made.predict_proba(claims), strict=True):
        assert row[:2] == [f"{each:.3f}" for each in probabilities]
        assert row[2] == made.predict([claim])[0]


def test_claims_of_several_fields_are_json(monkeypatch, tmp_path, capsys):
    folder = tmp_path / "claims"
    assert train("--metadata", "--output", str(folder)) == 0
    row = {"statement": "It fell.", "metadata": "tax someone", "context": "a speech", "more": 1}
    assert ask(monkeypatch, folder, json.dumps(row) + "\n") == 0
    assert capsys.readouterr().out.rstrip().endswith("\tIt fell.")
    assert ask(monkeypatch, folder, "It fell.\n") == 2
    assert "needs the fields statement, metadata, context; write" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "standard input must hold at least one claim"),
        ("\n \n", "must hold at least one claim"),
        (b"fine\nnot \xff\n", "line 2: must be UTF-8, byte 9 is not"),
        ('{"speaker": "x"}', "line 1: must have texts for statement, lacks statement"),
        ('fine\n{"statement": 3}', "line 2: must have texts"),
        ('{"statement": ', "line 1: must be valid JSON"),
    ],
)
def test_claims_that_cannot_be_read_are_refused(monkeypatch, classifier, capsys, text, message):
    capsys.readouterr()
    assert ask(monkeypatch, classifier, text) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_other_folders_are_no_classifiers(tmp_path, capsys):
    assert main(["predict", str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--synthetic", "0"], "and at least 1, got 0"),
        (["--liar", "nowhere"], "nowhere does not exist"),
        (["--judged", "nowhere"], "nowhere"),
        (["--synthetic", "60", "--folds", "1"], "folds must be at least 2, got 1"),
    ],
)
def test_bad_input_is_refused_before_any_folder_is_made(tmp_path, capsys, options, message):
    assert main(["train-claims", *options, "--output", str(tmp_path / "claims")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "claims").exists()


def test_metadata_that_is_not_there_is_refused(tmp_path, capsys):
    file = tmp_path / "judged.jsonl"
    lines = [
        {"prompt": f"Q: Is {row}?\nA: No.\nTrue:", "completion": " no" if row % 2 else " yes"}
        for row in range(10)
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    assert main(["train-claims", "--judged", str(file), "--metadata"]) == 2
    assert (
        "judged answers must have metadata, which the options ask for, has none"
        in capsys.readouterr().err
    )
