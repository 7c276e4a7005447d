"""Attention patterns on the command line: names, and the options that their classes have."""

import argparse
import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import reduce
from operator import and_, or_
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sparse_transformers.models.attention_patterns import PATTERNS, AttentionPattern, make_pattern

FLAGS = {"count": "--sinks", "positions": "--global-tokens"}
"""Flags that say more than the name of the option does."""


def add_pattern_arguments(parser: argparse.ArgumentParser) -> None:
    """`--attention`, and an argument for each option that a pattern has."""
    group = parser.add_argument_group("attention")
    group.add_argument(
        "--attention",
        nargs="+",
        metavar="NAME",
        default=["local"],
        help=f"one pattern, or one for each layer: {', '.join(PATTERNS)} (default: local); "
        "a pattern may have options of its own, as in strided:stride=64,part=local, and be "
        "combined, as in 'sinks:count=4|local:window_size=64'",
    )
    for option, names in _names_by_option().items():
        read, choices = _reader(PATTERNS[names[0]], option)
        if read is not None:
            group.add_argument(
                _free_flag(parser, option),
                dest=f"pattern.{option}",
                type=read,
                choices=choices,
                metavar=None if choices else "VALUE",
                help=f"{', '.join(names)}: {_meaning(PATTERNS[names[0]], option)}",
            )


def attention_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields `attention` and `attention_options` of a configuration, from the arguments."""
    choices = [text if text.isidentifier() else parse_pattern(text) for text in arguments.attention]
    options = {
        name.removeprefix("pattern."): value
        for name, value in vars(arguments).items()
        if name.startswith("pattern.") and value is not None
    }
    return {
        "attention": choices[0] if len(choices) == 1 else tuple(choices),
        "attention_options": options,
    }


def parse_pattern(text: str) -> AttentionPattern:
    """The pattern of a text such as `strided:stride=64,part=local` or `local:window_size=9|causal`.

    Options are written as in a Python call; words need no quotes. `&` binds more than `|`.

    Raises:
        ValueError: the text has another form, or `make_pattern` refuses the name or an option.
    """
    either = [reduce(and_, map(_parse_one, both.split("&"))) for both in text.split("|")]
    return reduce(or_, either)


def _parse_one(text: str) -> AttentionPattern:
    name, _, options = text.strip().partition(":")
    try:
        call = ast.parse(f"options({options})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("every option needs a name")
        values = {str(option.arg): _literal(option.value) for option in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"patterns must look like local:window_size=256, got {text!r}") from error
    return make_pattern(name, **values)


def _names_by_option() -> dict[str, list[str]]:
    """The patterns that have each option, in the order of `PATTERNS`."""
    names: dict[str, list[str]] = {}
    for name, pattern in PATTERNS.items():
        if is_dataclass(pattern):
            for option in (field.name for field in fields(pattern) if field.init):
                names.setdefault(option, []).append(name)
    return names


def _free_flag(parser: argparse.ArgumentParser, option: str) -> str:
    """A flag for the option that no other argument of the command has."""
    flag = FLAGS.get(option, f"--{option.replace('_', '-')}")
    taken = {each for action in parser._actions for each in action.option_strings}
    return f"--pattern-{flag.removeprefix('--')}" if flag in taken else flag


def _reader(
    pattern: type[AttentionPattern], option: str
) -> tuple[Callable[[str], Any] | None, tuple[str, ...] | None]:
    """What reads the text of an option, and the words that it may be; None if no text can be it."""
    try:
        hint = get_type_hints(pattern)[option]
    except NameError:  # an annotation that only a type checker can read
        return None, None
    if get_origin(hint) is UnionType:
        [hint] = [each for each in get_args(hint) if each is not type(None)]
    if get_origin(hint) is Literal:
        return str, get_args(hint)
    readers: dict[Any, Callable[[str], Any]] = {
        int: int,
        float: float,
        str: str,
        bool: _truth,
        tuple[int, ...]: _whole_numbers,
    }
    return readers.get(hint), None


def _meaning(pattern: type[AttentionPattern], option: str) -> str:
    """What the docstring says about an option, up to the end of its first sentence."""
    documentation = inspect.getdoc(pattern) or ""
    entry = re.search(rf"^ +{option}: (.+(?:\n {{8,}}.+)*)", documentation, re.MULTILINE)
    if entry is None:
        return "see the pattern's class"
    return re.split(r"[.;] ", " ".join(entry[1].split()) + " ")[0].rstrip(". ").replace("%", "%%")


def _literal(node: ast.expr) -> Any:
    """The value of a number, a tuple, or a word with or without quotes."""
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


def _whole_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"must be true or false, got {text!r}")
    return text == "true"
