"""Judged answers, made up: each line gives a question, an answer and a verdict, or an error."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.dataset_loaders import load_judged_answers

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
GOOD = r'{"prompt": "Q: Why?\nA: Because.\nTrue:", "completion": " yes"}'


def entry(question: str, answer: str, truthful: bool) -> str:
    prompt = f"Q: {question}\nA: {answer}\nTrue:"
    return json.dumps({"prompt": prompt, "completion": " yes" if truthful else " no"})


@given(
    rows=st.lists(
        st.tuples(
            TEXTS.filter(lambda text: text.strip() and "\nA: " not in f"{text}\n"),
            TEXTS,
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
    start=st.sampled_from(["", "\ufeff"]),
)
def test_rows_that_were_written_come_back(tmp_path_factory, rows, end, start):
    path = tmp_path_factory.mktemp("judged") / "judge.jsonl"
    path.write_bytes((start + "".join(entry(*row) + end for row in rows)).encode())
    frame = load_judged_answers(path)
    assert list(frame.columns) == ["question", "answer", "truthful"]
    assert list(frame.itertuples(index=False, name=None)) == rows
    assert frame["truthful"].dtype == bool


def test_answer_may_be_empty_or_go_on_with_questions_of_its_own(tmp_path):
    path = tmp_path / "judge.jsonl"
    answer = "Yes.\nQ: Sure?\nA: Yes.\nTrue: very"
    path.write_text(f"{entry('Is it?', answer, True)}\n{entry('Is it?', '', False)}\n\n\n")
    assert load_judged_answers(str(path))["answer"].tolist() == [answer, ""]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (GOOD[:-1], "must be one JSON object, got invalid JSON .*; correct this line"),
        (GOOD + GOOD, "must be one JSON object, got invalid JSON .*; correct this line"),
        ("[" * 200_000, "must be one JSON object, got invalid JSON .*; correct this line"),
        (GOOD.replace("Because", r"\ud83d"), "got invalid JSON .* surrogates not allowed"),
        ("[1, 2]", "must be {.*}, got .*; correct this line"),
        ('{"prompt": "Q: a"}', "must be {.*}, got .*; correct this line"),
        (GOOD.replace('" yes"', "true"), "must be {.*}, got .*; correct this line"),
        (GOOD.replace("True:", "Helpful:"), "prompt must be .*; use the file of judgements on tr"),
        (GOOD.replace(r"\nA:", r" A:"), "prompt must be .*; use the file of judgements on truth"),
        (GOOD.replace("Why?", " "), "prompt must be .*; use the file of judgements on truth"),
        (GOOD.replace("yes", "maybe"), "completion must be ' yes' or ' no', got ' maybe'; corr"),
    ],
)
def test_malformed_line_is_refused_by_name_with_a_remedy(tmp_path, line, message):
    path = tmp_path / "judge.jsonl"
    path.write_text(f"{GOOD}\n{line}\n{GOOD}\n")
    with pytest.raises(ValueError, match=rf"judge\.jsonl, line 2: .*{message}"):
        load_judged_answers(path)


def test_empty_missing_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "judge.jsonl"
    with pytest.raises(FileNotFoundError, match=r"is not a file: get data/finetune_truth\.jsonl"):
        load_judged_answers(path)
    path.write_text("\n")
    with pytest.raises(ValueError, match=r"judge\.jsonl must hold at least one row, got an empty"):
        load_judged_answers(path)
    path.write_bytes(GOOD.encode() + b"\n\xff")
    with pytest.raises(ValueError, match=r"judge\.jsonl, line 2: must be UTF-8, got byte 0xff"):
        load_judged_answers(path)
