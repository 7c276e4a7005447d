"""Texts made uniform before they are counted or learned from."""

import re
import unicodedata
from collections.abc import Callable, Sequence

import pandas as pd

from sparse_transformers.utils.texts import check_list

_PLAIN = str.maketrans(
    {"‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-", "−": "-"}
)

_CONTRACTION = re.compile(
    r"\b(?P<stem>[a-z]+?)(?P<ending>n['’]t|['’](?:re|ve|ll|m|s))\b(?=(?P<has>\s+(?:been|got|had)\b)?)",
    re.IGNORECASE,
)
_IRREGULAR = {"can't": "cannot", "won't": "will not", "shan't": "shall not", "let's": "let us"}
_ENDINGS = {"n't": "not", "'re": "are", "'ve": "have", "'ll": "will"}
# After any other word, 's may as well mark a possession.
_IS_AFTER = {"he", "she", "it", "that", "there", "here", "what", "who", "where", "how", "when"}


def expand_contractions(text: str) -> str:
    """Write "can't", "we're" and "it's" in full, with their capitals.

    Left as they are, because the reading depends on the sentence: 'd ("had" or "would"), 's after
    a noun ("is" or a possession), and "ain't".
    """
    text = _CONTRACTION.sub(_expand, text)
    return _CONTRACTION.sub(_expand, text)  # again, for what "shouldn't've" has become


def normalize_characters(text: str) -> str:
    """Plain quotes and dashes, one code for each character (NFKC), no control characters."""
    text = unicodedata.normalize("NFKC", text.translate(_PLAIN))
    return "".join(
        character
        for character in text
        if character.isspace() or unicodedata.category(character) not in ("Cc", "Cf")
    )


OPERATIONS: dict[str, Callable[[str], str]] = {
    "handle_special_chars": normalize_characters,
    "remove_urls": lambda text: re.sub(r"(?:https?://|\bwww\.)\S+", " ", text),
    "remove_mentions": lambda text: re.sub(r"(?<!\w)@\w+", " ", text),
    "remove_hashtags": lambda text: re.sub(r"(?<!\w)#\w+", " ", text),
    "expand_contractions": expand_contractions,
    "lowercase": str.lower,
    "remove_extra_whitespace": lambda text: " ".join(text.split()),
}
"""What can be done to a text, in the order in which it is done."""


def preprocess_text_data(
    df: pd.DataFrame,
    text_columns: Sequence[str],
    operations: Sequence[str] = ("lowercase", "remove_extra_whitespace", "handle_special_chars"),
) -> pd.DataFrame:
    """A copy of the table with its texts made uniform; missing texts stay missing.

    Args:
        df: the table.
        text_columns: which columns.
        operations: names from `OPERATIONS`. They are carried out in the order in which they stand
            there: contractions, for one, must be expanded before anything touches apostrophes.

    Raises:
        ValueError: a column or an operation is unknown.
    """
    check_list(text_columns=text_columns, operations=operations)
    if unknown := [column for column in text_columns if column not in df.columns]:
        raise ValueError(f"text_columns must be among {', '.join(map(str, df))}, got {unknown}")
    if unknown := [name for name in operations if name not in OPERATIONS]:
        raise ValueError(f"operations must be among {', '.join(OPERATIONS)}, got {unknown}")
    steps = [function for name, function in OPERATIONS.items() if name in operations]

    def process(text: object) -> object:
        if isinstance(text, str):
            for step in steps:
                text = step(text)
        return text

    return df.assign(**{column: df[column].map(process) for column in text_columns})


def _expand(match: re.Match[str]) -> str:
    contraction, stem = match[0].replace("’", "'"), match["stem"]
    ending = match["ending"].replace("’", "'")
    expanded = _IRREGULAR.get(contraction.lower())
    if expanded is None:
        expansion = _expansion(stem.lower(), ending.lower(), before_has=match["has"] is not None)
        if expansion is None:
            return match[0]
        return f"{stem} {expansion.upper() if ending.isupper() else expansion}"
    if ending.isupper():
        return expanded.upper()
    return expanded.capitalize() if stem[0].isupper() else expanded


def _expansion(stem: str, ending: str, *, before_has: bool) -> str | None:
    if ending == "'s":
        return ("has" if before_has else "is") if stem in _IS_AFTER else None
    if ending == "'m":
        return "am" if stem == "i" else None
    return None if (stem, ending) == ("ai", "n't") else _ENDINGS[ending]
