"""Which columns of a table say something about its labels, beyond what chance would.

Every measure here is compared with the same measure after shuffling the labels. The null hypothesis
is that any order of the labels is as likely as any other; rows of one speaker that resemble each
other are against it too, so an association says what holds in this table, not for new speakers.
For those there are `label_probes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency
from scipy.stats.contingency import crosstab
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.metrics.cluster import expected_mutual_information

from sparse_transformers.utils.analysis.dataset_columns import DatasetColumns
from sparse_transformers.utils.analysis.text_statistics import clean_texts
from sparse_transformers.utils.metrics.significance import holm_correction

FALSE_ALARMS = 0.01
"""The chance that a table in which nothing goes with the label has a column called significant."""

QUANTILE_BINS = 10
"""Numbers are compared by the tenth of the rows that they belong to."""

LEAST_ROOM = 0.1
"""Where chance alone seems to explain all but this, nearly every row has a value of its own."""

NEGATIONS = r"\b(?:no|not|never|none|nothing|nobody|neither|nor|cannot|without)\b|n['’]t\b"


@dataclass(frozen=True)
class ColumnAssociation:
    """How closely a column goes with the label.

    Attributes:
        column: its name; for a property of a text, "statement: words" or the like.
        values: different values; of numbers, the bins.
        adjusted_mutual_information: 0 is what chance gives on average, 1 is one label per value
            and one value per label.
        explained: of what there is to know about the label, the share that the value tells, beyond
            what it would seem to tell by chance: 1 if the label follows from the value. That is
            the adjusted mutual information on the scale of the label's entropy. It is set to 0
            where nearly every row has a value of its own, from which nothing can be learned.
        shuffled_high: the `explained` that 95% of the shuffled labels stay below.
        cramers_v: from 0 to 1, corrected for chance.
        p_value: of the shuffled labels (and the real ones), the share with no less mutual
            information.
        adjusted_p_value: the same, read together with the other columns of the table (Holm).
    """

    column: str
    values: int
    adjusted_mutual_information: float
    explained: float
    shuffled_high: float
    cramers_v: float
    p_value: float
    adjusted_p_value: float

    @property
    def is_significant(self) -> bool:
        """Whether chance is an unlikely explanation."""
        return self.adjusted_p_value <= FALSE_ALARMS


def measure_associations(
    labels: pd.Series,
    features: Mapping[str, pd.Series],
    *,
    n_shuffles: int = 1999,
    seed: int = 0,
) -> tuple[ColumnAssociation, ...]:
    """Compare each feature with the labels, the most informative first.

    Args:
        labels: one per row, none missing.
        features: names of things as they are; numbers are cut into `QUANTILE_BINS`. A missing
            value is a value of its own.
        n_shuffles: of the labels. With fewer than 100 per feature, nothing can be significant.
        seed: the seed of the shuffles.

    Raises:
        ValueError: `n_shuffles` is below 1, or a feature and the labels differ in length.

    Source: Vinh et al. 2010, JMLR 11 (adjusted mutual information); Bergsma 2013, Journal of the
    Korean Statistical Society 42(3) (bias-corrected V).
    """
    if n_shuffles < 1:
        raise ValueError(f"n_shuffles must be at least 1, got {n_shuffles}")
    if wrong := [name for name, each in features.items() if len(each) != len(labels)]:
        raise ValueError(f"features must have {len(labels)} rows like the labels, not so: {wrong}")
    codes = pd.factorize(labels)[0]
    values = {name: category_codes(each) for name, each in features.items()}
    n_log_n = np.arange(len(codes) + 1, dtype=np.float64)
    n_log_n[1:] *= np.log(n_log_n[1:])
    rng = np.random.default_rng(seed)
    null = np.empty((len(values), n_shuffles))
    for nth in range(n_shuffles):
        shuffled = rng.permutation(codes)
        null[:, nth] = [_cell_sum(shuffled, each, n_log_n) for each in values.values()]

    measured = [
        _measure(name, codes, each, n_log_n, shuffled_sums)
        for (name, each), shuffled_sums in zip(values.items(), null, strict=True)
    ]
    adjusted = holm_correction([each.p_value for each in measured])
    corrected = [
        replace(each, adjusted_p_value=p_value)
        for each, p_value in zip(measured, adjusted, strict=True)
    ]
    return tuple(sorted(corrected, key=lambda each: -each.explained))


def bias_features(table: pd.DataFrame, columns: DatasetColumns) -> dict[str, pd.Series]:
    """What could give a label away without the text being understood.

    All categories and numbers, and of every text its form: `text_form`.
    """
    features = {name: table[name] for name in (*columns.categories, *columns.numbers)}
    for name in columns.texts:
        form = text_form(table[name])
        features |= {f"{name}: {each}": form[each] for each in form}
    return {name: each for name, each in features.items() if len(set(category_codes(each))) > 1}


def text_form(texts: pd.Series) -> pd.DataFrame:
    """What is to be seen of a text from afar: its words, digits and negations, counted."""
    column = pd.Series(clean_texts(texts), index=texts.index, dtype=object)
    return pd.DataFrame(
        {
            "words": column.str.count(r"\S+"),
            "digits": column.str.count(r"\d"),
            "negations": column.str.lower().str.count(NEGATIONS),
        }
    )


def category_codes(column: pd.Series) -> np.ndarray:
    """Whole numbers from 0 for the values of a column: (rows,); numbers by quantile bin."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        column = column.astype(float)
        if column.nunique() > QUANTILE_BINS:
            finite = column.where(np.isfinite(column))
            column = pd.qcut(finite, QUANTILE_BINS, labels=False, duplicates="drop")
    else:
        column = column.map(str)
    return pd.factorize(column, use_na_sentinel=False)[0]


def _cell_sum(labels: np.ndarray, values: np.ndarray, n_log_n: np.ndarray) -> float:
    """The sum of n log n over the table of counts: all of it that shuffling labels changes."""
    return float(n_log_n[np.bincount(labels * (values.max() + 1) + values)].sum())


def _measure(
    name: str,
    labels: np.ndarray,
    values: np.ndarray,
    n_log_n: np.ndarray,
    shuffled_sums: np.ndarray,
) -> ColumnAssociation:
    n_rows = len(labels)
    counts = crosstab(labels, values).count
    label_sum, value_sum = n_log_n[counts.sum(1)].sum(), n_log_n[counts.sum(0)].sum()
    label_entropy = np.log(n_rows) - label_sum / n_rows
    chance = expected_mutual_information(counts, n_rows)
    room = label_entropy - chance

    def explained(cell_sum: float) -> float:
        if room <= LEAST_ROOM * label_entropy:
            return 0.0
        information = np.log(n_rows) + (cell_sum - label_sum - value_sum) / n_rows
        return float((information - chance) / room)

    observed = _cell_sum(labels, values, n_log_n)
    at_least_as_high = int(np.sum(shuffled_sums >= observed - 1e-9 * n_log_n[-1]))
    p_value = (1 + at_least_as_high) / (1 + len(shuffled_sums))
    return ColumnAssociation(
        column=name,
        values=counts.shape[1],
        adjusted_mutual_information=float(adjusted_mutual_info_score(labels, values)),
        explained=explained(observed),
        shuffled_high=explained(np.quantile(shuffled_sums, 0.95)),
        cramers_v=_corrected_cramers_v(counts),
        p_value=p_value,
        adjusted_p_value=p_value,
    )


def _corrected_cramers_v(counts: np.ndarray) -> float:
    n_rows, (n_labels, n_values) = counts.sum(), counts.shape
    phi2 = chi2_contingency(counts, correction=False).statistic / n_rows
    phi2 = max(0.0, phi2 - (n_labels - 1) * (n_values - 1) / (n_rows - 1))
    smaller = min(each - (each - 1) ** 2 / (n_rows - 1) for each in (n_labels, n_values)) - 1
    return float(min(1.0, np.sqrt(phi2 / smaller))) if smaller > 0 else 0.0
