"""Attention patterns on the command line."""

import argparse
import ast
from collections.abc import Callable
from typing import Any

from sparse_transformers.models.attention_patterns import PATTERNS, AttentionPattern, make_pattern


def add_pattern_arguments(parser: argparse.ArgumentParser) -> None:
    """`--attention`, and an argument for each option that a pattern can have."""
    group = parser.add_argument_group("attention")
    group.add_argument(
        "--attention",
        nargs="+",
        metavar="NAME",
        default=["local"],
        help=f"one pattern, or one for each layer: {', '.join(PATTERNS)} (default: local)",
    )
    for flag, (option, read, meaning) in PATTERN_ARGUMENTS.items():
        group.add_argument(flag, dest=f"pattern.{option}", type=read, metavar="VALUE", help=meaning)


def attention_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields `attention` and `attention_options` of a configuration, from the arguments."""
    names = arguments.attention
    options = {
        option: getattr(arguments, f"pattern.{option}")
        for option, _, _ in PATTERN_ARGUMENTS.values()
        if getattr(arguments, f"pattern.{option}") is not None
    }
    return {
        "attention": names[0] if len(names) == 1 else tuple(names),
        "attention_options": options,
    }


def parse_pattern(text: str) -> AttentionPattern:
    """The pattern of a text such as `strided:stride=64,part=local`.

    Options are written as in a Python call; words need no quotes.

    Raises:
        ValueError: the text has another form, or `make_pattern` refuses the name or an option.
    """
    name, _, options = text.partition(":")
    try:
        call = ast.parse(f"options({options})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("every option needs a name")
        values = {str(option.arg): _literal(option.value) for option in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"patterns must look like local:window_size=256, got {text!r}") from error
    return make_pattern(name, **values)


def _literal(node: ast.expr) -> Any:
    """The value of a number, a tuple, or a word with or without quotes."""
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


def _positions(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


# By flag: the option of the pattern that it sets, its type, and the patterns that have it.
PATTERN_ARGUMENTS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "--window-size": ("window_size", int, "local, dilated, longformer"),
    "--dilation": ("dilation", int, "dilated, longformer"),
    "--stride": ("stride", int, "strided"),
    "--block-size": ("block_size", int, "fixed, block, bigbird"),
    "--summary-size": ("summary_size", int, "fixed"),
    "--part": ("part", str, "strided, fixed: both, local or column"),
    "--sparsity": ("sparsity", float, "block, random: the share that is skipped"),
    "--sinks": ("count", int, "sinks: how many first keys all queries see"),
    "--global-tokens": ("positions", _positions, "global: such as 0,1,2"),
    "--global-positions": ("global_positions", _positions, "longformer: such as 0,1,2"),
    "--window-blocks": ("window_blocks", int, "bigbird"),
    "--global-blocks": ("global_blocks", int, "bigbird"),
    "--random-blocks": ("random_blocks", int, "bigbird"),
    "--pattern-seed": ("seed", int, "block, random, bigbird"),
}
