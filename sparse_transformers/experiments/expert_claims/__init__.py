"""Whether experts help to tell true claims from false ones."""

from sparse_transformers.experiments.expert_claims import figures, report
from sparse_transformers.experiments.expert_claims.measure import measure_expert_claims
from sparse_transformers.experiments.expert_claims.records import ExpertClaims, ExpertClaimsSettings
from sparse_transformers.experiments.section import Part, Section
from sparse_transformers.experiments.truthfulness_evaluation.records import ClaimEvaluationSettings

SECTION = Section(
    name="expert_claims",
    title="Experts for claims",
    presets={
        "smoke": ExpertClaimsSettings(
            claims=ClaimEvaluationSettings(synthetic_rows=300, n_resamples=199), n_seeds=2
        ),
        "default": ExpertClaimsSettings(
            claims=ClaimEvaluationSettings(synthetic_rows=1500), n_seeds=2
        ),
        "full": ExpertClaimsSettings(
            claims=ClaimEvaluationSettings(synthetic_rows=10_000, n_resamples=999), n_seeds=5
        ),
    },
    result=ExpertClaims,
    run=measure_expert_claims,
    findings=report.findings,
    parts=[
        Part(
            "Do experts help to tell true from false?",
            "expert_claims.png",
            figures.draw_expert_claims,
            report.describe_expert_claims,
        ),
    ],
    summary=report.summarise,
)
