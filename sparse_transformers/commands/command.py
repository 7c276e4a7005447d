"""The commands of the command line, and arguments that set the fields of a configuration."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Command:
    """One command of `python -m sparse_transformers`.

    Attributes:
        name: the name on the command line.
        summary: one line for the list of commands.
        add_arguments: adds the arguments to a parser, and sets the default of the argument `run`
            to the function that runs the command.
    """

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]


class FieldArguments:
    """Adds arguments that set fields of a configuration and have the same defaults.

    Args:
        group: the arguments are added to it.
        defaults: a configuration with the default values.
    """

    def __init__(self, group: argparse._ArgumentGroup, defaults: Any) -> None:
        self.group = group
        self.defaults = defaults

    def add(
        self,
        flag: str,
        kind: type,
        meaning: str,
        *,
        field: str | None = None,
        choices: Sequence[str] | None = None,
    ) -> None:
        """Add one argument.

        Args:
            flag: the name of the argument, such as "--batch-size".
            kind: converts the text of the argument.
            meaning: the help text, to which the default is added.
            field: name of the field; None for that of the flag.
            choices: the allowed values; None for any.
        """
        field = field or flag.removeprefix("--").replace("-", "_")
        default = getattr(self.defaults, field)
        self.group.add_argument(
            flag,
            dest=field,
            type=kind,
            default=default,
            choices=choices,
            metavar=None if choices else kind.__name__.upper(),
            help=meaning if default is None else f"{meaning} (default: {default})",
        )


def given_fields(arguments: argparse.Namespace, config_class: Any) -> dict[str, Any]:
    """The values of the arguments that are named as fields of a configuration are."""
    names = {field.name for field in fields(config_class)} - {"attention"}
    return {name: value for name, value in vars(arguments).items() if name in names}
