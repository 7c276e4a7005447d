"""LIAR: short political claims with one of six verdicts, read from its tab-separated files."""

import re
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from sparse_transformers.utils.datasets.strict_text import fault, read_lines

LIAR_LABELS = ("pants-fire", "false", "barely-true", "half-true", "mostly-true", "true")
"""From the least to the most truthful: a label's place is its `truth_level`."""

LIAR_TRUTHFUL = ("half-true", "mostly-true", "true")
"""The labels that usually count as truthful where two classes are wanted.

Source: Alhindi et al. 2018, LIAR-PLUS, FEVER workshop.
"""

LIAR_HISTORY = (
    "barely_true_count",
    "false_count",
    "half_true_count",
    "mostly_true_count",
    "pants_fire_count",
)
"""How often a speaker got each verdict, the present statement included: they leak its label."""

LIAR_COLUMNS = (
    "statement_id",
    "label",
    "statement",
    "subject",
    "speaker",
    "speaker_job",
    "state_info",
    "party_affiliation",
    *LIAR_HISTORY,
    "context",
)
"""The fourteen columns of a file, in its order."""

_SPLITS = ("train", "valid", "test")
_COUNT = re.compile(r"[0-9]{1,9}")

# What surrounds some texts of the published files: blanks, C1 control characters, stray byte order
# marks. A tokenizer would make them part of a word.
_DEBRIS = "".join(map(chr, (*range(0x21), *range(0x7F, 0xA1), 0xFEFF)))


def load_liar(
    folder_or_file: str | Path,
    include_history: bool = False,
    *,
    positive: Collection[str] = LIAR_TRUTHFUL,
) -> pd.DataFrame:
    r"""The claims of LIAR, one per row, in the order of the files.

    Quotes are ordinary characters in these files: CSV readers that treat them as such lose rows.
    The published files hold 10,269 (train), 1,284 (valid) and 1,283 (test) claims.

    Args:
        folder_or_file: one file, or a folder with any of train.tsv, valid.tsv and test.tsv.
        include_history: also return the credit history. It counts the statement's own verdict, so
            that what is learned from it is partly the label itself.
        positive: the labels that count as truthful. Papers differ: state it with a result.

    Returns:
        `statement_id`, `label`, `truth_level` (0 to 5, the place in `LIAR_LABELS`), `truthful`
        (whether the label is in `positive`), `statement`, `subject`, `speaker`, `speaker_job`,
        `state_info`, `party_affiliation`, the counts in `LIAR_HISTORY` if asked for, `context`,
        and `split` ("train", "valid", "test"; of another file the name without its suffix).
        Text has no blanks or control characters around it; a missing one is "".

    Raises:
        FileNotFoundError: there is no such file, or none of the three in the folder.
        ValueError: a file does not have LIAR's format (the message names file, line and remedy),
            or `positive` is not some but not all of the labels.

    Source: Wang 2017, arXiv:1705.00648.

    Example:
        >>> import sparse_transformers as st
        >>> import tempfile
        >>> from pathlib import Path
        >>> row = "7.json\ttrue\tIt rains.\tweather\tann\t\tOhio\tnone\t0\t0\t0\t0\t0\ta speech\n"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "train.tsv").write_text(row)
        ...     claims = st.load_liar(folder)
        >>> claims.loc[0, ["label", "statement", "speaker", "split"]].tolist()
        ['true', 'It rains.', 'ann', 'train']
    """
    _check_positive(positive)
    files = _find_files(Path(folder_or_file))
    frame = pd.concat([_read_file(file) for file in files], ignore_index=True)
    truth_levels = {label: level for level, label in enumerate(LIAR_LABELS)}
    frame.insert(2, "truth_level", frame["label"].map(truth_levels))
    frame.insert(3, "truthful", frame["label"].isin(list(positive)))
    history = list(LIAR_HISTORY)
    return (
        frame.astype(dict.fromkeys(history, int))
        if include_history
        else frame.drop(columns=history)
    )


def _check_positive(positive: Collection[str]) -> None:
    chosen = [positive] if isinstance(positive, str) else list(positive)
    if unknown := [label for label in chosen if label not in LIAR_LABELS]:
        raise ValueError(f"positive must hold labels of {LIAR_LABELS}, got {unknown}")
    if isinstance(positive, str) or not 0 < len(set(chosen)) < len(LIAR_LABELS):
        raise ValueError(
            f"positive must be a collection of some but not all of {LIAR_LABELS}, got {positive!r}"
        )


def _find_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = [path / f"{split}.tsv" for split in _SPLITS if (path / f"{split}.tsv").is_file()]
    if not files:
        problem = "holds no LIAR file" if path.is_dir() else "does not exist"
        raise FileNotFoundError(
            f"{path} {problem}: get https://www.cs.ucsb.edu/~william/data/liar_dataset.zip and put "
            "train.tsv, valid.tsv and test.tsv, or those you have, into one folder. LIAR is for "
            "research use only, so it is not shipped with this library"
        )
    return files


def _read_file(path: Path) -> pd.DataFrame:
    rows = [_read_row(path, line, text) for line, text in read_lines(path)]
    return pd.DataFrame(rows, columns=LIAR_COLUMNS).assign(split=path.stem)


def _read_row(path: Path, line: int, text: str) -> list[str]:
    cells = [cell.strip(_DEBRIS) for cell in text.split("\t")]
    if len(cells) != len(LIAR_COLUMNS):
        raise fault(
            path,
            line,
            f"must have {len(LIAR_COLUMNS)} cells with single tabs between them, got {len(cells)}; "
            f"restore the columns {', '.join(LIAR_COLUMNS)}",
        )
    row = dict(zip(LIAR_COLUMNS, cells, strict=True))
    counts = {name: row[name] for name in LIAR_HISTORY}
    bad_counts = {name: count for name, count in counts.items() if not _COUNT.fullmatch(count)}
    if row["label"] not in LIAR_LABELS:
        if line == 1 and bad_counts == counts:
            raise fault(path, line, "must be a claim, got a header; delete this line")
        raise fault(
            path,
            line,
            f"label must be one of {', '.join(LIAR_LABELS)}, got {row['label']!r}; correct the "
            "label, or the tabs if it stands in another column",
        )
    if bad_counts:
        raise fault(
            path,
            line,
            f"the counts of the credit history must be whole numbers, got {bad_counts}; correct "
            "them, or the tabs if they stand in other columns",
        )
    if not row["statement"]:
        raise fault(path, line, "statement must not be empty; fill it in or delete this line")
    return cells
