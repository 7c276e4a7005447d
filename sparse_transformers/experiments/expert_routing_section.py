"""Mixture of experts: routing, balance, specialization, and a use of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from sparse_transformers.experiments import expert_study_figures as figures
from sparse_transformers.experiments import expert_study_report as report
from sparse_transformers.experiments.claim_records import ClaimEvaluationSettings
from sparse_transformers.experiments.expert_claims import measure_expert_claims
from sparse_transformers.experiments.expert_claims_figures import draw_expert_claims
from sparse_transformers.experiments.expert_claims_records import (
    ExpertClaims,
    ExpertClaimsSettings,
)
from sparse_transformers.experiments.expert_claims_report import describe_expert_claims
from sparse_transformers.experiments.expert_records import ExpertStudy, ExpertStudySettings
from sparse_transformers.experiments.expert_study import study_experts
from sparse_transformers.experiments.tour import Page, Part, Section, Visit


@dataclass(frozen=True)
class ExpertRoutingSettings:
    """Sizes of both experiments."""

    study: ExpertStudySettings = field(default_factory=ExpertStudySettings)
    claims: ExpertClaimsSettings = field(default_factory=ExpertClaimsSettings)


@dataclass(frozen=True)
class ExpertRouting:
    """Experts for statements of known kinds, and experts for claims."""

    study: ExpertStudy
    claims: ExpertClaims


def _run(visit: Visit) -> ExpertRouting:
    return ExpertRouting(
        study=study_experts(
            visit.settings.study, seed=visit.seed, say=visit.say, progress=visit.progress
        ),
        claims=measure_expert_claims(
            visit.settings.claims,
            visit.tables,
            seed=visit.seed,
            say=visit.say,
            progress=visit.progress,
        ),
    )


def _about_study(
    title: str,
    file: str,
    draw: Callable[[ExpertStudy], Figure],
    describe: Callable[[ExpertStudy], str],
) -> Part:
    return Part(title, file, lambda found: draw(found.study), lambda found: describe(found.study))


SECTION = Section(
    name="expert_routing",
    title="Mixture of experts",
    presets={
        "smoke": ExpertRoutingSettings(
            study=ExpertStudySettings(
                n_statements=1500,
                steps=20,
                d_model=32,
                d_ff=32,
                n_snapshots=4,
                valid_rows=16,
                capacity_factors=(0.5, 1.0, 2.0),
                n_shuffles=20,
            ),
            claims=ExpertClaimsSettings(
                claims=ClaimEvaluationSettings(synthetic_rows=300, n_resamples=199), n_seeds=2
            ),
        ),
        "default": ExpertRoutingSettings(
            claims=ExpertClaimsSettings(
                claims=ClaimEvaluationSettings(synthetic_rows=1500), n_seeds=2
            ),
        ),
        "full": ExpertRoutingSettings(
            study=ExpertStudySettings(
                n_statements=20_000,
                d_model=64,
                d_ff=64,
                steps=600,
                n_snapshots=20,
                valid_rows=128,
                n_seeds=5,
                n_shuffles=200,
            ),
            claims=ExpertClaimsSettings(
                claims=ClaimEvaluationSettings(synthetic_rows=10_000, n_resamples=999), n_seeds=5
            ),
        ),
    },
    result=ExpertRouting,
    run=_run,
    parts=[
        _about_study(
            "Who reads what?",
            "expert_routing_analysis.png",
            figures.draw_routing,
            report.describe_routing,
        ),
        _about_study(
            "Do experts specialise?",
            "expert_specialization.png",
            figures.draw_specialization,
            report.describe_specialization,
        ),
        _about_study(
            "What keeps the load even, and at what cost?",
            "balance_over_training.png",
            figures.draw_balance,
            report.describe_balance,
        ),
        _about_study(
            "What do full experts turn away?",
            "drop_rate.png",
            figures.draw_capacity,
            report.describe_capacity,
        ),
        _about_study(
            "What is each expert good for?",
            "expert_ablation.png",
            figures.draw_close_up,
            report.describe_close_up,
        ),
        _about_study(
            "Where do the words go?",
            "token_flow.png",
            figures.draw_flow,
            report.describe_flow,
        ),
        Part(
            "Do experts help to tell true from false?",
            "expert_claims.png",
            lambda found: draw_expert_claims(found.claims),
            lambda found: describe_expert_claims(found.claims),
        ),
    ],
    pages=[
        Page(
            "token_flow.html",
            lambda found: figures.flow_page(found.study),
            "The same flow to touch, as a page that needs no network (every run of the demo "
            "writes it; it is too large to be kept)",
        )
    ],
)
