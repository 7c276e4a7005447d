"""Attention patterns in a configuration: names and options that JSON can hold.

A choice is one of
    "strided"                                   a name of `PATTERNS`, with options given beside it
    {"name": "strided", "stride": 64}           a name with options of its own
    {"any_of": [choice, ...]}                   the union of several choices
    [choice, ...]                               one choice for each head
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any

from sparse_transformers.models.attention_patterns import PATTERNS, make_pattern
from sparse_transformers.models.pattern_base import AttentionPattern, PerHead

AttentionChoice = str | dict[str, Any] | tuple["AttentionChoice", ...]

DEFAULT_OPTIONS: dict[str, dict[str, Any]] = {"local": {"window_size": 256}}
"""Default options of patterns that are given by their name alone."""


def patterns_from_choices(
    choices: Sequence[AttentionChoice], options: Mapping[str, Any]
) -> tuple[AttentionPattern, ...]:
    """The pattern of each choice.

    Args:
        choices: One for each layer.
        options: Options of the patterns that are given by their name alone; each option applies to
            all of these that have it.

    Raises:
        ValueError: A choice of another form, an unknown name or option, an option that no name has,
            or a value out of range.
    """
    patterns = tuple(_pattern(choice, options) for choice in choices)
    names = {name for choice in choices for name in _bare_names(choice)}
    unused = [option for option in options if not any(_has_option(name, option) for name in names)]
    if unused:
        raise ValueError(
            f"attention_options are for patterns given as a bare name "
            f"({', '.join(sorted(names)) or 'there is none'}); none has {', '.join(unused)}"
        )
    return patterns


def _pattern(choice: AttentionChoice, options: Mapping[str, Any]) -> AttentionPattern:
    if isinstance(choice, str):
        own = {name: value for name, value in options.items() if _has_option(choice, name)}
        return make_pattern(choice, **{**DEFAULT_OPTIONS.get(choice, {}), **own})
    if isinstance(choice, tuple):
        return PerHead(tuple(_pattern(head, options) for head in choice))
    if isinstance(choice, dict) and isinstance(choice.get("name"), str):
        return make_pattern(**choice)
    if isinstance(choice, dict) and choice.keys() == {"any_of"} and choice["any_of"]:
        return reduce(or_, (_pattern(part, options) for part in choice["any_of"]))
    raise ValueError(
        "attention must be a pattern's name, {'name': ..., options}, {'any_of': [...]}, "
        f"or a list of such, got {choice!r}"
    )


def _bare_names(choice: AttentionChoice) -> Iterator[str]:
    if isinstance(choice, str):
        yield choice
    parts = choice.get("any_of", ()) if isinstance(choice, dict) else choice
    if not isinstance(choice, str):
        for part in parts:
            yield from _bare_names(part)


def _has_option(name: str, option: str) -> bool:
    return name in PATTERNS and option in inspect.signature(PATTERNS[name]).parameters
