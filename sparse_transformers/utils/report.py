"""Words and tables for reports, chosen by numbers: Markdown out, nothing measured or saved."""

from collections.abc import Collection, Sequence

NOT_MEASURED = "not measured"
NO_VALUE = "–"
"""In a cell of a table that cannot have a number."""


def prose(text: str) -> str:
    """A paragraph on one line, as Markdown readers wrap it themselves."""
    return " ".join(text.split())


def bullets(sentences: Sequence[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"- {prose(sentence)}" for sentence in sentences)


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, words: Collection[str] | None = None
) -> str:
    """A Markdown table, with numbers set to the right.

    Args:
        headers: of the columns.
        rows: their cells.
        words: the headers of columns that are set to the left; by default the first.

    Raises:
        ValueError: a row has more or fewer cells than there are headers.
    """
    for row in rows:
        if len(row) != len(headers):
            raise ValueError(f"rows must have {len(headers)} cells each, got {list(row)}")
    left = headers[:1] if words is None else words
    alignment = ["---" if header in left else "---:" for header in headers]
    cells = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in (headers, alignment, *cells))


def image(path: str, description: str) -> str:
    """A Markdown image."""
    return f"![{description}]({path})"


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits and thousands set apart; None is "not measured"."""
    if value is None:
        return NOT_MEASURED
    rounded = float(f"{value:.{digits}g}")
    decimals = max(0, digits - 1 - _exponent(rounded))
    return f"{rounded:,.{decimals}f}"


def percent(share: float) -> str:
    """A share as a percentage, with a decimal only where it is needed to tell it from 0 or 100."""
    rounded = f"{share:.0%}"
    return rounded if rounded not in ("0%", "100%") or share in (0, 1) else f"{share:.1%}"


def times(ratio: float | None) -> str:
    """A ratio as "3.1×"; None is "not measured"."""
    return NOT_MEASURED if ratio is None else f"{number(ratio, 2)}×"


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 seed", "5 seeds"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def join(names: Sequence[str]) -> str:
    """Names as a list in a sentence: "none", "a", "a and b", "a, b and c"."""
    if len(names) < 2:
        return names[0] if names else "none"
    return ", ".join(names[:-1]) + " and " + names[-1]


def _exponent(value: float) -> int:
    return int(f"{value:e}".split("e")[1])
