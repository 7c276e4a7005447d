"""Predictions held against predictions: for repeated inputs, through time, and across domains.

Agreement alone rewards a model that always says the same. Each measure here either takes out the
agreement that chance would give, or states it beside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from sparse_transformers.utils.metrics.confusion_metrics import accuracy, ratio
from sparse_transformers.utils.metrics.label_encoding import Labels, factorize, found_classes
from sparse_transformers.utils.metrics.predictions import encode_predictions


@dataclass(frozen=True)
class PredictionConsistency:
    """How far predictions for one input agree with each other.

    Attributes:
        agreement: the probability that two predictions for one input are equal, averaged over the
            inputs.
        chance_agreement: the same for predictions drawn at random from all those given.
        consistency: Fleiss' kappa: 1 for full agreement, 0 for what chance gives, NaN if only one
            label was ever predicted, which no agreement can be told from.
    """

    agreement: float
    chance_agreement: float
    consistency: float


def calculate_prediction_consistency(
    y_pred: "ArrayLike", items: "ArrayLike"
) -> PredictionConsistency:
    """How consistent a model is over repetitions: paraphrases of a claim, or training seeds.

    One list of predictions for different claims has no consistency to speak of, whatever its
    distribution of labels.

    Args:
        y_pred: one prediction per row.
        items: which input each row is about; rows of one item are its repetitions. Items that
            occur once tell nothing about consistency and are left out.

    Raises:
        ValueError: the lengths differ, an entry is missing, or no item occurs twice.

    Source: Fleiss 1971, Psychological Bulletin 76(5); here the number of repetitions may differ
        between items, and every item weighs the same.
    """
    predicted = factorize("y_pred", y_pred)
    item = factorize("items", items, n_rows=len(predicted.codes))
    classes = found_classes([predicted])
    votes = np.zeros((len(item.values), len(classes)))
    np.add.at(votes, (item.codes, predicted.numbers(classes)), 1)
    votes = votes[votes.sum(axis=1) > 1]
    if len(votes) == 0:
        raise ValueError(f"items must name some input twice, got {len(item.values)} different ones")
    repetitions = votes.sum(axis=1)
    agreement = np.mean(np.sum(votes * (votes - 1), axis=1) / (repetitions * (repetitions - 1)))
    shares = np.mean(votes / repetitions[:, None], axis=0)
    chance = np.sum(shares**2)
    return PredictionConsistency(
        float(agreement),
        float(chance),
        consistency=ratio(agreement - chance, 1 - chance),
    )


def calculate_temporal_consistency(
    predictions: Sequence[ArrayLike], time_windows: Sequence[object]
) -> dict[str, float]:
    """How far predictions for the same rows agree from one time window to the next.

    Args:
        predictions: for each window one prediction per row, the same rows in the same order.
        time_windows: the names of the windows, in order of time.

    Returns:
        `temporal_consistency` (the mean over neighbouring windows of the share of equal
        predictions), `consistency_std` (sample standard deviation, NaN for two windows),
        `min_consistency`, `max_consistency`, and `chance_consistency`: the mean that two windows
        with these shares of labels would have by chance, 1 for a constant prediction.

    Raises:
        ValueError: there are fewer than two windows, or the lengths differ.
    """
    if len(predictions) != len(time_windows) or len(predictions) < 2:
        raise ValueError(
            "predictions must be a list for each of two or more time_windows, got"
            f" {len(predictions)} for {len(time_windows)}"
        )
    first = factorize(f"predictions of {time_windows[0]}", predictions[0])
    n_rows = len(first.codes)
    windows = [
        factorize(f"predictions of {window}", values, n_rows)
        for window, values in zip(time_windows, predictions, strict=True)
    ]
    classes = found_classes(windows)
    codes = [window.numbers(classes) for window in windows]
    shares = [np.bincount(each, minlength=len(classes)) / n_rows for each in codes]
    agreements = [np.mean(a == b) for a, b in pairwise(codes)]
    return {
        "temporal_consistency": float(np.mean(agreements)),
        "consistency_std": sample_std(agreements),
        "min_consistency": float(np.min(agreements)),
        "max_consistency": float(np.max(agreements)),
        "chance_consistency": float(np.mean([a @ b for a, b in pairwise(shares)])),
    }


def calculate_domain_transfer_metrics(
    source_predictions: "Mapping[str, ArrayLike]",
    target_predictions: "Mapping[str, ArrayLike]",
    ground_truth: "Mapping[str, ArrayLike]",
    *,
    labels: Labels | None = None,
) -> dict[str, float]:
    """What accuracy is lost where a model has to judge a domain that it was not trained on.

    Args:
        source_predictions: for each domain, the predictions for its rows by a model that was
            trained on that domain.
        target_predictions: for the same rows, those of a model that was trained elsewhere.
        ground_truth: the labels of the rows.
        labels: the classes in order; None finds them (see `label_encoding.py`).

    Returns:
        For each domain `<domain>_source_accuracy`, `<domain>_target_accuracy` and
        `<domain>_transfer_gap` (the first less the second); `average_transfer_gap`; and
        `transfer_consistency`, 1 less the sample standard deviation of the gaps (NaN for a single
        domain).

    Raises:
        ValueError: the three do not hold the same domains, there are none, or the labels of one
            are invalid.
    """
    domains = list(ground_truth)
    if not domains:
        raise ValueError("ground_truth must hold at least one domain, got none")
    for name, predictions in (
        ("source_predictions", source_predictions),
        ("target_predictions", target_predictions),
    ):
        if set(predictions) != set(domains):
            raise ValueError(
                f"{name} must hold the domains of ground_truth, {domains}, got {list(predictions)}"
            )
    results: dict[str, float] = {}
    gaps = []
    for domain in domains:
        at_home, abroad = (
            accuracy(
                encode_predictions(ground_truth[domain], each[domain], labels=labels).confusion
            )
            for each in (source_predictions, target_predictions)
        )
        gaps.append(at_home - abroad)
        results[f"{domain}_source_accuracy"] = at_home
        results[f"{domain}_target_accuracy"] = abroad
        results[f"{domain}_transfer_gap"] = gaps[-1]
    results["average_transfer_gap"] = float(np.mean(gaps))
    results["transfer_consistency"] = 1 - sample_std(gaps)
    return results


def sample_mean(values: Sequence[float]) -> float:
    """The mean; NaN for no values."""
    return float(np.mean(values)) if values else float("nan")


def sample_std(values: Sequence[float]) -> float:
    """The standard deviation that a sample suggests for its population; NaN for one value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
