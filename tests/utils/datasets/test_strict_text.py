"""Files are read whole or refused with their name, the line and a remedy."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.datasets.strict_text import (
    existing_file,
    read_csv,
    read_lines,
    read_text,
)

CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
REQUIRED = ("name", "verdict")


@pytest.fixture
def written(tmp_path):
    """A function that writes bytes, or text as UTF-8, and returns the file's path."""

    def write(content: str | bytes):
        path = tmp_path / "made_up.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_file_that_is_there_is_returned_and_a_missing_one_or_a_folder_is_refused(tmp_path, written):
    path = written("x")
    assert existing_file(str(path), "ask Ada") == path
    for missing in (tmp_path, tmp_path / "nowhere.csv"):
        with pytest.raises(FileNotFoundError, match=r"is not a file: ask Ada"):
            existing_file(missing, "ask Ada")


@pytest.mark.parametrize("content", [b"", b"\n\n", b" \r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_empty_file_is_refused(written, content):
    with pytest.raises(ValueError, match=r"made_up\.csv must hold at least one row, got an empty"):
        read_text(written(content))


def test_byte_that_is_not_utf_8_is_named_with_its_line_and_offset(written):
    path = written("ünlaut\nfine\nCaf".encode() + b"\xe9 noir\n")
    with pytest.raises(
        ValueError, match=r"made_up\.csv, line 3: must be UTF-8, got byte 0xe9"
    ) as e:
        read_text(path)
    assert f"byte offset {path.read_bytes().index(0xE9)} of the file; save the file as UTF" in str(
        e.value
    )


def test_offset_counts_the_byte_order_mark(written):
    with pytest.raises(ValueError, match=r"line 1: .* at byte offset 4 "):
        read_text(written(b"\xef\xbb\xbfa\xff"))


def test_utf_16_is_refused(written):
    with pytest.raises(ValueError, match=r"line 1: must be UTF-8, got byte 0xff at byte offset 0"):
        read_text(written("name\n".encode("utf-16")))


def test_byte_order_mark_is_dropped_only_at_the_start(written):
    assert read_text(written("\ufeffa\ufeff")) == "a\ufeff"


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n", "\r\n\r\n"])
@pytest.mark.parametrize("separator", ["\n", "\r\n"])
def test_line_ends_and_blank_lines_do_not_matter(written, separator, end):
    assert read_lines(written(separator.join(["a", "", "b"]) + end)) == [(1, "a"), (3, "b")]
    assert read_lines(written(separator.join(["", " \t", "b"]) + end)) == [(3, "b")]


def test_only_line_feeds_end_a_line(written):
    inside = "a\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\rb"
    assert read_lines(written(f"{inside}\nc")) == [(1, inside), (2, "c")]


@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5), quote_all=st.booleans())
def test_rows_that_a_csv_writer_wrote_come_back(tmp_path_factory, rows, quote_all):
    path = tmp_path_factory.mktemp("csv") / "made_up.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
        csv.writer(file, quoting=quoting).writerows([REQUIRED, *rows])
    found = [(row["name"], row["verdict"]) for _, row in read_csv(path, REQUIRED)]
    assert found == rows


def test_rows_carry_the_line_on_which_they_start(written):
    content = 'name,verdict\n"two\nlines",yes\n"a ""quoted"" word",no\r\nplain,yes\n'
    assert read_csv(written(content), REQUIRED) == [
        (2, {"name": "two\nlines", "verdict": "yes"}),
        (4, {"name": 'a "quoted" word', "verdict": "no"}),
        (5, {"name": "plain", "verdict": "yes"}),
    ]


def test_columns_may_stand_in_any_order_beside_others_after_a_byte_order_mark(written):
    content = "\ufeffverdict, extra ,name\r\nyes,1,Ada\r\n\r\n\r\n"
    row = {"verdict": "yes", "extra": "1", "name": "Ada"}
    assert read_csv(written(content), REQUIRED) == [(2, row)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,other\na,b\n", "line 1: the header .*; missing: verdict; got name, other"),
        ("a,b\nc,d\n", "line 1: the header .*; missing: name, verdict; got a, b"),
        ("name;verdict\na;b\n", "line 1: the header .*; missing: name, verdict; got name;verdict"),
        ("name,verdict,name\na,b,c\n", "line 1: the header .*; there more than once: name; got"),
        ("name,verdict\n\n", "must hold at least one row below its header, got none"),
        ("name,verdict\na,b\nc\n", "line 3: .* must have 2 cells like the header, got 1"),
        ("name,verdict\na,b,c\n", "line 2: .* must have 2 cells like the header, got 3"),
        (
            'name,verdict\na,b\n"c,d\ne,f\n',
            "line 3: .* got unexpected end of data; look for a quote",
        ),
        (
            'name,verdict\n"say "hi" twice",b\n',
            "line 2: .* got ',' expected after '\"'; look for a quote",
        ),
        ('name,verdict\n"a,b\nc,"d"\n', "line 2: .* got ',' expected after '\"'; look for a quote"),
    ],
)
def test_malformed_csv_is_refused_where_the_row_starts(written, content, message):
    with pytest.raises(ValueError, match=rf"made_up\.csv,? {message}"):
        read_csv(written(content), REQUIRED)


def test_cell_beyond_the_readers_limit_is_refused(written):
    with pytest.raises(ValueError, match=r"line 2: .* field larger than field limit"):
        read_csv(written(f"name,verdict\n{'a' * (csv.field_size_limit() + 1)},b\n"), REQUIRED)


def test_quote_inside_an_unquoted_cell_is_a_character(written):
    content = 'name,verdict\n5" disk,yes\n'
    assert list(csv.reader(io.StringIO(content)))[1] == ['5" disk', "yes"]
    assert read_csv(written(content), REQUIRED)[0][1]["name"] == '5" disk'
