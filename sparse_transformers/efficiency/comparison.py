"""What benchmarks share that compare implementations: directions, gaps, the machine in words."""

import re
from collections.abc import Sequence
from textwrap import shorten
from typing import Any, Literal

Direction = Literal["forward", "forward_backward"]
DIRECTIONS: tuple[Direction, ...] = ("forward", "forward_backward")


class CannotMeasureError(Exception):
    """Why an arm has no number; the message goes into the table."""


def root_cause(error: BaseException) -> str:
    """Type and first line of the exception at the bottom of the chain."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    message = (str(error).strip() or "no message").splitlines()[0]
    # torch.compile replaces what the traced code raised by an exception that quotes it.
    quoted = re.fullmatch(r"raised exception (\w+)\(['\"](.*)['\"]\)", message)
    name, message = quoted.groups() if quoted else (type(error).__name__, message)
    return shorten(f"{name}: {message}", width=160)


def measured_with(environments: Sequence[dict[str, Any]]) -> str:
    """The machine and the software, each differing value once."""
    values = {
        name: " and ".join(dict.fromkeys(str(each[name]) for each in environments))
        for name in environments[0]
        if environments[0][name] is not None
    }
    return f"Measured with {', '.join(f'{name} {value}' for name, value in values.items())}."
