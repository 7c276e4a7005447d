"""Numbers choose the words, on both sides of every verdict."""

import pytest

from sparse_transformers.utils.report import (
    bullets,
    image,
    join,
    number,
    percent,
    prose,
    table,
    times,
)


def test_table_aligns_and_keeps_bars_inside_cells():
    assert table(("pattern", "ms"), [("`a | b`", "1.5")]) == (
        "| pattern | ms |\n| --- | ---: |\n| `a \\| b` | 1.5 |"
    )


def test_table_sets_the_named_columns_to_the_left():
    lines = table(("n", "pattern", "ms"), [("1", "a", "2")], words=("pattern",)).splitlines()
    assert lines[1] == "| ---: | --- | ---: |"


def test_table_refuses_a_row_of_another_length():
    with pytest.raises(ValueError, match=r"rows must have 2 cells each, got \['a'\]"):
        table(("pattern", "ms"), [("a",)])


def test_paragraph_is_one_line_and_a_list_has_one_line_each():
    assert prose("\n  one\n   two ") == "one two"
    assert bullets(["one\n two", "three"]) == "- one two\n- three"
    assert image("folder/file.png", "what?") == "![what?](folder/file.png)"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.012345, "0.0123"),
        (1.0, "1.00"),
        (9.999, "10.0"),
        (123.4, "123"),
        (1234.5, "1,230"),
        (0.0, "0.00"),
        (None, "not measured"),
    ],
)
def test_number_keeps_three_digits(value, expected):
    assert number(value) == expected


def test_ratio_and_difference_are_written_out():
    assert times(7.46) == "7.5×"
    assert times(None) == "not measured"


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.5, "50%"), (0.0, "0%"), (1.0, "100%"), (0.996, "99.6%"), (0.004, "0.4%")],
)
def test_percentage_is_not_rounded_to_all_or_nothing(share, expected):
    assert percent(share) == expected


@pytest.mark.parametrize(
    ("names", "expected"), [([], "none"), (["a"], "a"), (["a", "b", "c"], "a, b and c")]
)
def test_names_are_joined(names, expected):
    assert join(names) == expected
