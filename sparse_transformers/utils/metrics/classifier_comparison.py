"""Two classifiers on the same rows: is one better, or may it be chance?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sparse_transformers.utils.arrays import Codes
from sparse_transformers.utils.metrics.delong import delong_test, roc_auc
from sparse_transformers.utils.metrics.predictions import Predictions
from sparse_transformers.utils.metrics.significance import (
    McNemarResult,
    PairedDifference,
    mcnemar_test,
    paired_bootstrap,
)


@dataclass(frozen=True)
class ClassifierComparison:
    """How much better classifier `a` is than `b`.

    Attributes:
        accuracy: by paired bootstrap.
        mcnemar: of the accuracies; None where there are groups: it takes every row for independent.
        auc: by DeLong's test, or by paired bootstrap where there are groups; None if there are more
            than two classes, or no probabilities.
    """

    accuracy: PairedDifference
    mcnemar: McNemarResult | None
    auc: PairedDifference | None


def compare_classifiers(
    a: Predictions,
    b: Predictions,
    *,
    groups: "ArrayLike | None" = None,
    confidence: float = 0.95,
    n_resamples: int = 999,
    seed: int = 0,
) -> ClassifierComparison:
    """Compare the accuracy of two classifiers and, with the probabilities of both, their AUC.

    Args:
        a: truth and predictions of the first.
        b: those of the second; the same truth.
        groups: the group of each row; whole groups are drawn. None: every row by itself.
        confidence: the confidence level of the intervals around the differences.
        n_resamples: the number of resamples, 1 or more.
        seed: the seed of the resamples.

    Raises:
        ValueError: the two have different classes or truth, only one has probabilities, there are
            fewer than two rows of either class for an AUC, or as `paired_bootstrap`.
    """
    if a.classes != b.classes or not np.array_equal(a.truth, b.truth):
        raise ValueError(
            "a and b must be about the same rows and classes (pass labels if each predicts other"
            f" ones), got {a.classes} and {b.classes}"
        )
    if (a.probabilities is None) != (b.probabilities is None):
        raise ValueError("probabilities must be passed for both classifiers or for neither")
    resampling: dict[str, Any] = {
        "groups": groups,
        "confidence": confidence,
        "n_resamples": n_resamples,
        "seed": seed,
    }
    return ClassifierComparison(
        accuracy=paired_bootstrap(_accuracy, a.truth, a.predicted, b.predicted, **resampling),
        mcnemar=mcnemar_test(a.truth, a.predicted, b.predicted) if groups is None else None,
        auc=_compare_auc(a, b, resampling),
    )


def _compare_auc(
    a: Predictions, b: Predictions, resampling: Mapping[str, Any]
) -> PairedDifference | None:
    if a.probabilities is None or b.probabilities is None or len(a.classes) > 2:
        return None
    scores_a, scores_b = a.probabilities[:, 1], b.probabilities[:, 1]
    if resampling["groups"] is not None:
        return paired_bootstrap(roc_auc, a.truth, scores_a, scores_b, **resampling)
    try:
        result = delong_test(a.truth, scores_a, scores_b, resampling["confidence"])
    except ValueError:
        # Both separate the classes without a fault, one of them in reverse: no variance to test
        # with. Resampling says the same of every resample, and its p-value is that of their number.
        return paired_bootstrap(roc_auc, a.truth, scores_a, scores_b, **resampling)
    return PairedDifference(result.auc_a, result.auc_b, result.difference, result.p_value)


def _accuracy(truth: Codes, predicted: Codes) -> float:
    return float(np.mean(truth == predicted))
