"""Answers to the questions of TruthfulQA that people judged to be true or not."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from sparse_transformers.utils.datasets.strict_text import existing_file, fault, read_lines

# A model's answer may itself go on with "\nA: ": the first one ends the question.
_PROMPT = re.compile(r"Q: (?P<question>.*?)\nA: (?P<answer>.*)\nTrue:", re.DOTALL)


def load_judged_answers(file: str | Path) -> pd.DataFrame:
    r"""Answers to questions, and whether people judged them true, one per row.

    The file is the training set of TruthfulQA's judge, finetune_truth.jsonl: on each line the
    JSON object `{"prompt": "Q: ...\nA: ...\nTrue:", "completion": " yes"}`, or " no". Nothing is
    altered: an answer may be empty, answers repeat, and a few were judged both ways. Nearly all
    questions are those of TruthfulQA.csv, and a third of the answers are its reference answers: a
    model trained on the one has seen the other.

    Returns:
        `question`, `answer`, `truthful` (bool).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line does not have this format (the message names file, line and remedy).

    Source: Lin, Hilton and Evans 2021, arXiv:2109.07958; github.com/sylinrl/TruthfulQA.

    Example:
        >>> import sparse_transformers as st
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> line = {"prompt": "Q: Is ice cold?\nA: Yes.\nTrue:", "completion": " yes"}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "finetune_truth.jsonl"
        ...     _ = file.write_text(json.dumps(line))
        ...     answers = st.load_judged_answers(file)
        >>> answers["answer"][0], bool(answers["truthful"][0])
        ('Yes.', True)
    """
    source = "get data/finetune_truth.jsonl from https://github.com/sylinrl/TruthfulQA"
    path = existing_file(file, source)
    return pd.DataFrame([_judged_answer(path, line, text) for line, text in read_lines(path)])


def _judged_answer(path: Path, line: int, text: str) -> dict[str, Any]:
    try:
        entry = json.loads(text)
        json.dumps(entry, ensure_ascii=False).encode()  # half an escaped surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise fault(
            path, line, f"must be one JSON object, got invalid JSON ({error}); correct this line"
        ) from None
    keys = ("prompt", "completion")
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in keys):
        raise fault(
            path,
            line,
            'must be {"prompt": text, "completion": " yes" or " no"}, got '
            f"{text[:80]!r}; correct this line",
        )
    prompt = _PROMPT.fullmatch(entry["prompt"])
    if prompt is None or not prompt["question"].strip():
        raise fault(
            path,
            line,
            r"prompt must be 'Q: <question>\nA: <answer>\nTrue:', got "
            f"{entry['prompt']!r}; use the file of judgements on truth, not on helpfulness",
        )
    verdict = entry["completion"].strip()
    if verdict not in ("yes", "no"):
        raise fault(
            path,
            line,
            f"completion must be ' yes' or ' no', got {entry['completion']!r}; correct this line",
        )
    return {**prompt.groupdict(), "truthful": verdict == "yes"}
