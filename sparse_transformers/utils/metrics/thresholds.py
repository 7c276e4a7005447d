"""What a binary score is worth at each threshold, and the choice of one.

A row is called positive where its score is at least the threshold. **Choose the threshold on
validation data only**, and report the measures of that threshold on other data: the best value on
the data that it was chosen on is too good.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_transformers.utils.arrays import as_array
from sparse_transformers.utils.metrics.binary_scores import check_binary_scores

Criterion = Literal["f1", "mcc", "accuracy", "cost", "recall"]


@dataclass(frozen=True)
class ThresholdTable:
    """Measures at rising thresholds, one entry for each.

    Attributes:
        thresholds: a row is called positive where its score is at least this.
        precision: None where no row is called positive.
        recall: the share of the positive rows that are called positive.
        f1: the harmonic mean of precision and recall.
        mcc: Matthews' correlation; 0, as in scikit-learn, where all rows are called the same.
        accuracy: the share of rows that are called right.
        cost: of the errors, the mean per row.
    """

    thresholds: tuple[float, ...]
    precision: tuple[float | None, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    mcc: tuple[float, ...]
    accuracy: tuple[float, ...]
    cost: tuple[float, ...]


@dataclass(frozen=True)
class ThresholdChoice:
    """The threshold that a criterion chose, and the measures there, on the data of the choice.

    Attributes:
        criterion: what the threshold was chosen by.
        threshold: a row is called positive where its score is at least this.
        precision: None where no row is called positive.
        recall: as in `ThresholdTable`, at this threshold; so are the others.
        f1: the harmonic mean of precision and recall.
        mcc: Matthews' correlation.
        accuracy: the share of rows that are called right.
        cost: of the errors, the mean per row.
    """

    criterion: str
    threshold: float
    precision: float | None
    recall: float
    f1: float
    mcc: float
    accuracy: float
    cost: float


def threshold_analysis(
    y_true: "ArrayLike",
    y_prob: "ArrayLike",
    *,
    thresholds: "ArrayLike | None" = None,
    false_positive_cost: float = 1.0,
    false_negative_cost: float = 1.0,
) -> ThresholdTable:
    """Precision, recall, F1, MCC, accuracy and cost at each threshold.

    Args:
        y_true: 1 or True for the positive class, 0 or False for the other.
        y_prob: the probability, or another score, of the positive class; one per row.
        thresholds: where to look. None: at every score that occurs, and just above the highest,
            where no row is called positive.
        false_positive_cost: of calling a negative row positive.
        false_negative_cost: of calling a positive row negative.

    Raises:
        ValueError: a class is lacking, a label is not binary, a score is NaN, lengths differ, a
            threshold is NaN, or a cost is negative.
    """
    truth, scores = check_binary_scores(y_true, y_prob)
    if not (false_positive_cost >= 0 and false_negative_cost >= 0):
        raise ValueError(
            f"costs must not be negative, got {false_positive_cost} and {false_negative_cost}"
        )
    if thresholds is None:
        cuts = np.unique(scores)
        cuts = np.append(cuts, np.nextafter(cuts[-1], np.inf))
    else:
        cuts = np.sort(as_array(thresholds, np.float64))
        if cuts.ndim != 1 or not len(cuts) or np.any(np.isnan(cuts)):
            raise ValueError(f"thresholds must be a list of numbers, got {thresholds}")

    true_positives = _count_from(np.sort(scores[truth]), cuts)
    false_positives = _count_from(np.sort(scores[~truth]), cuts)
    false_negatives = truth.sum() - true_positives
    true_negatives = (~truth).sum() - false_positives
    called_positive = true_positives + false_positives
    called_negative = true_negatives + false_negatives

    precision = _ratio(true_positives, called_positive)
    spread = np.sqrt(called_positive * called_negative * truth.sum() * (~truth).sum())
    product = true_positives * true_negatives - false_positives * false_negatives
    paid = false_positive_cost * false_positives + false_negative_cost * false_negatives
    return ThresholdTable(
        thresholds=tuple(cuts.tolist()),
        precision=tuple(None if np.isnan(each) else each for each in precision.tolist()),
        recall=tuple((true_positives / truth.sum()).tolist()),
        f1=tuple((2 * true_positives / (called_positive + truth.sum())).tolist()),
        mcc=tuple(np.nan_to_num(_ratio(product, spread)).tolist()),
        accuracy=tuple(((true_positives + true_negatives) / len(truth)).tolist()),
        cost=tuple((paid / len(truth)).tolist()),
    )


def choose_threshold(
    y_true: "ArrayLike",
    y_prob: "ArrayLike",
    criterion: Criterion = "f1",
    *,
    min_recall: float = 0.9,
    false_positive_cost: float = 1.0,
    false_negative_cost: float = 1.0,
) -> ThresholdChoice:
    """The best of all thresholds; of equally good ones the highest. Use validation data only.

    Args:
        y_true: as in `threshold_analysis`.
        y_prob: as in `threshold_analysis`.
        criterion: "f1", "mcc" and "accuracy" are made highest, "cost" lowest; "recall" makes
            precision highest among the thresholds whose recall is at least `min_recall`.
        min_recall: above 0, at most 1; for the criterion "recall" alone.
        false_positive_cost: of calling a negative row positive.
        false_negative_cost: of calling a positive row negative.

    Raises:
        ValueError: the criterion is unknown, `min_recall` is out of range, or as in
            `threshold_analysis`.
    """
    if criterion not in get_args(Criterion):
        raise ValueError(
            f"criterion must be one of {', '.join(get_args(Criterion))}, got {criterion!r}"
        )
    if not 0 < min_recall <= 1:
        raise ValueError(f"min_recall must be above 0 and at most 1, got {min_recall}")
    table = threshold_analysis(
        y_true,
        y_prob,
        false_positive_cost=false_positive_cost,
        false_negative_cost=false_negative_cost,
    )
    if criterion == "recall":
        precision = np.array(table.precision, dtype=np.float64)
        goodness = np.where(np.array(table.recall) >= min_recall, precision, -np.inf)
    elif criterion == "cost":
        goodness = -np.array(table.cost)
    else:
        goodness = np.array(getattr(table, criterion))
    best = int(np.flatnonzero(goodness == goodness.max())[-1])
    measures = {field.name: getattr(table, field.name)[best] for field in fields(table)}
    return ThresholdChoice(criterion, measures.pop("thresholds"), **measures)


def _count_from(sorted_scores: NDArray[Any], cuts: NDArray[Any]) -> NDArray[np.float64]:
    """How many scores reach each cut, as floats: products of four counts overflow integers."""
    below = np.searchsorted(sorted_scores, cuts, side="left")
    return (len(sorted_scores) - below).astype(np.float64)


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """NaN where the denominator is zero."""
    known = denominator > 0
    return np.divide(numerator, denominator, out=np.full(len(known), np.nan), where=known)
