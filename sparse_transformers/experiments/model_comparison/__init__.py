"""Dense and sparse models that train for the same time."""

from sparse_transformers.experiments.model_comparison import figures, report
from sparse_transformers.experiments.model_comparison.measure import (
    ModelComparison,
    ModelComparisonSettings,
    compare_models,
)
from sparse_transformers.experiments.section import Part, Section

SECTION = Section(
    name="model_comparison",
    title="Dense and sparse models",
    presets={
        "smoke": ModelComparisonSettings(seq_len=1024, n_seeds=1, seconds=3, eval_every=10),
        "default": ModelComparisonSettings(),
        "full": ModelComparisonSettings(n_seeds=5, seconds=45, valid_windows=8),
    },
    result=ModelComparison,
    run=compare_models,
    check=lambda settings, corpus: corpus.check_holds_windows(settings.seq_len),
    findings=report.findings,
    parts=[
        Part(
            "Which model learns most in the same time?",
            "architecture_comparison.png",
            figures.draw_comparison,
            report.describe_comparison,
        )
    ],
    summary=report.summarise,
    highlight=report.highlight,
)
