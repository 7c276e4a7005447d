"""Results as tables where a notebook shows them."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any


def html_table(rows: Iterable[Mapping[str, Any]], *, caption: str = "") -> str:
    """Rows with the same names as an HTML table, numbers with four significant digits.

    Args:
        rows: the cells of each row by the name of their column.
        caption: above the table.
    """
    rows = list(rows)
    names = list(rows[0]) if rows else []
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(_text(row[name]))}</td>' for name in names)}</tr>"
        for row in rows
    )
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
