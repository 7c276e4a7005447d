"""Loaders of real data from files that the user has, and how to split what they return.

Nothing is downloaded but enwik8, and that only if asked for.
"""

from sparse_transformers.utils.datasets.dataset_splits import (
    create_train_test_split,
    split_by_group,
)
from sparse_transformers.utils.datasets.enwik8 import ByteSplits, load_enwik8
from sparse_transformers.utils.datasets.judged_answers import load_judged_answers
from sparse_transformers.utils.datasets.liar_dataset import (
    LIAR_COLUMNS,
    LIAR_HISTORY,
    LIAR_LABELS,
    LIAR_TRUTHFUL,
    load_liar,
)
from sparse_transformers.utils.datasets.truthfulqa_dataset import load_truthfulqa

__all__ = [
    "LIAR_COLUMNS",
    "LIAR_HISTORY",
    "LIAR_LABELS",
    "LIAR_TRUTHFUL",
    "ByteSplits",
    "create_train_test_split",
    "load_enwik8",
    "load_judged_answers",
    "load_liar",
    "load_truthfulqa",
    "split_by_group",
]
