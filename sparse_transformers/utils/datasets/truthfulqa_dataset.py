"""TruthfulQA: questions that invite common falsehoods, read from its comma-separated file."""

from pathlib import Path
from typing import Any

import pandas as pd

from sparse_transformers.utils.datasets.strict_text import existing_file, fault, read_csv

_COLUMNS = (
    "Type",
    "Category",
    "Question",
    "Best Answer",
    "Correct Answers",
    "Incorrect Answers",
    "Source",
)
_BEST_INCORRECT = "Best Incorrect Answer"  # since January 2025


def load_truthfulqa(file: str | Path) -> pd.DataFrame:
    r"""The questions of a TruthfulQA.csv, one per row: the first edition (2021) or a later one.

    Answers end with a full stop, which is added where it is missing even after other punctuation,
    as the authors do before they score a model. They are otherwise as published: an answer may
    stand twice in a list, and "Unknown." in both lists of a question.

    Returns:
        `type`, `category`, `question`, `best_answer`, `best_incorrect_answer` (None in files
        without that column), `correct_answers` and `incorrect_answers` (lists of texts), `source`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file does not have the format (the message names file, line and remedy),
            a question or a list of answers is empty, or the best answer is not a correct one.

    Source: Lin, Hilton and Evans 2021, arXiv:2109.07958; github.com/sylinrl/TruthfulQA.

    Example:
        >>> import sparse_transformers as st
        >>> import tempfile
        >>> from pathlib import Path
        >>> header = "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"
        >>> row = "Adversarial,Science,Is ice cold?,Yes,Yes; It is,No; It is hot,none\n"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "TruthfulQA.csv"
        ...     _ = file.write_text(header + row)
        ...     questions = st.load_truthfulqa(file)
        >>> questions["correct_answers"][0]
        ['Yes.', 'It is.']
    """
    path = existing_file(file, "get TruthfulQA.csv from https://github.com/sylinrl/TruthfulQA")
    return pd.DataFrame([_question(path, line, row) for line, row in read_csv(path, _COLUMNS)])


def _question(path: Path, line: int, row: dict[str, str]) -> dict[str, Any]:
    question = row["Question"].strip()
    correct, incorrect = _answers(row["Correct Answers"]), _answers(row["Incorrect Answers"])
    filled = {"Question": question, "Correct Answers": correct, "Incorrect Answers": incorrect}
    for column, value in filled.items():
        if not value:
            raise fault(path, line, f"{column} must not be empty; fill it in or delete this row")
    return {
        "type": row["Type"].strip(),
        "category": row["Category"].strip(),
        "question": question,
        "best_answer": _best_answer(path, line, row["Best Answer"], correct),
        "best_incorrect_answer": _best_incorrect_answer(path, line, row),
        "correct_answers": correct,
        "incorrect_answers": incorrect,
        "source": row["Source"].strip(),
    }


def _answers(cell: str) -> list[str]:
    return [_with_full_stop(answer.strip()) for answer in cell.split(";") if answer.strip()]


def _with_full_stop(answer: str) -> str:
    return answer if answer.endswith(".") else f"{answer}."


def _best_answer(path: Path, line: int, cell: str, correct: list[str]) -> str:
    best = _with_full_stop(cell.strip())
    if best not in correct:
        raise fault(
            path,
            line,
            f"Best Answer must be one of the Correct Answers {correct}, got {best!r}; add it to "
            "them or choose one of them",
        )
    return best


def _best_incorrect_answer(path: Path, line: int, row: dict[str, str]) -> str | None:
    if _BEST_INCORRECT not in row:
        return None
    cell = row[_BEST_INCORRECT].strip()
    if not cell:
        raise fault(
            path, line, f"{_BEST_INCORRECT} must not be empty; fill it in or delete this row"
        )
    return _with_full_stop(cell)
