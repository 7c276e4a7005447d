"""Generated tables written in the file formats of the published data sets, for their loaders."""

import json

import pandas as pd

from sparse_transformers.utils.datasets.liar_dataset import LIAR_COLUMNS

TRUTHFULQA_HEADER = {
    "type": "Type",
    "category": "Category",
    "question": "Question",
    "best_answer": "Best Answer",
    "best_incorrect_answer": "Best Incorrect Answer",
    "correct_answers": "Correct Answers",
    "incorrect_answers": "Incorrect Answers",
    "source": "Source",
}
"""The column of a table, and its name in TruthfulQA.csv."""


def liar_tsv(table: pd.DataFrame) -> str:
    """Claims in the format that `load_liar` reads: fourteen columns, tabs, no header, no quotes.

    Args:
        table: of `generate_liar_sample` with `leaky_history=True`, as the format has counts.
    """
    rows = table[list(LIAR_COLUMNS)].astype(str).itertuples(index=False)
    return "".join("\t".join(row) + "\n" for row in rows)


def truthfulqa_csv(table: pd.DataFrame) -> str:
    """Questions in the format that `load_truthfulqa` reads: lists of answers joined by "; "."""
    joined = table[list(TRUTHFULQA_HEADER)].rename(columns=TRUTHFULQA_HEADER)
    for column in ("Correct Answers", "Incorrect Answers"):
        joined[column] = joined[column].map("; ".join)
    return joined.to_csv(index=False, lineterminator="\n")


def judged_answers_jsonl(table: pd.DataFrame) -> str:
    """Answers in the format that `load_judged_answers` reads: one JSON object per line."""
    columns = ["question", "answer", "truthful"]
    return "".join(
        _judged_line(question, answer, truthful)
        for question, answer, truthful in table[columns].itertuples(index=False)
    )


def _judged_line(question: str, answer: str, truthful: bool) -> str:
    prompt = f"Q: {question}\nA: {answer}\nTrue:"
    return json.dumps({"prompt": prompt, "completion": " yes" if truthful else " no"}) + "\n"
