"""How well truth is told from falsehood: all metrics under one roof.

One convention for what cannot be answered, in every module of metrics:

- Input that is not what it should be raises `ValueError`: no rows, lengths that differ, a missing
  or unknown label, a probability that is NaN, outside 0 to 1, or does not sum to 1 with the others
  of its row. `label_encoding.py` says which labels are understood.
- Sound input on which a metric is 0 / 0 (one class only, nothing called truthful) gives NaN, never
  a 0 or .5 that looks like a result. `explain_undefined` says for each NaN what was lacking.
- Averages over classes follow scikit-learn's default (see `confusion_metrics.py`).

The positive class of two is the truthful one.
"""

from sparse_transformers.utils.metrics.classification_metrics import (
    calculate_class_wise_metrics,
    calculate_truthfulness_metrics,
    generate_confusion_matrix,
)
from sparse_transformers.utils.metrics.classifier_comparison import ClassifierComparison
from sparse_transformers.utils.metrics.consistency_metrics import (
    PredictionConsistency,
    calculate_domain_transfer_metrics,
    calculate_prediction_consistency,
    calculate_temporal_consistency,
)
from sparse_transformers.utils.metrics.group_metrics import evaluate_misinformation_detection
from sparse_transformers.utils.metrics.metric_table import explain_undefined
from sparse_transformers.utils.metrics.truthfulness_evaluator import TruthfulnessEvaluator

__all__ = [
    "ClassifierComparison",
    "PredictionConsistency",
    "TruthfulnessEvaluator",
    "calculate_class_wise_metrics",
    "calculate_domain_transfer_metrics",
    "calculate_prediction_consistency",
    "calculate_temporal_consistency",
    "calculate_truthfulness_metrics",
    "evaluate_misinformation_detection",
    "explain_undefined",
    "generate_confusion_matrix",
]
