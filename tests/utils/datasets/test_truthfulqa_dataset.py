"""TruthfulQA's table, made up, in both published sets of columns."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.dataset_loaders import load_truthfulqa

COLUMNS_2021 = [
    "Type",
    "Category",
    "Question",
    "Best Answer",
    "Correct Answers",
    "Incorrect Answers",
    "Source",
]
COLUMNS_2025 = [*COLUMNS_2021[:4], "Best Incorrect Answer", *COLUMNS_2021[4:]]
ROW = {
    "Type": "Adversarial",
    "Category": "Made up",
    "Question": " What do owls read? ",
    "Best Answer": "Owls do not read",
    "Best Incorrect Answer": "Maps",
    "Correct Answers": 'Nothing.; Owls do not read; They say, "who?" ;',
    "Incorrect Answers": "Maps; ;The news.",
    "Source": "https://example.org/owls",
}
ANSWERS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters=";"), max_size=10)
    .map(str.strip)
    .filter(lambda answer: answer and not answer.endswith(".")),
    min_size=1,
    max_size=3,
)


@pytest.fixture
def written(tmp_path):
    """A function that writes rows as a CSV file and returns its path."""

    def write(*rows: dict[str, str], columns: list[str] = COLUMNS_2025):
        path = tmp_path / "TruthfulQA.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


def test_answers_are_split_stripped_and_closed(written):
    row = load_truthfulqa(written(ROW)).loc[0].to_dict()
    assert row == {
        "type": "Adversarial",
        "category": "Made up",
        "question": "What do owls read?",
        "best_answer": "Owls do not read.",
        "best_incorrect_answer": "Maps.",
        "correct_answers": ["Nothing.", "Owls do not read.", 'They say, "who?".'],
        "incorrect_answers": ["Maps.", "The news."],
        "source": "https://example.org/owls",
    }


def test_first_edition_has_no_best_incorrect_answer(written):
    with_it = load_truthfulqa(written(ROW, ROW))
    without_it = load_truthfulqa(written(ROW, ROW, columns=COLUMNS_2021))
    assert list(with_it.columns) == list(without_it.columns)
    assert without_it["best_incorrect_answer"].tolist() == [None, None]


@given(answers=ANSWERS, wrong=ANSWERS, question=st.text(min_size=1).filter(str.strip))
def test_texts_that_were_written_come_back(tmp_path_factory, answers, wrong, question):
    question = question.encode(errors="replace").decode().strip()
    path = tmp_path_factory.mktemp("truthfulqa") / "TruthfulQA.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS_2021)
        rows.writerow(["", "", question, answers[0], ";".join(answers), "; ".join(wrong), ""])
    row = load_truthfulqa(path).loc[0]
    assert row["question"] == question
    assert row["best_answer"] == f"{answers[0]}."
    assert row["correct_answers"] == [f"{answer}." for answer in answers]
    assert row["incorrect_answers"] == [f"{answer}." for answer in wrong]


@pytest.mark.parametrize("best", ["Nothing", "Nothing.", "  Nothing "])
def test_best_answer_is_found_after_the_same_closing(written, best):
    assert load_truthfulqa(written(ROW | {"Best Answer": best})).loc[0, "best_answer"] == "Nothing."


@pytest.mark.parametrize("best", ["", "nothing", "Maps", "Nothing.; Owls do not read"])
def test_best_answer_that_is_not_a_correct_one_is_refused(written, best):
    message = r"TruthfulQA\.csv, line 3: Best Answer must be one of the Correct Answers .*; add it"
    with pytest.raises(ValueError, match=message):
        load_truthfulqa(written(ROW, ROW | {"Best Answer": best}))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("Question", "  "),
        ("Correct Answers", ";"),
        ("Incorrect Answers", ""),
        ("Best Incorrect Answer", " "),
    ],
)
def test_empty_cell_is_refused(written, column, value):
    message = rf"TruthfulQA\.csv, line 3: {column} must not be empty; fill it in or delete"
    with pytest.raises(ValueError, match=message):
        load_truthfulqa(written(ROW, ROW | {column: value}))


def test_line_of_a_row_counts_line_breaks_inside_cells(written):
    with pytest.raises(ValueError, match=r"line 5: Question must not be empty"):
        load_truthfulqa(written(ROW | {"Source": "one\n\ntwo"}, ROW | {"Question": ""}))


def test_missing_columns_are_listed(written):
    columns = [name for name in COLUMNS_2021 if name not in ("Category", "Incorrect Answers")]
    with pytest.raises(ValueError, match=r"line 1: .*; missing: Category, Incorrect Answers; got"):
        load_truthfulqa(written(ROW, columns=columns))


def test_quoting_mistake_and_missing_file_are_refused(written, tmp_path):
    path = written(ROW)
    path.write_text(path.read_text() + 'Adversarial,"Made up,Why?,Because\n')
    with pytest.raises(ValueError, match=r"line 3: .* valid CSV, got .*; look for a quote"):
        load_truthfulqa(path)
    with pytest.raises(FileNotFoundError, match=r"is not a file: get TruthfulQA\.csv from https"):
        load_truthfulqa(tmp_path)
