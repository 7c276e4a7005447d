"""Checks of what comes from outside, with one wording for all of them."""

from dataclasses import fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from jaxtyping import Integer
from torch import Tensor

from sparse_transformers.models.tracing import is_exporting, run_untraced

MOST = 2**31 - 1
"""The largest whole number of an option, so that products of two fit into 64 bits."""


def check_whole(least: int, **arguments: int) -> None:
    """Raises a `ValueError` that names the first argument which is no whole number >= `least`.

    NumPy's whole numbers are whole numbers too.
    """
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if value > MOST:
            raise ValueError(f"{name} must be at most {MOST:,}, got {value!r}")


def check_options(record: Any, least: int, *names: str) -> None:
    """`check_whole` for fields of a frozen dataclass, which then hold Python's whole numbers."""
    for name in names:
        check_whole(least, **{name: getattr(record, name)})
        object.__setattr__(record, name, int(getattr(record, name)))


def check_seed(seed: int) -> int:
    """The seed as Python's whole number, which PyTorch's generators want.

    Raises:
        ValueError: It is no whole number, or takes more than 64 bits.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not -(2**63) <= seed < 2**64:
        raise ValueError(f"seed must be a whole number of 64 bits, got {seed!r}")
    return int(seed)


def check_truth(**arguments: bool) -> None:
    """Raises a `ValueError` that names the first argument which is not True or False."""
    for name, value in arguments.items():
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{name} must be True or False, got {value!r}")


def check_types(record: Any) -> None:
    """Raises a `ValueError` unless the fields of a dataclass hold the types that they name.

    A text is not a truth value, of which "false" would count as true, nor a tuple, which would be
    that of its letters. Whole numbers are numbers too; NumPy's become Python's, and lists tuples.
    Types that are not plain are left to the checks of the dataclass.
    """
    hints = get_type_hints(type(record))
    for name in (field.name for field in fields(record)):
        hint = hints[name]
        options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        plain = _as_plain(getattr(record, name), options, name)
        object.__setattr__(record, name, plain)


def _as_plain(value: Any, options: tuple[Any, ...], name: str) -> Any:
    """The value as the type of Python's that it stands for, if it is one of these types."""
    kinds = [get_origin(option) or option for option in options if option is not NoneType]
    if any(kind not in _PLAIN for kind in kinds) or (value is None and NoneType in options):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    fits = any(isinstance(value, _PLAIN[kind][0]) for kind in kinds)
    if not fits or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(
            f"{name} must be {' or '.join(_PLAIN[kind][1] for kind in kinds)}, got {value!r}"
        )
    return tuple(value) if isinstance(value, list) else value


_PLAIN: dict[Any, tuple[Any, str]] = {
    bool: (bool, "True or False"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "a text"),
    tuple: (tuple | list, "a tuple"),
}
"""For each plain type: what passes for it, and its name in messages."""


def check_number(**arguments: float | None) -> None:
    """Raises a `ValueError` that names the first argument which is neither a number nor None."""
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, Real | None):
            raise ValueError(f"{name} must be a number, got {value!r}")


def check_dropout(dropout: float, name: str = "dropout") -> None:
    """Raises a `ValueError` unless `dropout` is a probability below 1."""
    check_number(**{name: dropout})
    if not 0 <= dropout < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, got {dropout}")


def check_heads(d_model: int, n_heads: int, n_kv_heads: int | None) -> None:
    """Raises a `ValueError` unless the width splits into heads, and the heads into groups."""
    check_whole(1, d_model=d_model, n_heads=n_heads)
    if d_model % n_heads:
        raise ValueError(f"d_model must be a multiple of n_heads ({n_heads}), got {d_model}")
    if n_kv_heads is None:
        return
    check_whole(1, n_kv_heads=n_kv_heads)
    if n_heads % n_kv_heads:
        raise ValueError(f"n_heads must be a multiple of n_kv_heads ({n_kv_heads}), got {n_heads}")


def check_token(token: int, vocab_size: int, name: str) -> None:
    """Raises a `ValueError` unless `token` is a whole number below the vocabulary's size."""
    check_whole(0, **{name: token})
    if token >= vocab_size:
        raise ValueError(f"{name} must be below vocab_size ({vocab_size}), got {token}")


def check_is_ids(input_ids: Any) -> None:
    """Raises a `ValueError` unless this is a tensor, as a text is not."""
    if not isinstance(input_ids, Tensor):
        raise ValueError(
            "input_ids must be a tensor of token ids (batch, seq), such as "
            f"torch.tensor([list('a text'.encode())]) for bytes, got {input_ids!r}"
        )


@run_untraced
def check_input_ids(input_ids: Integer[Tensor, "batch seq"], vocab_size: int) -> None:
    """Raises a `ValueError` unless these are whole numbers from 0 up to the vocabulary's size."""
    check_is_ids(input_ids)
    if input_ids.dtype == torch.bool or input_ids.is_floating_point():
        raise ValueError(f"input_ids must be whole numbers, got dtype {input_ids.dtype}")
    if input_ids.ndim != 2 or 0 in input_ids.shape:
        raise ValueError(
            "input_ids must be (batch, seq) with at least one token, "
            f"got shape {tuple(input_ids.shape)}"
        )
    if is_exporting():
        return
    lowest, highest = int(input_ids.min()), int(input_ids.max())
    if lowest < 0 or highest >= vocab_size:
        raise ValueError(
            f"input_ids must be at least 0 and below vocab_size ({vocab_size}), "
            f"got {lowest} to {highest}"
        )
