"""Text that stands in a README but is written by a command: tables of recorded results."""

from pathlib import Path

from sparse_transformers.utils.runtime import atomic_write_text


def start_mark(name: str) -> str:
    """The comment after which the generated text called `name` begins."""
    return f"<!-- {name}: written by `make readme` -->"


def end_mark(name: str) -> str:
    """The comment before which it ends."""
    return f"<!-- end of {name} -->"


def put_into_readme(readme: Path, texts: dict[str, str]) -> None:
    """Replace what stands between the marks of each text, and keep everything else.

    Args:
        readme: the file; it is written once, whole or not at all.
        texts: what to write, by name.

    Raises:
        OSError: the file cannot be read or written.
        ValueError: it lacks the marks of a text.
    """
    content = readme.read_text(encoding="utf-8")
    for name, text in texts.items():
        start, end = start_mark(name), end_mark(name)
        if content.count(start) != 1 or content.count(end) != 1:
            raise ValueError(f"{readme} must hold {start!r} and {end!r} once each")
        before, rest = content.split(start)
        _, after = rest.split(end)
        content = f"{before}{start}\n{text}\n{end}{after}"
    atomic_write_text(readme, content)
