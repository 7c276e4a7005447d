"""An evaluator of classifiers of claims: metrics, error bars, thresholds, comparisons."""

from collections.abc import Mapping
from math import nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sparse_transformers.utils.metrics.classifier_comparison import (
    ClassifierComparison,
    compare_classifiers,
)
from sparse_transformers.utils.metrics.confusion_metrics import check_average
from sparse_transformers.utils.metrics.consistency_metrics import sample_mean, sample_std
from sparse_transformers.utils.metrics.group_metrics import (
    difficulty_performance,
    group_performance,
)
from sparse_transformers.utils.metrics.label_encoding import Labels, check_task
from sparse_transformers.utils.metrics.metric_intervals import metric_limits
from sparse_transformers.utils.metrics.metric_table import (
    applicable_metrics,
    compute_metrics,
    explain_undefined,
)
from sparse_transformers.utils.metrics.predictions import (
    Predictions,
    encode_predictions,
    encode_truth,
)
from sparse_transformers.utils.metrics.thresholds import ThresholdTable, threshold_analysis

GROUPINGS = {
    "categories": "category_performance",
    "sources": "source_performance",
    "difficulty": "difficulty_performance",
}
"""What `metadata` may hold, and the name of the result."""


class TruthfulnessEvaluator:
    """Evaluates classifiers of claims, and remembers the evaluations for a summary.

    Args:
        task_type: "binary", "multiclass", or "ordinal" for steps on a scale.
        labels: the classes in order, the truthful one last for a binary task, the columns of
            probabilities in the same order. None: truth values for a binary task, the sorted
            labels that occur for a multiclass one; an ordinal one needs them.
        average: of precision, recall and F1 over more than two classes, "weighted" or "macro".

    Raises:
        ValueError: the task or the average is unknown, or `labels` does not fit the task.

    Example:
        >>> import sparse_transformers as st
        >>> evaluator = st.TruthfulnessEvaluator()
        >>> metrics = evaluator.calculate_comprehensive_metrics(
        ...     y_true=[True, True, False, False], y_pred=[True, False, False, False]
        ... )
        >>> metrics["accuracy"], metrics["recall"], metrics["specificity"]
        (0.75, 0.5, 1.0)
    """

    def __init__(
        self,
        task_type: str = "binary",
        labels: Labels | None = None,
        average: str = "weighted",
    ) -> None:
        check_average(average)
        self.task_type = task_type
        self.labels = check_task(task_type, labels)
        self.average = average
        self.evaluation_history: list[dict[str, Any]] = []

    def evaluate(
        self,
        y_true: "ArrayLike",
        y_pred: "ArrayLike",
        y_prob: "ArrayLike | None" = None,
        metadata: "Mapping[str, ArrayLike] | None" = None,
    ) -> dict[str, Any]:
        """All metrics, also by group, beside what they were computed from.

        Args:
            y_true: the label of each row.
            y_pred: the predicted label of each row.
            y_prob: (rows, classes), or (rows,) for the probability of the positive of two classes.
            metadata: any of "categories" and "sources", a name per row, and "difficulty", a
                number from 0 to 1 per row.

        Returns:
            "basic_metrics": as `calculate_truthfulness_metrics`. "advanced_metrics": for each
            metadata, by group, accuracy, precision, recall, f1_score and sample_count.
            "evaluation_metadata": num_samples, num_classes, class_distribution, task_type,
            undefined_metrics (why each NaN of the basic metrics is one).

        Raises:
            ValueError: as `predictions.encode_predictions`; or the metadata has an unknown name.
        """
        unknown = set(metadata or {}) - set(GROUPINGS)
        if unknown:
            raise ValueError(
                f"metadata must be among {', '.join(GROUPINGS)}, got {', '.join(sorted(unknown))}"
            )
        predictions = self._encode(y_true, y_pred, y_prob)
        basic = self._compute(predictions)
        class_counts = np.bincount(predictions.truth, minlength=len(predictions.classes))
        result = {
            "basic_metrics": basic,
            "advanced_metrics": {
                GROUPINGS[name]: self._by_group(predictions, name, values)
                for name, values in (metadata or {}).items()
            },
            "evaluation_metadata": {
                "num_samples": len(predictions.truth),
                "num_classes": len(predictions.classes),
                "class_distribution": dict(
                    zip(predictions.classes, class_counts.tolist(), strict=True)
                ),
                "task_type": self.task_type,
                "undefined_metrics": explain_undefined(basic),
            },
        }
        self.evaluation_history.append(result)
        return result

    def calculate_comprehensive_metrics(
        self,
        y_true: "ArrayLike",
        y_pred: "ArrayLike",
        y_prob: "ArrayLike | None" = None,
        *,
        groups: "ArrayLike | None" = None,
        ci: float | None = None,
        n_resamples: int = 999,
        seed: int = 0,
    ) -> dict[str, float]:
        """The metrics of `calculate_truthfulness_metrics`, if asked with error bars.

        Args:
            y_true: the label of each row.
            y_pred: the predicted label of each row.
            y_prob: (rows, classes), or (rows,) for the probability of the positive of two classes.
            groups: what each row belongs to (LIAR: its speaker); with `ci`, whole groups are
                resampled.
            ci: the confidence of the intervals, such as .95. It adds `<name>_low` and
                `<name>_high`, NaN where the metric is not finite or is undefined on most
                resamples. A binned calibration error has no such interval, for it is higher on a
                resample; `expected_calibration_error_null` and `..._null_high` are added instead:
                what a perfectly calibrated model gets on average, and exceeds with probability
                1 - `ci`.
            n_resamples: the number of resamples, and of simulations.
            seed: the seed of the resamples and simulations.

        Raises:
            ValueError: as `predictions.encode_predictions`; `ci` is not between 0 and 1; there are
                fewer than two `groups`, or groups without `ci`.
        """
        if groups is not None and ci is None:
            raise ValueError("groups must come with ci, the confidence of the intervals")
        predictions = self._encode(y_true, y_pred, y_prob)
        values = self._compute(predictions)
        if ci is None:
            return values
        limits = metric_limits(
            predictions,
            applicable_metrics(predictions, self.average, ordinal=self._is_ordinal),
            groups=groups,
            confidence=ci,
            n_resamples=n_resamples,
            seed=seed,
        )
        return values | limits

    def threshold_analysis(
        self, y_true: "ArrayLike", y_prob: "ArrayLike", **options: Any
    ) -> ThresholdTable:
        """Measures at each threshold on the probability of the truthful class.

        Args:
            y_true: the label of each row.
            y_prob: (rows,), or (rows, 2).
            options: as `thresholds.threshold_analysis`.

        Raises:
            ValueError: the task is not binary, or as `thresholds.threshold_analysis`.
        """
        if self.task_type != "binary":
            raise ValueError(f"task_type must be 'binary' for a threshold, got {self.task_type!r}")
        truth, probabilities = encode_truth(y_true, y_prob, self.labels)
        return threshold_analysis(truth, probabilities[:, 1], **options)

    def compare(
        self,
        y_true: "ArrayLike",
        y_pred_a: "ArrayLike",
        y_pred_b: "ArrayLike",
        y_prob_a: "ArrayLike | None" = None,
        y_prob_b: "ArrayLike | None" = None,
        *,
        groups: "ArrayLike | None" = None,
        ci: float = 0.95,
        n_resamples: int = 999,
        seed: int = 0,
    ) -> ClassifierComparison:
        """Is classifier `a` better than `b` on the same rows, or may it be chance?

        Args:
            y_true: the label of each row.
            y_pred_a: the labels that `a` predicted.
            y_pred_b: those that `b` predicted.
            y_prob_a: the probabilities of `a`, for the AUC of a binary task.
            y_prob_b: those of `b`.
            groups: what each row belongs to (LIAR: its speaker).
            ci: the confidence of the intervals.
            n_resamples: the number of resamples, 1 or more.
            seed: the seed of the resamples.

        Raises:
            ValueError: as `predictions.encode_predictions`; or as `compare_classifiers`.
        """
        return compare_classifiers(
            self._encode(y_true, y_pred_a, y_prob_a),
            self._encode(y_true, y_pred_b, y_prob_b),
            groups=groups,
            confidence=ci,
            n_resamples=n_resamples,
            seed=seed,
        )

    def get_evaluation_summary(self) -> dict[str, float]:
        """Accuracy and F1 over all calls of `evaluate`.

        `num_evaluations`; `avg_`, `std_` (of the sample) of `accuracy` and `f1_score`;
        `best_accuracy` and `worst_accuracy`. NaN where there were too few evaluations, or an F1
        was undefined.
        """
        accuracies, f1_scores = (
            [evaluation["basic_metrics"][name] for evaluation in self.evaluation_history]
            for name in ("accuracy", "f1")
        )
        return {
            "num_evaluations": len(self.evaluation_history),
            "avg_accuracy": sample_mean(accuracies),
            "std_accuracy": sample_std(accuracies),
            "avg_f1_score": sample_mean(f1_scores),
            "std_f1_score": sample_std(f1_scores),
            "best_accuracy": max(accuracies, default=nan),
            "worst_accuracy": min(accuracies, default=nan),
        }

    @property
    def _is_ordinal(self) -> bool:
        return self.task_type == "ordinal"

    def _encode(
        self, y_true: "ArrayLike", y_pred: "ArrayLike", y_prob: "ArrayLike | None"
    ) -> Predictions:
        return encode_predictions(
            y_true, y_pred, y_prob, labels=self.labels, task_type=self.task_type
        )

    def _compute(self, predictions: Predictions) -> dict[str, float]:
        return compute_metrics(predictions, self.average, ordinal=self._is_ordinal)

    def _by_group(
        self, predictions: Predictions, name: str, values: "ArrayLike"
    ) -> dict[str, dict[str, float]]:
        if name == "difficulty":
            return difficulty_performance(predictions, values, self.average)
        return group_performance(predictions, values, self.average)
