"""From the fields of a row of text to token ids: words of a vocabulary, or bytes.

Every field has token ids of its own: "true" in the statement and "true" in the context are two
tokens. The ids of a field are consecutive, and 0 is padding, so a model finds the field of a token
from the first id of each field.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from sparse_transformers.claims.text_rows import (
    Row,
    check_fields,
    read_fields,
    words_by_field,
)
from sparse_transformers.training.padding import PADDING
from sparse_transformers.utils.runtime import atomic_write_text
from sparse_transformers.utils.texts import check_list, utf8

TOKENIZER_FILE = "tokenizer.json"


@runtime_checkable
class TextTokenizer(Protocol):
    """What `WordTokenizer` and `ByteTokenizer` have in common.

    Attributes:
        fields: the names of the fields, in the order in which they are encoded.
        field_starts: the first token id of each field.
        vocab_size: the number of token ids, padding included.
    """

    fields: tuple[str, ...]
    field_starts: tuple[int, ...]
    vocab_size: int

    def encode(self, row: Row) -> list[int]:
        """The token ids of all fields, one field after the other; at least one id.

        Raises:
            ValueError: the row lacks a field, or a field is not a text.
        """

    def to_dict(self) -> dict[str, Any]:
        """The whole tokenizer as JSON values, which `tokenizer_from_dict` takes back."""


class WordTokenizer:
    """Words, numbers and signs, in lower case. Every field has one token for unknown words.

    >>> tokenizer = WordTokenizer({"question": ["owls", "eat"], "answer": ["mice"]})
    >>> tokenizer.encode({"question": "Owls eat?", "answer": "mice"})
    [2, 3, 1, 5]

    Args:
        vocabulary: the words of each field, in the order of their token ids.
        mark_repeats: whether a word that an earlier field holds too is a token of its own. It
            separates the words that an answer repeats from the question from those that it adds.

    Raises:
        ValueError: there is no field, or a field holds a word twice.
    """

    kind: ClassVar[str] = "words"

    def __init__(
        self, vocabulary: Mapping[str, Sequence[str]], *, mark_repeats: bool = False
    ) -> None:
        self.fields = check_fields(vocabulary)
        self.mark_repeats = mark_repeats
        self.vocabulary = {field: tuple(words) for field, words in vocabulary.items()}
        self._tokens: dict[str, dict[str, int]] = {}
        starts, start = [], PADDING + 1
        check_list(**{f"vocabulary[{field!r}]": words for field, words in vocabulary.items()})
        for field, words in self.vocabulary.items():
            starts.append(start)  # the token of unknown words
            self._tokens[field] = {word: start + 1 + nth for nth, word in enumerate(words)}
            if len(self._tokens[field]) < len(words):
                twice = Counter(words).most_common(1)[0][0]
                raise ValueError(f"vocabulary[{field!r}] must hold each word once, got {twice!r}")
            start += 1 + len(words)
        self.field_starts = tuple(starts)
        self.vocab_size = start

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[Row],
        fields: Sequence[str] = ("text",),
        *,
        min_count: int = 2,
        max_words: int | None = None,
        mark_repeats: bool = False,
    ) -> "WordTokenizer":
        """The tokenizer with the words of these rows as its vocabulary, the most frequent first.

        Args:
            rows: the training rows.
            fields: the names of the fields.
            min_count: in at least so many rows a field must hold a word for it to be included.
            max_words: the largest number of words per field; None for all.
            mark_repeats: as in the class.

        Raises:
            ValueError: a number is below 1, or a row lacks a field.
        """
        if min_count < 1 or (max_words is not None and max_words < 1):
            raise ValueError(
                f"min_count and max_words must be at least 1, got {min_count} and {max_words}"
            )
        check_list(rows=rows)
        counts: dict[str, Counter[str]] = {field: Counter() for field in check_fields(fields)}
        for row in rows:
            for field, words in words_by_field(row, fields, mark_repeats=mark_repeats).items():
                counts[field].update(set(words))
        vocabulary = {}
        for field, count in counts.items():
            known = [word for word, rows_with_it in count.items() if rows_with_it >= min_count]
            vocabulary[field] = sorted(known, key=lambda word: (-count[word], word))[:max_words]
        return cls(vocabulary, mark_repeats=mark_repeats)

    def encode(self, row: Row) -> list[int]:
        tokens = [
            self._tokens[field].get(word, unknown)
            for unknown, (field, words) in zip(
                self.field_starts,
                words_by_field(row, self.fields, mark_repeats=self.mark_repeats).items(),
                strict=True,
            )
            for word in words
        ]
        return tokens or [self.field_starts[0]]

    def to_dict(self) -> dict[str, Any]:
        vocabulary = {field: list(words) for field, words in self.vocabulary.items()}
        return {"kind": self.kind, "vocabulary": vocabulary, "mark_repeats": self.mark_repeats}


class ByteTokenizer:
    """UTF-8 bytes: no vocabulary, no unknown token, and about five times as many tokens as words.

    >>> ByteTokenizer(("question", "answer")).encode({"question": "a", "answer": "a"})
    [98, 354]

    Args:
        fields: the names of the fields; each has 256 token ids.
    """

    kind: ClassVar[str] = "bytes"

    def __init__(self, fields: Sequence[str] = ("text",)) -> None:
        self.fields = check_fields(fields)
        self.field_starts = tuple(1 + 256 * nth for nth in range(len(self.fields)))
        self.vocab_size = 1 + 256 * len(self.fields)

    def encode(self, row: Row) -> list[int]:
        texts = read_fields(row, self.fields)
        tokens = [
            start + byte
            for start, text in zip(self.field_starts, texts.values(), strict=True)
            for byte in utf8(text, "text")
        ]
        return tokens or [self.field_starts[0]]

    def decode(self, tokens: Iterable[int]) -> dict[str, str]:
        """The texts of the fields; bytes that are not valid UTF-8 become U+FFFD.

        Raises:
            ValueError: a number is not a token id.
        """
        contents = [bytearray() for _ in self.fields]
        for token in tokens:
            if not PADDING <= token < self.vocab_size:
                raise ValueError(f"tokens must be below {self.vocab_size}, got {token}")
            if token != PADDING:
                contents[(token - 1) // 256].append((token - 1) % 256)
        texts = (content.decode(errors="replace") for content in contents)
        return dict(zip(self.fields, texts, strict=True))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "fields": list(self.fields)}


def tokenizer_from_dict(values: Mapping[str, Any]) -> TextTokenizer:
    """The tokenizer whose `to_dict` this is.

    Raises:
        ValueError: the kind is unknown, or the other keys are not those of this kind.
    """
    kinds: dict[str, tuple[type, set[str]]] = {
        WordTokenizer.kind: (WordTokenizer, {"vocabulary", "mark_repeats"}),
        ByteTokenizer.kind: (ByteTokenizer, {"fields"}),
    }
    arguments = dict(values)
    kind = arguments.pop("kind", None)
    if kind not in kinds:
        raise ValueError(f"unknown kind of tokenizer {kind!r}; known are {', '.join(kinds)}")
    make, names = kinds[kind]
    if arguments.keys() != names:
        raise ValueError(
            f"a tokenizer of {kind} must have {', '.join(sorted(names))}, "
            f"got {', '.join(sorted(arguments)) or 'nothing'}"
        )
    tokenizer: TextTokenizer = make(**arguments)
    return tokenizer


def save_tokenizer(tokenizer: TextTokenizer, folder: str | Path) -> None:
    """Write `tokenizer.json` into an existing folder."""
    text = json.dumps(tokenizer.to_dict(), ensure_ascii=False, indent=0) + "\n"
    atomic_write_text(Path(folder) / TOKENIZER_FILE, text)


def load_tokenizer(folder: str | Path) -> TextTokenizer:
    """Read what `save_tokenizer` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged.
    """
    path = Path(folder) / TOKENIZER_FILE
    try:
        return tokenizer_from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} holds no tokenizer: {error}") from error
