"""How well a trained classifier tells true claims from false ones."""

from sparse_transformers.experiments.section import Part, Section
from sparse_transformers.experiments.truthfulness_evaluation import figures, report
from sparse_transformers.experiments.truthfulness_evaluation.measure import evaluate_claims
from sparse_transformers.experiments.truthfulness_evaluation.records import (
    ClaimEvaluation,
    ClaimEvaluationSettings,
)

SECTION = Section(
    name="truthfulness_evaluation",
    title="Truthfulness",
    presets={
        "smoke": ClaimEvaluationSettings(synthetic_rows=600, n_resamples=199),
        "default": ClaimEvaluationSettings(),
        "full": ClaimEvaluationSettings(synthetic_rows=10000, history=True, n_resamples=999),
    },
    result=ClaimEvaluation,
    run=evaluate_claims,
    findings=report.findings,
    parts=[
        Part(
            "How well is true told from false?",
            "truthfulness_metrics.png",
            figures.draw_accuracies,
            report.describe_accuracies,
        ),
        Part(
            "ROC curves",
            "roc_curve.png",
            figures.draw_roc,
            report.describe_roc,
        ),
        Part(
            "Confusion matrices",
            "confusion_matrix.png",
            figures.draw_confusion,
            report.describe_confusion,
        ),
        Part(
            "Calibration",
            "reliability_diagram.png",
            figures.draw_reliability,
            report.describe_reliability,
        ),
        Part(
            "Thresholds",
            "threshold_curves.png",
            figures.draw_thresholds,
            report.describe_thresholds,
        ),
    ],
    summary=report.summarise,
    highlight=report.highlight,
)
