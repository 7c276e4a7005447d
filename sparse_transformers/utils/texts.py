"""Checks of texts that come from outside."""

from collections.abc import Iterable, Sequence


def check_list(**arguments: Iterable[object] | None) -> None:
    """Raises a `ValueError` that names the first argument which is a single text.

    It would pass for a list of its letters.
    """
    for name, several in arguments.items():
        if isinstance(several, str | bytes):
            raise ValueError(f"{name} must be a list, got the single text {several!r}")


def check_texts(**arguments: Sequence[str]) -> None:
    """Raises a `ValueError` that names the first argument which is no list of texts."""
    check_list(**arguments)
    for name, texts in arguments.items():
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"{name} must be texts, got {text!r} at index {place}")


def utf8(text: str, name: str) -> bytes:
    """The bytes of a text.

    Raises:
        ValueError: It holds half a surrogate pair, which is no character.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} must hold characters, got half a surrogate pair at place {error.start} of "
            f"{text[:60]!r}"
        ) from error
