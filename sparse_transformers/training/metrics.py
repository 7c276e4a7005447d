"""The metrics of a run: one JSON object per line, in a file that stays readable after a kill."""

import json
from pathlib import Path
from typing import Any

from sparse_transformers.utils.runtime import atomic_write_text

Row = dict[str, Any]


class MetricsLog:
    """Rows of metrics, each with its step.

    Args:
        path: the JSONL file, written line by line; None keeps the rows in memory only.
        last_step: keep the file's rows up to this step, after which a resumed run continues; None
            starts an empty file.
    """

    def __init__(self, path: Path | None, last_step: int | None = None) -> None:
        self.path = path
        self.rows: list[Row] = []
        if path is None:
            return
        if last_step is not None and path.exists():
            self.rows = [row for row in read_metrics(path) if row["step"] <= last_step]
        atomic_write_text(path, "".join(_line(row) for row in self.rows))

    def append(self, row: Row) -> None:
        """Add a row, and write it to the file at once."""
        self.rows.append(row)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(row))


def read_metrics(path: str | Path) -> list[Row]:
    """The rows of a metrics file; a last line that a kill cut short is left out.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: another line is no row of metrics.
    """
    rows = []
    *lines, _ = Path(path).read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: no row of metrics: {error}") from error
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            raise ValueError(f"{path}, line {number}: a row of metrics must have a step")
        rows.append(row)
    return rows


def _line(row: Row) -> str:
    return json.dumps(row, allow_nan=False) + "\n"
