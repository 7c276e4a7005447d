"""Rows of text, of one field or of several, and how they are split into words."""

import re
from collections.abc import Iterable, Mapping, Sequence

from sparse_transformers.utils.texts import check_list

Row = str | Mapping[str, str]
"""A text, or a mapping from the names of fields to texts, such as a question and an answer."""

REPEATED = "="
"""Prefix of a word that an earlier field holds too. `split_words` makes no other word with it."""

# "don't", "health-care" and "u.s" are words, "1,000" is one and "energy,history" are two.
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+|,\d{3}(?!\d))*|[^\w\s]|_")


def split_words(text: str) -> list[str]:
    """The words, numbers and signs of a text, in lower case."""
    return _WORD.findall(text.lower())


def read_fields(row: Row, fields: Sequence[str]) -> dict[str, str]:
    """The texts of the fields, in the order of `fields`; a plain text is the text of the only one.

    Raises:
        ValueError: the row lacks a field, or a field is not a text.
    """
    if isinstance(row, str):
        if len(fields) != 1:
            raise ValueError(
                f"a row must be a mapping with the fields {', '.join(fields)}, got {row!r}"
            )
        return {fields[0]: row}
    if not isinstance(row, Mapping):
        raise ValueError(f"a row must be a text, or a mapping of texts, got {row!r}")
    if lacking := [name for name in fields if not isinstance(row.get(name), str)]:
        raise ValueError(
            f"a row must hold a text in each of {', '.join(fields)}, lacks {', '.join(lacking)}"
        )
    return {name: row[name] for name in fields}


def words_by_field(
    row: Row, fields: Sequence[str], *, mark_repeats: bool = False
) -> dict[str, list[str]]:
    """The words of each field; with `mark_repeats`, `REPEATED` precedes those of earlier fields.

    Raises:
        ValueError: as `read_fields`.
    """
    by_field, earlier = {}, set[str]()
    for field, text in read_fields(row, fields).items():
        words = split_words(text)
        by_field[field] = [REPEATED + word if word in earlier else word for word in words]
        if mark_repeats:
            earlier |= set(words)
    return by_field


def check_fields(fields: Iterable[str]) -> tuple[str, ...]:
    """The names of the fields as a tuple.

    Raises:
        ValueError: there is no name, one occurs twice, or the fields are a single text.
    """
    check_list(fields=fields)
    names = tuple(fields)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"fields must be different names, at least one, got {names}")
    return names
