"""Sentences from templates: cue words, which depend on the label, among fillers, which do not."""

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral

import numpy as np
import pandas as pd
from jaxtyping import Int

Pools = Mapping[str, Sequence[str]]
"""The words that may stand in each slot of a template."""


def phrases(listed: str) -> tuple[str, ...]:
    """The words or phrases of a list that is separated by a comma and a space."""
    return tuple(listed.split(", "))


def split_sizes(n: int) -> tuple[int, int]:
    """How many rows are for training, at the start of a table, and how many for validation."""
    n_valid = n // 5
    return n - n_valid, n_valid


def split_column(n: int) -> list[str]:
    """The name of the part that each row belongs to."""
    n_train, n_valid = split_sizes(n)
    return ["train"] * n_train + ["valid"] * n_valid


def draw_fillers(
    n: int, rng: np.random.Generator, *, shared: Pools, held_out: Pools
) -> pd.DataFrame:
    """Fillers for n different sentences: the validation rows, at the end, use words of their own.

    Args:
        n: the number of rows.
        rng: the source of randomness.
        shared: words for all rows.
        held_out: words of which the last quarter is for the validation rows alone.

    Returns:
        One row of words per sentence, one column per slot. No two rows are alike.

    Raises:
        ValueError: `n` is below 1, or there are too few words.
    """
    check_at_least_one("n", n)
    n_train, n_valid = split_sizes(n)
    seen = {name: seen_words(pool) for name, pool in held_out.items()}
    unseen = {name: unseen_words(pool) for name, pool in held_out.items()}
    parts = [
        draw_distinct(n_train, rng, {**shared, **seen}),
        draw_distinct(n_valid, rng, {**shared, **unseen}),
    ]
    return pd.concat(parts, ignore_index=True)


def draw_distinct(n: int, rng: np.random.Generator, pools: Pools) -> pd.DataFrame:
    """Draw n different combinations of one word from each pool, all equally probable.

    Raises:
        ValueError: there are fewer than n combinations.
    """
    sizes = [len(pool) for pool in pools.values()]
    capacity = math.prod(sizes)
    if n > capacity:
        raise ValueError(
            f"n must be smaller: there are {capacity:,} different combinations of "
            f"{', '.join(pools)}, got {n:,} to draw"
        )
    places = np.unravel_index(rng.choice(capacity, size=n, replace=False), sizes)
    return pd.DataFrame(
        {
            name: np.array(pool, dtype=object)[place]
            for (name, pool), place in zip(pools.items(), places, strict=True)
        }
    )


def cue_words(cues: Pools, options: Int[np.ndarray, "n cues"]) -> pd.DataFrame:
    """The words behind the indices of options: one column per cue."""
    return pd.DataFrame(
        {
            name: np.array(words, dtype=object)[options[:, slot]]
            for slot, (name, words) in enumerate(cues.items())
        }
    )


def write_sentences(templates: Iterable[str], words: pd.DataFrame) -> list[str]:
    """Fill each template with its row of words, and begin with a capital letter."""
    rows = words.to_dict("records")
    sentences = [template.format(**row) for template, row in zip(templates, rows, strict=True)]
    return [sentence[0].upper() + sentence[1:] for sentence in sentences]


def check_at_least_one(name: str, count: int) -> None:
    """Raise a ValueError unless `count` is the number of rows of a table."""
    if not isinstance(count, Integral) or count < 1:
        raise ValueError(f"{name} must be a whole number and at least 1, got {count}")


def seen_words(pool: Sequence[str]) -> Sequence[str]:
    """The words that training rows may use: three quarters of a pool."""
    return pool[: len(pool) * 3 // 4]


def unseen_words(pool: Sequence[str]) -> Sequence[str]:
    """The words that only validation rows use: the last quarter of a pool."""
    return pool[len(pool) * 3 // 4 :]
