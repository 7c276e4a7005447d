"""Text files read strictly: what does not fit is an error that names the file and the line."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path


def fault(path: Path, line: int, problem: str) -> ValueError:
    """The error for what is wrong on a line, counted from 1."""
    return ValueError(f"{path}, line {line}: {problem}")


def existing_file(path: str | Path, source: str) -> Path:
    """The path, if a file is there; `source` tells those who lack it where to get it.

    Raises:
        FileNotFoundError: there is no such file, or it is a folder.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not a file: {source}")
    return Path(path)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without the byte order mark that some editors put first.

    Raises:
        ValueError: the file is empty or not UTF-8.
    """
    content = path.read_bytes()
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise fault(
            path,
            line,
            f"must be UTF-8, got byte 0x{content[error.start]:02x} at byte offset {error.start} "
            "of the file; save the file as UTF-8",
        ) from None
    if not text.strip():
        raise ValueError(f"{path} must hold at least one row, got an empty file")
    return text


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a UTF-8 file that are not blank, with their numbers, without LF or CRLF.

    Only these two end a line: other characters that `str.splitlines` obeys occur inside texts.

    Raises:
        ValueError: the file is empty or not UTF-8.
    """
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def read_csv(path: Path, required: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with a header, each with the line on which it starts.

    Args:
        path: the file. Columns may stand in any order, and others beside the required ones.
        required: names of columns that must be there.

    Raises:
        ValueError: the file is empty, not UTF-8 or not valid CSV, lacks a required column or has
            it twice, has no rows, or has a row of another length than its header.
    """
    records = [(line, cells) for line, cells in _csv_records(path) if cells]
    header = [name.strip() for name in records[0][1]]
    for problem, names in (
        ("missing", [name for name in required if name not in header]),
        ("there more than once", [name for name in required if header.count(name) > 1]),
    ):
        if names:
            raise fault(
                path,
                1,
                f"the header must name the columns {', '.join(required)} once each; {problem}: "
                f"{', '.join(names)}; got {', '.join(header)}",
            )
    for line, cells in records:
        if len(cells) != len(header):
            raise fault(
                path,
                line,
                f"the row that starts here must have {len(header)} cells like the header, got "
                f"{len(cells)}; put cells that hold a comma, a quote or a line break in quotes",
            )
    if len(records) == 1:
        raise ValueError(f"{path} must hold at least one row below its header, got none")
    return [(line, dict(zip(header, cells, strict=True))) for line, cells in records[1:]]


def _csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise fault(
                path,
                line,
                f"the row that starts here must be valid CSV, got {error}; look for a quote that "
                "is not closed, or not doubled inside a quoted cell",
            ) from None
        if cells is None:
            return
        yield line, cells
