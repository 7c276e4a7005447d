"""Mixture of experts: routing, balance and specialization."""

from sparse_transformers.experiments.expert_routing import figures, report
from sparse_transformers.experiments.expert_routing.measure import study_experts
from sparse_transformers.experiments.expert_routing.records import ExpertStudy, ExpertStudySettings
from sparse_transformers.experiments.section import Page, Part, Section

SECTION = Section(
    name="expert_routing",
    title="Mixture of experts",
    presets={
        "smoke": ExpertStudySettings(
            n_statements=1500,
            steps=20,
            d_model=32,
            d_ff=32,
            n_snapshots=4,
            valid_rows=16,
            capacity_factors=(0.5, 1.0, 2.0),
            n_shuffles=20,
        ),
        "default": ExpertStudySettings(),
        "full": ExpertStudySettings(
            n_statements=20_000,
            d_model=64,
            d_ff=64,
            steps=600,
            n_snapshots=20,
            valid_rows=128,
            n_seeds=5,
            n_shuffles=200,
        ),
    },
    result=ExpertStudy,
    run=study_experts,
    findings=report.findings,
    parts=[
        Part(
            "How is the load shared?",
            "expert_routing_analysis.png",
            figures.draw_routing,
            report.describe_routing,
        ),
        Part(
            "Do experts specialise?",
            "expert_specialization.png",
            figures.draw_specialization,
            report.describe_specialization,
        ),
        Part(
            "What keeps the load even, and at what cost?",
            "balance_over_training.png",
            figures.draw_balance,
            report.describe_balance,
        ),
        Part(
            "What does a limited capacity drop?",
            "drop_rate.png",
            figures.draw_capacity,
            report.describe_capacity,
        ),
        Part(
            "What does switching off an expert cost?",
            "expert_ablation.png",
            figures.draw_close_up,
            report.describe_close_up,
        ),
        Part(
            "How do words flow through the layers?",
            "token_flow.png",
            figures.draw_flow,
            report.describe_flow,
        ),
    ],
    pages=[
        Page(
            "token_flow.html",
            figures.flow_page,
            "As an interactive page, written by each run",
        )
    ],
    summary=report.summarise,
    highlight=report.highlight,
)
