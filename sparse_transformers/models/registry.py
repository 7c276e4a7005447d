"""Names under which configurations and the command line find patterns, routers and selectors."""

from collections.abc import Callable
from typing import Any, TypeVar

Registered = TypeVar("Registered", bound=type)
Made = TypeVar("Made")


def register(
    table: dict[str, Any], base: type, kind: str, name: str
) -> Callable[[Registered], Registered]:
    """A class decorator that enters the class in `table` under `name`.

    Running a notebook cell again makes the same class anew, and takes its old place.

    Raises:
        ValueError: The name is no plain word or belongs to another class, or the class is no
            subclass of `base`.
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(
            f"the name of a {kind} must be a plain word such as 'powers', got {name!r}"
        )

    def enter(made: Registered) -> Registered:
        if not isinstance(made, type) or not issubclass(made, base):
            raise ValueError(f"a {kind} must be a subclass of {base.__name__}, got {made!r}")
        old = table.get(name, made)
        if (old.__module__, old.__qualname__) != (made.__module__, made.__qualname__):
            raise ValueError(f"the {kind} {name!r} is already {old.__module__}.{old.__qualname__}")
        table[name] = made
        return made

    return enter


def registered(table: dict[str, Made], kind: str, name: object) -> Made:
    """The class that has this name.

    Raises:
        ValueError: None has; the message says how a class gets it.
    """
    if isinstance(name, str) and name in table:
        return table[name]
    message = f"unknown {kind} {name!r}; known are {', '.join(table)}"
    if isinstance(name, str):
        message += (
            f"; one of your own needs @register_{kind}({name!r}) before it is used, "
            "on the command line --import FILE"
        )
    raise ValueError(message)
