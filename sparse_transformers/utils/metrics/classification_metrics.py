"""Truth against predictions: all metrics by name, and tables of what was called what."""

import pandas as pd
from numpy.typing import ArrayLike

from sparse_transformers.utils.metrics.confusion_metrics import (
    class_f1,
    class_precision,
    class_recall,
)
from sparse_transformers.utils.metrics.consistency_metrics import calculate_prediction_consistency
from sparse_transformers.utils.metrics.label_encoding import Labels
from sparse_transformers.utils.metrics.metric_table import compute_metrics
from sparse_transformers.utils.metrics.predictions import encode_predictions


def calculate_truthfulness_metrics(
    y_true: "ArrayLike",
    y_pred: "ArrayLike",
    y_prob: "ArrayLike | None" = None,
    average: str = "weighted",
    *,
    labels: Labels | None = None,
    ordinal: bool = False,
    items: "ArrayLike | None" = None,
) -> dict[str, float]:
    """Every metric that applies, by name; NaN where the data cannot tell (`explain_undefined`).

    - Two classes: `accuracy`; `precision`, `recall` and `f1` of the truthful class; `specificity`,
      `npv`, `mcc`, `kappa`; `truth_detection_rate` (of true claims, the share called true: recall)
      and `false_alarm_rate` (of false claims, the share called true).
    - More classes: `accuracy`, `mcc`, `kappa`, `macro_f1`, and `precision`, `recall` and `f1` as
      averages over the classes.
    - Ordinal: besides, `mean_absolute_error` in steps, `quadratic_kappa`, `within_one_accuracy`.
    - With probabilities: besides, `roc_auc` (one class against the rest if there are more than
      two), `pr_auc` (two classes), `brier_score`, `negative_log_likelihood` in nats;
      `average_confidence`, `expected_calibration_error` and `maximum_calibration_error` of the
      most probable class, in 15 bins of equal width; `adaptive_calibration_error` over all
      classes; `positive_class_calibration_error` (two classes).

    Args:
        y_true: the label of each row.
        y_pred: the predicted label of each row.
        y_prob: (rows, classes), or (rows,) for the probability of the positive of two classes.
        average: "weighted" by how often a class occurs, or "macro"; not used for two classes.
        labels: the classes in order; None finds them (see `label_encoding.py`).
        ordinal: whether the classes are steps on a scale; then `labels` are needed.
        items: which input each row is about, if inputs are repeated; adds
            `prediction_consistency`, chance-corrected (see `calculate_prediction_consistency`).

    Raises:
        ValueError: as `predictions.encode_predictions`; `average` is unknown; no item is repeated.
    """
    task_type = "ordinal" if ordinal else None
    predictions = encode_predictions(y_true, y_pred, y_prob, labels=labels, task_type=task_type)
    metrics = compute_metrics(predictions, average, ordinal=ordinal)
    if items is not None:
        consistency = calculate_prediction_consistency(y_pred, items)
        metrics["prediction_consistency"] = consistency.consistency
    return metrics


def generate_confusion_matrix(
    y_true: "ArrayLike", y_pred: "ArrayLike", class_names: Labels | None = None
) -> pd.DataFrame:
    """How often each class (row) was called each class (column).

    Args:
        y_true: the label of each row.
        y_pred: the predicted label of each row.
        class_names: the labels in order; None finds them (see `label_encoding.py`).

    Raises:
        ValueError: as `predictions.encode_predictions`.
    """
    predictions = encode_predictions(y_true, y_pred, labels=class_names)
    return pd.DataFrame(
        predictions.confusion,
        index=pd.Index(predictions.classes, name="truth"),
        columns=pd.Index(predictions.classes, name="predicted"),
    )


def calculate_class_wise_metrics(
    y_true: "ArrayLike", y_pred: "ArrayLike", class_names: Labels | None = None
) -> pd.DataFrame:
    """One row for each class: class, precision, recall, f1_score, support.

    NaN where a class was never predicted (precision), does not occur (recall), or both (F1).

    Args:
        y_true: the label of each row.
        y_pred: the predicted label of each row.
        class_names: the labels in order; None finds them.

    Raises:
        ValueError: as `predictions.encode_predictions`.
    """
    predictions = encode_predictions(y_true, y_pred, labels=class_names)
    counts = predictions.confusion
    return pd.DataFrame(
        {
            "class": predictions.classes,
            "precision": class_precision(counts),
            "recall": class_recall(counts),
            "f1_score": class_f1(counts),
            "support": counts.sum(axis=1),
        }
    )
