"""How well a trained classifier tells true claims from false ones."""

from sparse_transformers.claims.tables import JUDGED, LIAR
from sparse_transformers.experiments.section import Part, Section, Visit
from sparse_transformers.experiments.truthfulness_evaluation import figures, report
from sparse_transformers.experiments.truthfulness_evaluation.measure import (
    evaluate_claims,
    teaching_claims,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import (
    ClaimEvaluation,
    ClaimEvaluationSettings,
)


def _run(visit: Visit) -> ClaimEvaluation:
    """Evaluate on the claims that the user has, or on synthetic ones."""
    tables = {name: visit.tables[name] for name in (LIAR, JUDGED) if name in visit.tables}
    posteriors = None
    if not tables:
        tables, posteriors = teaching_claims(visit.settings, seed=visit.seed)
    return evaluate_claims(
        visit.settings,
        tables,
        posteriors=posteriors,
        seed=visit.seed,
        say=visit.say,
        progress=visit.progress,
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
    run=_run,
    findings=report.findings,
    parts=[
        Part(
            "How well is true told from false?",
            "truthfulness_metrics.png",
            figures.draw_accuracies,
            report.describe_accuracies,
        ),
        Part(
            "What is the order of the scores worth?",
            "roc_curve.png",
            figures.draw_roc,
            report.describe_roc,
        ),
        Part(
            "Which claims are taken for which?",
            "confusion_matrix.png",
            figures.draw_confusion,
            report.describe_confusion,
        ),
        Part(
            "Do the probabilities mean what they say?",
            "reliability_diagram.png",
            figures.draw_reliability,
            report.describe_reliability,
        ),
        Part(
            "Where should the threshold be?",
            "threshold_curves.png",
            figures.draw_thresholds,
            report.describe_thresholds,
        ),
    ],
)
