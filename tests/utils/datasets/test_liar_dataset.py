"""LIAR's files, made up: every row arrives whole, and a row that does not fit is refused."""

import csv
import os
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.dataset_loaders import (
    LIAR_COLUMNS,
    LIAR_HISTORY,
    LIAR_LABELS,
    LIAR_TRUTHFUL,
    load_liar,
)

TEXT_COLUMNS = [name for name in LIAR_COLUMNS if name not in LIAR_HISTORY and name != "label"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n"), max_size=12)


def made_up_row(**changes: str) -> str:
    row = {
        "statement_id": "7.json",
        "label": "half-true",
        "statement": 'The mayor said "we planted 40 trees',
        "subject": "trees,cities",
        "speaker": "ada-example",
        "speaker_job": "Mayor",
        "state_info": "Atlantis",
        "party_affiliation": "none",
        "barely_true_count": "1",
        "false_count": "2",
        "half_true_count": "3",
        "mostly_true_count": "4",
        "pants_fire_count": "5",
        "context": 'an interview, "live"',
    }
    return "\t".join((row | changes).values())


def without_debris(text: str) -> str:
    kept = [
        place
        for place, character in enumerate(text)
        if unicodedata.category(character) != "Cc" and character not in " \xa0\ufeff"
    ]
    return text[kept[0] : kept[-1] + 1] if kept else ""


@pytest.fixture
def written(tmp_path):
    """A function that writes lines as train.tsv and returns the file's path."""

    def write(*lines: str, end: str = "\n"):
        path = tmp_path / "train.tsv"
        path.write_bytes("".join(line + end for line in lines).encode())
        return path

    return write


def test_columns_stand_in_the_documented_order(written):
    frame = load_liar(written(made_up_row()))
    assert list(frame.columns) == [
        "statement_id",
        "label",
        "truth_level",
        "truthful",
        "statement",
        "subject",
        "speaker",
        "speaker_job",
        "state_info",
        "party_affiliation",
        "context",
        "split",
    ]
    assert frame.loc[0, "statement"] == 'The mayor said "we planted 40 trees'
    assert frame.loc[0, "context"] == 'an interview, "live"'


def test_history_comes_only_when_asked_for_and_as_integers(written):
    path = written(made_up_row(), made_up_row(pants_fire_count="105"))
    assert not set(LIAR_HISTORY) & set(load_liar(path).columns)
    frame = load_liar(path, include_history=True)
    assert list(frame.columns[10:-2]) == list(LIAR_HISTORY)
    assert all(pd.api.types.is_integer_dtype(frame[name]) for name in LIAR_HISTORY)
    assert frame.loc[1, list(LIAR_HISTORY)].to_dict() == {
        "barely_true_count": 1,
        "false_count": 2,
        "half_true_count": 3,
        "mostly_true_count": 4,
        "pants_fire_count": 105,
    }


def test_truth_levels_follow_the_order_of_the_labels(written):
    frame = load_liar(written(*(made_up_row(label=label) for label in reversed(LIAR_LABELS))))
    assert frame["label"].tolist() == list(reversed(LIAR_LABELS))
    assert frame["truth_level"].tolist() == [5, 4, 3, 2, 1, 0]
    assert frame["truth_level"].dtype == int and frame["truthful"].dtype == bool


@pytest.mark.parametrize("positive", [LIAR_TRUTHFUL, ["true"], {"mostly-true", "true"}])
def test_truthful_means_a_label_in_positive(written, positive):
    frame = load_liar(
        written(*(made_up_row(label=label) for label in LIAR_LABELS)), positive=positive
    )
    assert set(frame.loc[frame["truthful"], "label"]) == set(positive)


@pytest.mark.parametrize(
    ("positive", "message"),
    [
        (["true", "TRUE"], r"positive must hold labels of \('pants-fire', .*\), got \['TRUE'\]"),
        ("true", "positive must be a collection of some but not all of .*, got 'true'"),
        ([], "positive must be a collection of some but not all of .*, got \\[\\]"),
        (LIAR_LABELS, "positive must be a collection of some but not all of"),
    ],
)
def test_unusable_positive_is_refused(written, positive, message):
    with pytest.raises(ValueError, match=message):
        load_liar(written(made_up_row()), positive=positive)


def test_stray_quotes_swallow_no_rows(written):
    lines = [
        made_up_row(statement='"Never closed', context=""),
        made_up_row(),
        made_up_row(context='a "talk"'),
    ]
    path = written(*lines)
    frame = load_liar(path)
    with path.open(newline="") as file:
        oracle = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert frame["statement"].tolist() == [row[2] for row in oracle]
    assert frame["context"].tolist() == [row[13] for row in oracle]
    with path.open(newline="") as file:
        assert len(list(csv.reader(file, delimiter="\t"))) < 3  # the trap


@given(
    rows=st.lists(
        st.fixed_dictionaries(dict.fromkeys(TEXT_COLUMNS, TEXTS)).map(
            lambda row: row | {"statement": f"{row['statement']}x{row['context']}"}
        ),
        min_size=1,
        max_size=3,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_texts_come_back_without_the_debris_around_them(tmp_path_factory, rows, end):
    path = tmp_path_factory.mktemp("liar") / "train.tsv"
    path.write_bytes("".join(made_up_row(**row) + end for row in rows).encode())
    frame = load_liar(path)
    for name in TEXT_COLUMNS:
        assert frame[name].tolist() == [without_debris(row[name]) for row in rows]


@pytest.mark.parametrize("debris", [" ", "\x90", "\ufeff\ufeff", "\xa0 ", "\u0085"])
def test_debris_around_a_text_is_removed_and_inside_it_is_kept(written, debris):
    path = written(
        made_up_row(), made_up_row(statement=f"{debris}a{debris}b{debris}", speaker_job=debris)
    )
    row = load_liar(path).loc[1]
    assert (row["statement"], row["speaker_job"]) == (f"a{debris}b", "")


def test_missing_texts_are_empty_and_no_value_is_taken_for_missing(written):
    empty = dict.fromkeys(["subject", "speaker", "speaker_job", "state_info", "context"], "")
    frame = load_liar(written(made_up_row(**empty), made_up_row(speaker_job="NA")))
    assert not frame.isna().any(axis=None)
    assert (frame.loc[0, list(empty)] == "").all()
    assert frame.loc[1, "speaker_job"] == "NA"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("blank", [[], [""], ["", ""]])
def test_line_ends_byte_order_mark_and_trailing_blank_lines_do_not_matter(
    written, end, mark, blank
):
    plain = load_liar(written(made_up_row(), made_up_row(label="true")))
    path = written(mark + made_up_row(), made_up_row(label="true"), *blank, end=end)
    pd.testing.assert_frame_equal(load_liar(path), plain)


def test_folder_gives_the_files_that_are_there_in_order(tmp_path):
    for name, n_rows in (("valid.tsv", 2), ("train.tsv", 3), ("other.tsv", 1)):
        (tmp_path / name).write_text(f"{made_up_row()}\n" * n_rows)
    frame = load_liar(tmp_path)
    assert frame["split"].tolist() == ["train"] * 3 + ["valid"] * 2
    assert frame.index.tolist() == list(range(5))
    assert load_liar(str(tmp_path / "other.tsv"))["split"].tolist() == ["other"]


def test_missing_files_are_named_with_their_terms(tmp_path):
    (tmp_path / "other.tsv").write_text(made_up_row())
    remedy = r"put train\.tsv, valid\.tsv and test\.tsv, .* research use only, so it is not shipped"
    with pytest.raises(FileNotFoundError, match=f"holds no LIAR file: get https://.* {remedy}"):
        load_liar(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"nowhere does not exist: get https://.* {remedy}"):
        load_liar(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (made_up_row() + "\tmore", "must have 14 cells with single tabs .*, got 15; restore"),
        (made_up_row().replace("\t", "    "), "must have 14 cells with single tabs .*, got 1;"),
        (made_up_row(statement="a\tb"), "must have 14 cells with single tabs .*, got 15; restore"),
        (
            made_up_row(label="mostly true"),
            "label must be one of pants-fire, .*'mostly true'; corr",
        ),
        (made_up_row(label=""), "label must be one of pants-fire, .*, got ''; correct the label"),
        (made_up_row(false_count="2.0"), r"whole numbers, got {'false_count': '2\.0'}; correct"),
        (made_up_row(false_count="-1"), "whole numbers, got {'false_count': '-1'}; correct"),
        (made_up_row(false_count="٣"), "whole numbers, got {'false_count': '٣'}; correct"),
        (made_up_row(false_count="9" * 30), "whole numbers, got {'false_count': '999"),
        (made_up_row(false_count=""), "whole numbers, got {'false_count': ''}; correct"),
        (made_up_row(statement=" "), "statement must not be empty; fill it in or delete this line"),
    ],
)
def test_malformed_line_is_refused_by_name_with_a_remedy(written, line, message):
    with pytest.raises(ValueError, match=rf"train\.tsv, line 2: .*{message}"):
        load_liar(written(made_up_row(), line, made_up_row()))


def test_header_is_recognised_on_the_first_line_only(written):
    header = "\t".join(LIAR_COLUMNS)
    with pytest.raises(ValueError, match=r"line 1: must be a claim, got a header; delete this"):
        load_liar(written(header, made_up_row()))
    with pytest.raises(ValueError, match=r"line 2: label must be one of .*, got 'label'"):
        load_liar(written(made_up_row(), header))


def test_first_claim_without_counts_is_no_header(written):
    with pytest.raises(ValueError, match="line 1: the counts of the credit history must be whole"):
        load_liar(written(made_up_row(**dict.fromkeys(LIAR_HISTORY, ""))))


def test_empty_file_and_other_encodings_are_refused(written, tmp_path):
    with pytest.raises(ValueError, match=r"train\.tsv must hold at least one row, got an empty"):
        load_liar(written())
    (tmp_path / "train.tsv").write_bytes(made_up_row(speaker="é").encode("latin-1"))
    with pytest.raises(ValueError, match=r"train\.tsv, line 1: must be UTF-8, got byte 0xe9"):
        load_liar(tmp_path)


@pytest.mark.skipif("LIAR_FOLDER" not in os.environ, reason="needs LIAR's files in $LIAR_FOLDER")
def test_published_files_hold_the_published_numbers_of_claims():
    folder = Path(os.environ["LIAR_FOLDER"])
    sizes = load_liar(folder)["split"].value_counts().to_dict()
    published = {"train": 10_269, "valid": 1_284, "test": 1_283}
    assert sizes == {split: published[split] for split in sizes}
