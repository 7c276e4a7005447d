"""Checks of what comes from outside, with one wording for all of them."""

import torch
from jaxtyping import Integer
from torch import Tensor

from sparse_transformers.models.tracing import is_exporting, run_untraced


def check_whole(least: int, **arguments: int) -> None:
    """Raises a `ValueError` that names the first argument which is no whole number >= `least`."""
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


def check_dropout(dropout: float, name: str = "dropout") -> None:
    """Raises a `ValueError` unless `dropout` is a probability below 1."""
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


@run_untraced
def check_input_ids(input_ids: Integer[Tensor, "batch seq"], vocab_size: int) -> None:
    """Raises a `ValueError` unless these are whole numbers from 0 up to the vocabulary's size."""
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
