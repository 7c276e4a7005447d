"""The stops of the tour, in their order."""

from sparse_transformers.experiments import (
    attention_patterns,
    dataset_analysis,
    efficiency_analysis,
    evidence_recall,
    expert_claims,
    expert_routing,
    model_comparison,
    truthfulness_evaluation,
    truthfulqa_choices,
)

SECTIONS = [
    attention_patterns.SECTION,
    efficiency_analysis.SECTION,
    model_comparison.SECTION,
    evidence_recall.SECTION,
    dataset_analysis.SECTION,
    truthfulness_evaluation.SECTION,
    truthfulqa_choices.SECTION,
    expert_routing.SECTION,
    expert_claims.SECTION,
]
"""A new section is a folder beside this file, and one more entry."""
