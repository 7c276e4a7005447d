"""What `torch.compile` runs as it stands, and what `torch.export` gets instead.

The layout of a pattern is made by ordinary Python from numbers, and checks look at values: neither
can be traced. `torch.compile` therefore calls these functions as they are, and compiles what is
between them. `torch.export` needs one graph without such calls: there attention is the dense
reference, which computes all scores, and values are not checked.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch

Function = TypeVar("Function", bound=Callable[..., Any])


def run_untraced(function: Function) -> Function:
    """The function, which `torch.compile` calls instead of looking into it.

    `torch.compiler.disable` alone would do, but it imports the compiler, which takes as long as
    importing PyTorch; so it waits until something is compiled.
    """
    untraced: list[Callable[..., Any]] = []

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if not torch.compiler.is_compiling() or is_exporting():
            return function(*args, **options)
        if not untraced:
            untraced.append(torch.compiler.disable(function))
        return untraced[0](*args, **options)

    return cast(Function, call)


def is_exporting() -> bool:
    """Whether `torch.export` runs the code to record it."""
    return hasattr(torch.compiler, "is_exporting") and torch.compiler.is_exporting()
