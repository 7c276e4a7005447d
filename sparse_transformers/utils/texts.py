"""Checks of texts that come from outside."""

from collections.abc import Sequence


def check_texts(**arguments: Sequence[str]) -> None:
    """Raises a `ValueError` that names the first argument which is no list of texts.

    A single text would pass for a list of its letters.
    """
    for name, texts in arguments.items():
        if isinstance(texts, str | bytes):
            raise ValueError(f"{name} must be a list of texts, got the single text {texts!r}")
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
