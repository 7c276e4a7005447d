"""How well simple models guess a label from each part of a table, beside the same without labels.

A dataset is meant to be hard except through its text. If a model that sees only who spoke, how long
the text is, or some counts gets far, a good score on it does not mean that anything was understood.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.naive_bayes import MultinomialNB
from sklearn.preprocessing import StandardScaler

from sparse_transformers.utils.analysis.dataset_bias import category_codes, text_form
from sparse_transformers.utils.analysis.dataset_columns import DatasetColumns
from sparse_transformers.utils.analysis.label_balance import label_names
from sparse_transformers.utils.analysis.text_statistics import clean_texts
from sparse_transformers.utils.analysis.vocabulary import split_words
from sparse_transformers.utils.metrics.significance import Interval, bootstrap_interval

FEWEST_ROWS = 50
"""Fewer teach a model nothing."""
FEWEST_PER_LABEL = 10
"""Rows of rarer labels are left out."""

SIGNIFICANT = 0.05
"""Shuffled labels that do as well more often than this explain the accuracy of a probe."""

TEXT, FORM, METADATA, NUMBERS = "text", "form", "metadata", "numbers"
"""The words of the texts; their `text_form`; the categories; the numbers."""


@dataclass(frozen=True)
class Probe:
    """What a model that sees only some columns achieves on rows that it was not fitted to.

    Attributes:
        name: "text", "form", "metadata" or "numbers".
        columns: what the model sees.
        accuracy: the share of the rows that it gets right.
        lift: the accuracy less that of always guessing the most common label.
        shuffled_mean: the accuracy of the same model after the labels are shuffled, on average.
        shuffled_high: the highest of these accuracies.
        p_value: of the shuffled labels (and the real ones), the share with no lower accuracy.
    """

    name: str
    columns: tuple[str, ...]
    accuracy: Interval
    lift: Interval
    shuffled_mean: float
    shuffled_high: float
    p_value: float

    @property
    def beats_guessing(self) -> bool:
        """Whether it is above the most common label and above shuffled labels, beyond chance."""
        return self.lift.low > 0 and self.p_value < SIGNIFICANT


@dataclass(frozen=True)
class LabelProbes:
    """Several probes on the same rows and folds.

    Attributes:
        rows: with a label that is not too rare.
        majority: the share of the most common label.
        grouped_by: the column whose values are kept on one side of a fold; None without.
        folds: the number of folds of the cross-validation.
        probes: of the parts that the table has.
        advantage: how much more accurate the numbers are than the text or the metadata, whichever
            is better; than the most common label where there are neither. None without numbers.
        rival: which of these that is.
    """

    rows: int
    majority: float
    grouped_by: str | None
    folds: int
    probes: tuple[Probe, ...]
    advantage: Interval | None
    rival: str | None

    def find(self, name: str) -> Probe | None:
        """The probe of that name, if the table has such columns."""
        return next((probe for probe in self.probes if probe.name == name), None)


def probe_labels(
    table: pd.DataFrame,
    columns: DatasetColumns,
    *,
    n_folds: int = 5,
    n_shuffles: int = 20,
    seed: int = 0,
) -> LabelProbes | None:
    """Fit simple models to each part of the table, and to shuffled labels.

    Words, forms and categories go to naive Bayes, numbers to logistic regression; counts are
    entered as logarithms and as shares of the row's total. What rows look like (vocabulary, scale)
    is taken from all of them, what their labels are only from the fold's training rows. Rows of one
    group are on the same side, and are resampled together for the intervals.

    Args:
        table: the rows.
        columns: what its columns are for; there must be a label.
        n_folds: the number of folds of the cross-validation.
        n_shuffles: fits of each model to shuffled labels; with fewer than 20, no probe can be told
            from chance.
        seed: the seed of folds, shuffles and resamples.

    Returns:
        None if there are fewer than `FEWEST_ROWS` rows, two labels, or `n_folds` groups.

    Raises:
        ValueError: there is no label column, or a number of folds below 2 or shuffles below 1.
    """
    if columns.label is None:
        raise ValueError("columns must name a label, got None")
    if n_folds < 2 or n_shuffles < 1:
        raise ValueError(
            f"n_folds must be at least 2 and n_shuffles 1, got {n_folds} and {n_shuffles}"
        )
    table = table.reset_index(drop=True)
    labels = label_names(table[columns.label])
    labels = labels[labels.map(labels.value_counts()) >= max(FEWEST_PER_LABEL, n_folds)]
    table = table.loc[labels.index]
    codes, names = pd.factorize(labels)
    groups = None if columns.group is None else category_codes(table[columns.group])
    too_few_groups = groups is not None and len(set(groups)) < n_folds
    if len(table) < FEWEST_ROWS or len(names) < 2 or too_few_groups:
        return None

    if groups is None:
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    else:
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    folds = list(splitter.split(codes, codes, groups))
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(codes) for _ in range(n_shuffles)]
    majority = codes == np.bincount(codes).argmax()

    def interval(*right: np.ndarray) -> Interval:
        return bootstrap_interval(_mean_difference, *right, groups=groups, seed=seed)

    probes, rights = [], {"the most common label": majority}
    for name, (seen, features) in _inputs(table, columns).items():
        model = LogisticRegression(max_iter=1000) if name == NUMBERS else MultinomialNB()
        rights[name] = _predict(model, features, codes, folds) == codes
        null = np.array([np.mean(_predict(model, features, y, folds) == y) for y in shuffled])
        probes.append(
            Probe(
                name=name,
                columns=seen,
                accuracy=interval(rights[name], np.zeros_like(majority)),
                lift=interval(rights[name], majority),
                shuffled_mean=float(null.mean()),
                shuffled_high=float(null.max()),
                p_value=(1 + int(np.sum(null >= rights[name].mean()))) / (1 + n_shuffles),
            )
        )
    numbers = rights.pop(NUMBERS, None)
    rival = max(rights, key=lambda name: rights[name].mean())
    return LabelProbes(
        rows=len(table),
        majority=float(majority.mean()),
        grouped_by=columns.group,
        folds=n_folds,
        probes=tuple(probes),
        advantage=None if numbers is None else interval(numbers, rights[rival]),
        rival=None if numbers is None else rival,
    )


def _mean_difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(first.mean() - second.mean())


def _predict(
    model: LogisticRegression | MultinomialNB,
    features: np.ndarray | csr_matrix,
    codes: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """What the model says of each row when fitted to the rows of the other folds."""
    predicted = np.empty_like(codes)
    for train, held_out in folds:
        if len(set(codes[train])) == 1:  # one group held all other labels: nothing to fit
            predicted[held_out] = codes[train][0]
            continue
        model.fit(features[train], codes[train])
        predicted[held_out] = model.predict(features[held_out])
    return predicted


def _inputs(
    table: pd.DataFrame, columns: DatasetColumns
) -> dict[str, tuple[tuple[str, ...], np.ndarray | csr_matrix]]:
    """For each kind of probe the names of the columns, and features: (rows, features)."""
    inputs: dict[str, tuple[tuple[str, ...], np.ndarray | csr_matrix]] = {}
    if columns.texts:
        texts = [clean_texts(table[name]) for name in columns.texts]
        inputs[TEXT] = columns.texts, hstack([_bag(map(_words, each)) for each in texts], "csr")
        forms = [text_form(table[name]).add_prefix(f"{name}: ") for name in columns.texts]
        form = pd.concat(forms, axis=1)
        inputs[FORM] = tuple(form), _bag(_things(form.apply(category_codes)))
    if columns.categories:
        names = list(columns.categories)
        inputs[METADATA] = columns.categories, _bag(_things(table[names]))
    if columns.numbers:
        inputs[NUMBERS] = columns.numbers, _number_features(table[list(columns.numbers)])
    return inputs


def _bag(documents: Iterable[list[str]]) -> csr_matrix:
    return CountVectorizer(analyzer=lambda tokens: tokens, binary=True).fit_transform(documents)


def _words(text: str) -> list[str]:
    return ["(any text)", *split_words(text)]


def _things(table: pd.DataFrame) -> Iterable[list[str]]:
    """For each row its values as "column=value"; a cell may list several, with commas."""
    for row in table.itertuples(index=False):
        yield [
            f"{name}={part.strip()}"
            for name, value in zip(table.columns, row, strict=True)
            for part in str(value).split(",")
        ]


def _number_features(numbers: pd.DataFrame) -> np.ndarray:
    values = numbers.to_numpy(dtype=np.float64, copy=True)
    for column in values.T:
        known = np.isfinite(column)
        column[~known] = np.median(column[known]) if known.any() else 0.0
    is_count = ((values >= 0) & (values % 1 == 0)).all(axis=0)
    counts = values[:, is_count]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    features = np.concatenate([values[:, ~is_count], np.log1p(counts), shares], axis=1)
    return StandardScaler().fit_transform(features)
