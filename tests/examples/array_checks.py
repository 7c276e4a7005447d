"""What checks the annotations of arrays while tests run: their types and shapes, and nothing else.

Named in `addopts` of pyproject.toml, which hands it to jaxtyping's import hook. All other
annotations are mypy's to check; whoever ignores them at run time meets the package's own errors.
"""

from collections.abc import Callable
from typing import Any, TypeVar, get_args

from beartype import beartype
from jaxtyping import AbstractArray

Checked = TypeVar("Checked", bound=Callable[..., Any])


def check_arrays(function: Checked) -> Checked:
    """The function with its arrays checked by beartype, and everything else taken as it comes."""
    function.__annotations__ = {
        name: hint if holds_array(hint) else Any for name, hint in function.__annotations__.items()
    }
    return beartype(function)


def holds_array(hint: object) -> bool:
    """Whether an annotation is an array with a shape, or has one in it (`Float[...] | None`)."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(holds_array(part) for part in get_args(hint))
