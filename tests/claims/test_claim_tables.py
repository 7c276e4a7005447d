"""Published data sets, made up here, are loaded where a user names them, and nowhere else."""

import csv
import json

import pytest

from sparse_transformers.claims.corpora import make_corpus
from sparse_transformers.claims.tables import load_tables
from sparse_transformers.utils.dataset_loaders import LIAR_HISTORY


def write_claims(folder):
    """A folder with two claims to learn from and one held out."""
    folder.mkdir()
    rows = {
        "train": [("1.json", "true", "Owls fly at night."), ("2.json", "false", "Ponds are dry.")],
        "valid": [("3.json", "half-true", "Most boats float.")],
    }
    for split, claims in rows.items():
        lines = [
            [*claim, "nature", f"speaker-{split}", "Mayor", "Atlantis", "none", *"01234", "a talk"]
            for claim in claims
        ]
        (folder / f"{split}.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    return folder


def write_answers(file, n_questions=10):
    """Three judged answers to every question."""
    entries = [
        {
            "prompt": f"Q: What is thing {question} made of?\nA: Of {answer}.\nTrue:",
            "completion": " yes" if answer == "tin" else " no",
        }
        for answer in ("tin", "cheese", "light")
        for question in range(n_questions)
    ]
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return file


def write_questions(file):
    row = {
        "Type": "Made up",
        "Category": "Birds",
        "Question": "What do owls read?",
        "Best Answer": "Nothing",
        "Correct Answers": "Nothing; Owls do not read",
        "Incorrect Answers": "Maps; News",
        "Source": "https://example.org/owls",
    }
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(row))
        writer.writeheader()
        writer.writerow(row)
    return file


@pytest.fixture
def files(tmp_path):
    return {
        "liar": write_claims(tmp_path / "claims"),
        "truthfulqa": write_questions(tmp_path / "questions.csv"),
        "judged": write_answers(tmp_path / "answers.jsonl"),
    }


NAMES = {"liar": "LIAR", "truthfulqa": "TruthfulQA", "judged": "judged answers"}


def test_everything_that_is_named_is_loaded(files):
    tables = load_tables(**files)
    assert {name: len(table) for name, table in tables.items()} == {
        "LIAR": 3,
        "judged answers": 30,
        "TruthfulQA": 1,
    }
    assert tables["TruthfulQA"].loc[0, "correct_answers"] == ["Nothing.", "Owls do not read."]


@pytest.mark.parametrize("argument", NAMES)
def test_only_what_is_named_is_loaded(files, argument):
    assert list(load_tables(**{argument: str(files[argument])})) == [NAMES[argument]]


def test_nothing_is_loaded_where_nothing_is_named():
    assert load_tables() == {}


def test_claims_have_their_history_and_splits(files):
    claims = load_tables(liar=files["liar"])["LIAR"]
    assert claims[list(LIAR_HISTORY)].to_numpy().tolist() == [[0, 1, 2, 3, 4]] * 3
    assert claims["split"].tolist() == ["train", "train", "valid"]
    assert make_corpus("LIAR", claims).fields["history"] == ("history",)


def test_no_question_is_on_both_sides(files):
    answers = load_tables(judged=files["judged"])["judged answers"]
    train, valid = (
        set(answers.loc[answers["split"] == split, "question"]) for split in ("train", "valid")
    )
    assert (len(train), len(valid)) == (8, 2)
    assert not train & valid
    assert make_corpus("judged answers", answers).train_groups is not None


def test_share_and_seed_decide_the_split(files):
    def held_out(**options):
        answers = load_tables(judged=files["judged"], **options)["judged answers"]
        return sorted(set(answers.loc[answers["split"] == "valid", "question"]))

    assert len(held_out(valid_fraction=0.5)) == 5
    assert held_out(seed=1) == held_out(seed=1)
    assert len({tuple(held_out(seed=seed)) for seed in range(5)}) > 1


@pytest.mark.parametrize("argument", NAMES)
def test_missing_file_is_refused(tmp_path, argument):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_tables(**{argument: tmp_path / "nowhere"})


@pytest.mark.parametrize(
    ("argument", "name"),
    [("liar", r"train\.tsv"), ("truthfulqa", r"questions\.csv"), ("judged", r"answers\.jsonl")],
)
def test_malformed_file_is_named(files, argument, name):
    file = files[argument]
    (file / "train.tsv" if file.is_dir() else file).write_text("not what it should be\n")
    with pytest.raises(ValueError, match=name):
        load_tables(**{argument: file})


def test_answers_to_one_question_cannot_be_split(tmp_path):
    with pytest.raises(ValueError, match="at least 2 groups"):
        load_tables(judged=write_answers(tmp_path / "answers.jsonl", n_questions=1))
