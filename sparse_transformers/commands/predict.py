"""`predict`: classify claims from a file or from standard input."""

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from sparse_transformers.claims.classifier import ClaimClassifier
from sparse_transformers.claims.tokenizer import Row
from sparse_transformers.commands.command import Command

CLAIMS_AT_ONCE = 1024


def add_predict_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder of the classifier, and the file of the claims."""
    parser.set_defaults(run=run_predict)
    parser.add_argument("classifier", metavar="DIR", help="the folder that train-claims wrote")
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        default="-",
        help="one claim per line: plain text, or JSON such as "
        '{"statement": "...", "speaker": "..."} for a classifier of several fields '
        "(default: standard input)",
    )


def run_predict(arguments: argparse.Namespace) -> None:
    """Print a tab-separated table: probability of each class, likeliest class, and claim."""
    classifier = ClaimClassifier.load(arguments.classifier)
    name = "standard input" if arguments.file == "-" else arguments.file
    content = sys.stdin.buffer.read() if arguments.file == "-" else Path(name).read_bytes()
    rows = list(_rows(content, name, classifier.config.fields))
    if not rows:
        raise ValueError(f"{name} must hold at least one claim, got none")
    table = csv.writer(sys.stdout, dialect="excel-tab", lineterminator="\n")
    table.writerow([*(f"P({label})" for label in classifier.classes), "likeliest", "claim"])
    for start in range(0, len(rows), CLAIMS_AT_ONCE):
        some = rows[start : start + CLAIMS_AT_ONCE]
        for row, probabilities in zip(some, classifier.predict_proba(some), strict=True):
            likeliest = classifier.classes[int(probabilities.argmax())]
            claim = row if isinstance(row, str) else next(iter(row.values()))
            table.writerow([*(f"{each:.3f}" for each in probabilities), likeliest, claim])


def _rows(content: bytes, name: str, fields: tuple[str, ...]) -> Iterator[Row]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{name}, line {number}: must be UTF-8, byte {error.start} is not"
        ) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if not line.lstrip().startswith("{"):
            if len(fields) > 1:
                raise ValueError(
                    f"{name}, line {number}: this classifier needs the fields "
                    f"{', '.join(fields)}; write each claim as JSON with these names"
                )
            yield line.strip()
            continue
        yield _row(line, f"{name}, line {number}", fields)


def _row(line: str, place: str, fields: tuple[str, ...]) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: must be valid JSON: {error}") from error
    wrong = [field for field in fields if not isinstance(row.get(field), str)]
    if wrong:
        raise ValueError(
            f"{place}: must have texts for {', '.join(fields)}, lacks {', '.join(wrong)}"
        )
    chosen = {field: row[field] for field in fields}
    return chosen if len(fields) > 1 else chosen[fields[0]]


PREDICT = Command("predict", "classify claims with a trained classifier", add_predict_arguments)
