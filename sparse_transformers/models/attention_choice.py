"""Attention patterns in a configuration: names and options that JSON can hold.

A choice is one of
    "strided"                                   a name of `PATTERNS`, with options given beside it
    {"name": "strided", "stride": 64}           a name with options of its own
    {"any_of": [choice, ...]}                   the union of several choices
    {"all_of": [choice, ...]}                   their intersection
    {"not": choice}                             the complement
    {"per_head": [choice, ...]}                 one choice for each head, also as a plain list
    an `AttentionPattern`                       which is written in one of these forms if it can be
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from operator import and_, or_
from typing import Any

import numpy as np
from torch import Tensor

from sparse_transformers.models.attention_patterns import PATTERNS, make_pattern
from sparse_transformers.models.pattern_base import (
    AttentionPattern,
    Complement,
    Intersection,
    PerHead,
    PerSequence,
    Union,
    same_rule,
)

AttentionChoice = str | dict[str, Any] | AttentionPattern | tuple["AttentionChoice", ...]

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
    if not isinstance(options, Mapping):
        raise ValueError(f"attention_options must be a dictionary, got {options!r}")
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
    if isinstance(choice, AttentionPattern):
        return choice
    if isinstance(choice, dict) and isinstance(choice.get("name"), str):
        return make_pattern(**choice)
    if isinstance(choice, dict) and len(choice) == 1:
        [(form, parts)] = choice.items()
        if form == "not":
            return ~_pattern(parts, options)
        if form in _COMBINATIONS and isinstance(parts, list | tuple) and parts:
            return _COMBINATIONS[form]([_pattern(part, options) for part in parts])
    raise ValueError(
        "attention must be a pattern's name, {'name': ..., options}, {'any_of': [...]}, "
        "{'all_of': [...]}, {'not': ...}, {'per_head': [...]}, an AttentionPattern, "
        f"or a list of such, got {choice!r}"
    )


_COMBINATIONS: dict[str, Callable[[list[AttentionPattern]], AttentionPattern]] = {
    "any_of": lambda patterns: reduce(or_, patterns),
    "all_of": lambda patterns: reduce(and_, patterns),
    "per_head": lambda patterns: PerHead(tuple(patterns)),
}


def written_choice(choice: AttentionChoice) -> AttentionChoice:
    """The choice with its patterns as names and options, as far as these have names."""
    if isinstance(choice, tuple):
        return tuple(map(written_choice, choice))
    if isinstance(choice, AttentionPattern):
        try:
            return describe_pattern(choice)
        except ValueError:
            return choice
    return choice


def describe_pattern(pattern: AttentionPattern) -> dict[str, Any]:
    """The choice that makes this pattern, as values that JSON can hold.

    Raises:
        ValueError: A part of it has no name, holds something that JSON cannot, or is not the
            pattern that its options make.
    """
    if isinstance(pattern, Union):
        return {"any_of": (describe_pattern(pattern.left), describe_pattern(pattern.right))}
    if isinstance(pattern, Intersection):
        return {"all_of": (describe_pattern(pattern.left), describe_pattern(pattern.right))}
    if isinstance(pattern, Complement):
        return {"not": describe_pattern(pattern.pattern)}
    if isinstance(pattern, PerHead):
        return {"per_head": tuple(map(describe_pattern, pattern.patterns))}
    if isinstance(pattern, PerSequence):
        raise ValueError(
            f"a pattern for each sequence belongs to one batch and cannot be saved: give it to the "
            f"model's call as pattern=, got {pattern!r}"
        )
    for option, value in vars(pattern).items():
        if isinstance(value, Tensor | np.ndarray):
            raise ValueError(
                f"a pattern that holds a tensor cannot be saved: give it to the model's call as "
                f"pattern=, got {option} of {type(pattern).__name__}"
            )
    names = [name for name, made in PATTERNS.items() if made is type(pattern)]
    if not names:
        raise ValueError(
            f"a pattern that is saved needs a name: put @register_pattern('...') above the class "
            f"{type(pattern).__name__}"
        )
    parameters = inspect.signature(type(pattern)).parameters
    if lacking := [option for option in parameters if not hasattr(pattern, option)]:
        raise ValueError(
            f"a pattern that is saved must keep its options as attributes, "
            f"{type(pattern).__name__} has no {', '.join(lacking)}"
        )
    options = {option: _plain(getattr(pattern, option), option, pattern) for option in parameters}
    made = make_pattern(names[0], **options)
    if not same_rule(made, pattern):
        raise ValueError(
            f"a pattern that is saved must follow from its options; "
            f"with those of {pattern!r}, {type(pattern).__name__} makes {made!r}"
        )
    return {"name": names[0], **options}


def _plain(value: Any, option: str, pattern: AttentionPattern) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple | list):
        return tuple(_plain(each, option, pattern) for each in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(
        f"a pattern is saved with numbers and texts as options, got {type(value).__name__} as "
        f"{option} of {type(pattern).__name__}"
    )


def _bare_names(choice: AttentionChoice) -> Iterator[str]:
    if isinstance(choice, str):
        yield choice
    elif isinstance(choice, tuple):
        for part in choice:
            yield from _bare_names(part)
    elif isinstance(choice, dict) and "name" not in choice:
        for parts in choice.values():
            yield from _bare_names(tuple(parts) if isinstance(parts, list | tuple) else (parts,))


def _has_option(name: str, option: str) -> bool:
    return name in PATTERNS and option in inspect.signature(PATTERNS[name]).parameters
