"""Patterns for a length of text, by the names of `PATTERNS` and by other names in use."""

import inspect
from typing import Any

from sparse_transformers.models.attention_patterns import PATTERNS, AttentionPattern, make_pattern

ALIASES = {
    "sparse": "random",
    "sparse_random": "random",
    "local_window": "local",
    "block_sparse": "block",
}
"""Names that tutorials use, and those of `PATTERNS` for the same."""


def pattern_for_length(
    pattern: str | AttentionPattern, seq_len: int, **options: Any
) -> AttentionPattern:
    """The pattern of that name, with options that suit a length where none are given.

    Raises:
        ValueError: The name or an option is unknown, an option is out of range, or there are
            options for a pattern that has its own.
    """
    if isinstance(pattern, AttentionPattern):
        if options:
            raise ValueError(f"{pattern!r} has its options already, got {', '.join(options)}")
        return pattern
    name = full_name(pattern)
    if name in PATTERNS:
        example = PATTERNS[name].for_length(seq_len)
        known = inspect.signature(PATTERNS[name]).parameters
        options = {option: getattr(example, option) for option in known} | options
    return make_pattern(name, **options)


def full_name(name: str) -> str:
    """The name in `PATTERNS` of what has another name elsewhere."""
    return name if name in PATTERNS else ALIASES.get(name, name)
