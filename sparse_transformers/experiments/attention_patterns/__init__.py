"""What the patterns look like, what they cost, and how far they reach."""

from sparse_transformers.experiments.attention_patterns import figures, report
from sparse_transformers.experiments.attention_patterns.measure import (
    PatternSurvey,
    PatternSurveySettings,
    survey_patterns,
)
from sparse_transformers.experiments.section import Part, Section

SECTION = Section(
    name="attention_patterns",
    title="Attention patterns",
    presets={
        "smoke": PatternSurveySettings(measured_len=1024, repeats=3),
        "default": PatternSurveySettings(),
        "full": PatternSurveySettings(n_heads=8, repeats=15),
    },
    result=PatternSurvey,
    run=survey_patterns,
    findings=report.findings,
    parts=[
        Part(
            "Which earlier tokens may each token attend to?",
            "attention_patterns_comparison.png",
            figures.draw_pictures,
            report.describe_pictures,
        ),
        Part(
            "What does skipping pairs bring?",
            "sparsity_analysis.png",
            figures.draw_costs,
            report.describe_costs,
        ),
        Part(
            "From how far back can information arrive?",
            "reach.png",
            figures.draw_reach,
            report.describe_reach,
        ),
    ],
    summary=report.summarise,
)
