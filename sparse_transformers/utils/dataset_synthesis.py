"""Synthetic data sets of claims, with text that can be read and a ceiling that is known.

`synthesize_...` returns the table together with the exact probabilities behind it; `generate_...`
returns the table alone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from sparse_transformers.utils.datasets.synthetic_liar import synthesize_liar
from sparse_transformers.utils.datasets.synthetic_multifc import (
    DOMAINS,
    MULTIFC_LABELS,
    synthesize_cross_domain,
    synthesize_multifc,
)
from sparse_transformers.utils.datasets.synthetic_sample import SyntheticSample
from sparse_transformers.utils.datasets.synthetic_truthfulqa import (
    TRUTHFULQA_LABELS,
    synthesize_truthfulqa,
)
from sparse_transformers.utils.runtime import atomic_write_text

__all__ = [
    "DOMAINS",
    "MULTIFC_LABELS",
    "SYNTHESIZERS",
    "TRUTHFULQA_LABELS",
    "SyntheticSample",
    "export_dataset_samples",
    "generate_cross_domain_dataset",
    "generate_liar_sample",
    "generate_multifc_sample",
    "generate_truthfulqa_sample",
    "synthesize_cross_domain",
    "synthesize_liar",
    "synthesize_multifc",
    "synthesize_truthfulqa",
]

SYNTHESIZERS: dict[str, Callable[..., SyntheticSample]] = {
    "liar": synthesize_liar,
    "truthfulqa": synthesize_truthfulqa,
    "multifc": synthesize_multifc,
}


def generate_liar_sample(
    n: int = 1000, *, seed: int = 0, bayes_accuracy: float = 0.35, leaky_history: bool = False
) -> pd.DataFrame:
    """The table of `synthesize_liar`.

    Example:
        >>> import sparse_transformers as st
        >>> claims = st.generate_liar_sample(100, seed=0)
        >>> claims["label"][0]
        'mostly-true'
        >>> claims["statement"][0]
        'Under a reckless plan, the jail wardens in Lorthas reportedly pooled a major slice of ...'
    """
    return synthesize_liar(
        n, seed=seed, bayes_accuracy=bayes_accuracy, leaky_history=leaky_history
    ).table


def generate_truthfulqa_sample(
    n: int = 1000, *, seed: int = 0, bayes_accuracy: float = 0.7
) -> pd.DataFrame:
    """The table of `synthesize_truthfulqa`.

    Example:
        >>> import sparse_transformers as st
        >>> questions = st.generate_truthfulqa_sample(10, seed=0)
        >>> questions["answer"][0], bool(questions["truthful"][0])
        ('It is guarded by a wizard.', True)
    """
    return synthesize_truthfulqa(n, seed=seed, bayes_accuracy=bayes_accuracy).table


def generate_multifc_sample(
    n: int = 1000, *, seed: int = 0, bayes_accuracy: float = 0.45
) -> pd.DataFrame:
    """The table of `synthesize_multifc`.

    Example:
        >>> import sparse_transformers as st
        >>> claims = st.generate_multifc_sample(10, seed=0)
        >>> claims["label"][0], claims["domain"][0]
        ('Not Credible', 'Sports')
    """
    return synthesize_multifc(n, seed=seed, bayes_accuracy=bayes_accuracy).table


def generate_cross_domain_dataset(
    domains: Sequence[str] = DOMAINS,
    samples_per_domain: int = 200,
    seed: int = 0,
    *,
    bayes_accuracy: float = 0.45,
) -> pd.DataFrame:
    """The table of `synthesize_cross_domain`.

    Example:
        >>> import sparse_transformers as st
        >>> claims = st.generate_cross_domain_dataset(["Health", "Sports"], samples_per_domain=5)
        >>> claims["domain"].value_counts().sort_index().to_dict()
        {'Health': 5, 'Sports': 5}
    """
    return synthesize_cross_domain(
        domains, samples_per_domain, seed=seed, bayes_accuracy=bayes_accuracy
    ).table


def export_dataset_samples(
    dataset_type: str = "liar", n: int = 100, path: str | Path | None = None, *, seed: int = 0
) -> pd.DataFrame:
    """Generate a synthetic table and write it to a file, whole or not at all.

    Args:
        dataset_type: "liar", "truthfulqa" or "multifc".
        n: the number of rows.
        path: where to write; the suffix .csv or .json chooses the format. A CSV file joins lists of
            answers with "; ", as TruthfulQA's does; a JSON file holds one object per row. None
            writes nothing.
        seed: the seed of the rows.

    Returns:
        The table, with lists as lists.

    Raises:
        OSError: the folder is missing or cannot be written to.
        ValueError: the type or the suffix is unknown, or `n` is out of range.

    Example:
        >>> import sparse_transformers as st
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = st.export_dataset_samples("liar", 10, Path(folder) / "claims.csv")
        ...     n_lines = len((Path(folder) / "claims.csv").read_text().splitlines())
        >>> len(table), n_lines
        (10, 11)
    """
    if dataset_type.lower() not in SYNTHESIZERS:
        raise ValueError(
            f"dataset_type must be one of {', '.join(SYNTHESIZERS)}, got {dataset_type!r}"
        )
    suffix = None if path is None else Path(path).suffix
    if suffix not in (None, ".csv", ".json"):
        raise ValueError(f"path must end in .csv or .json, got {str(path)!r}")
    table = SYNTHESIZERS[dataset_type.lower()](n, seed=seed).table
    if path is not None:
        atomic_write_text(path, _as_csv(table) if suffix == ".csv" else _as_json(table))
    return table


def _as_csv(table: pd.DataFrame) -> str:
    joined = table.map(lambda cell: "; ".join(cell) if isinstance(cell, list) else cell)
    return joined.to_csv(index=False, lineterminator="\n")


def _as_json(table: pd.DataFrame) -> str:
    return table.to_json(orient="records", indent=2, force_ascii=False) + "\n"
