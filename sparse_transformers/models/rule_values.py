"""A rule about positions, and the values that it holds: compared, copied, moved between devices.

A rule may look something up, such as the document of each position in a tensor. Two such rules are
the same if their tensors hold the same numbers, and a tensor that was changed in place makes
another rule. Neither `==` nor `hash` of a tensor can tell, so that caches use `content_of`.
"""

import copy
from collections.abc import Callable, Hashable, Iterator
from functools import cached_property
from hashlib import blake2b
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

Positions = Any  # an int, or an integer tensor of any shape that broadcasts
Ranges = list[tuple[Positions, Positions]]


@runtime_checkable
class PositionRule(Protocol):
    """The methods of a pattern that a layout calls; see `AttentionPattern`."""

    def allows(self, query: Positions, key: Positions) -> Any:
        """Whether position `query` may attend to position `key`."""

    def candidate_keys(self, first: Positions, last: Positions, k_len: int) -> Ranges | None:
        """Ranges of keys that hold all which queries `first..last` may attend to."""


Rule = TypeVar("Rule", bound=PositionRule)


def evaluate_rule(rule: PositionRule, query: Positions, key: Positions) -> Tensor:
    """What the rule says about these pairs, as truth values.

    Raises:
        ValueError: The rule does not work for several positions at once, or says something else.
    """
    try:
        answer = rule.allows(query, key)
    except (RuntimeError, ValueError, TypeError) as error:
        if not any(words in str(error) for words in _NEEDS_ONE_NUMBER):
            raise
        raise ValueError(
            f"{rule!r} is asked about many positions at once: `allows` must use &, |, ~ and "
            "comparisons of two, in place of and, or, not, if and a < b < c, and tensor operations "
            "in place of those on one number"
        ) from error
    allowed = answer if isinstance(answer, Tensor) else None
    if isinstance(answer, bool | np.ndarray):
        allowed = torch.as_tensor(answer, device="cpu")
    pairs = torch.broadcast_shapes(np.shape(query), np.shape(key))
    if allowed is None or allowed.dtype != torch.bool or not _fits(allowed.shape, pairs):
        found = repr(answer) if allowed is None else f"{allowed.dtype} {tuple(allowed.shape)}"
        raise ValueError(
            f"{rule!r} must say True or False for each pair of positions: `allows` must return "
            f"torch.bool that broadcasts to {tuple(pairs)}, got {found}"
        )
    return allowed


_NEEDS_ONE_NUMBER = ("ambiguous", "converted to Python scalars", "converted to an index")
"""What PyTorch says where Python asks a tensor of many numbers for one."""


def _fits(shape: torch.Size, pairs: torch.Size) -> bool:
    """Whether a tensor of this shape expands to all pairs."""
    ends = zip(reversed(shape), reversed(pairs), strict=False)
    return len(shape) <= len(pairs) and all(one in (1, other) for one, other in ends)


def content_of(value: Any) -> Hashable:
    """A key that two values share if they are equal, numbers inside tensors included.

    Raises:
        ValueError: The value holds something that cannot be compared.
    """
    if isinstance(value, Tensor):
        numbers = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        return ("tensor", value.dtype, value.shape, _digest(numbers))
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return ("array", value.dtype.str, value.shape, _digest(value))
    if isinstance(value, PositionRule):
        return (type(value), *((name, content_of(held)) for name, held in _held(value)))
    if isinstance(value, tuple | list):
        return (type(value), *map(content_of, value))
    if isinstance(value, dict):
        return ("dict", *((name, content_of(held)) for name, held in value.items()))
    if isinstance(value, set):
        return frozenset(value)
    try:
        hash(value)
    except TypeError as error:
        raise ValueError(
            "a pattern must hold numbers, texts, tensors, patterns or collections of them, "
            f"got {value!r}"
        ) from error
    return value


def snapshot(rule: Rule) -> Rule:
    """The rule with copies of its arrays, on the CPU; the rule itself if it holds none."""

    def copied(array: Tensor | np.ndarray) -> Tensor | np.ndarray:
        return array.detach().cpu().clone() if isinstance(array, Tensor) else array.copy()

    return _with_arrays(rule, copied)


def on_device(rule: Rule, device: torch.device | str) -> Rule:
    """The rule with its tensors on a device; the rule itself if they are there already."""
    return _with_arrays(rule, lambda array: torch.as_tensor(array, device=device))


def _with_arrays(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with `change` applied to its tensors and arrays; itself if nothing is changed."""
    if isinstance(value, Tensor | np.ndarray):
        return change(value)
    if isinstance(value, PositionRule):
        old = dict(_held(value))
        new = {name: _with_arrays(held, change) for name, held in old.items()}
        if all(new[name] is held for name, held in old.items()):
            return value
        changed = copy.copy(value)
        for name in _cached_names(value):  # made from the arrays before the change
            vars(changed).pop(name, None)
        for name, held in new.items():
            object.__setattr__(changed, name, held)
        return changed
    if type(value) in (tuple, list):
        items = [_with_arrays(item, change) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else type(value)(items)
    if type(value) is dict:
        held = {name: _with_arrays(item, change) for name, item in value.items()}
        return value if all(held[name] is item for name, item in value.items()) else held
    return value


def _held(rule: PositionRule) -> Iterator[tuple[str, Any]]:
    """What a rule holds, by name: the fields of a dataclass, and all other attributes."""
    fields = list(getattr(rule, "__dataclass_fields__", ()))
    others = getattr(rule, "__dict__", {}).keys() - set(fields) - _cached_names(rule)
    for name in [*fields, *sorted(others)]:
        yield name, getattr(rule, name)


def _cached_names(rule: object) -> set[str]:
    """The names of cached properties, which follow from the other values."""
    return {
        name
        for base in type(rule).__mro__
        for name, member in vars(base).items()
        if isinstance(member, cached_property)
    }


def _digest(numbers: np.ndarray) -> bytes:
    return blake2b(numbers.tobytes(), digest_size=16).digest()
