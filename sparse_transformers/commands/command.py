"""What a command is, and how settings become arguments."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Command:
    """A word after `python -m sparse_transformers`, and its arguments."""

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    """Also says which function to call, as the default of the argument `run`."""


class FieldArguments:
    """Adds arguments that set fields of a config, with the config's own defaults."""

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
    """The fields of a config that have an argument of their name."""
    names = {field.name for field in fields(config_class)} - {"attention"}
    return {name: value for name, value in vars(arguments).items() if name in names}
