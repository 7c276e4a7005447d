"""Multiple choice between true and false answers."""

from sparse_transformers.experiments.section import Part, Section
from sparse_transformers.experiments.truthfulqa_choices import figures, report
from sparse_transformers.experiments.truthfulqa_choices.measure import (
    TruthfulQAChoices,
    TruthfulQAChoicesSettings,
    measure_choices,
)

SECTION = Section(
    name="truthfulqa_choices",
    title="Choosing between answers",
    presets={
        "smoke": TruthfulQAChoicesSettings(seconds=1, synthetic_questions=40, n_resamples=199),
        "default": TruthfulQAChoicesSettings(),
        "full": TruthfulQAChoicesSettings(seconds=60, synthetic_questions=1000, n_resamples=999),
    },
    result=TruthfulQAChoices,
    run=measure_choices,
    check=lambda settings, corpus: corpus.check_holds_windows(settings.seq_len),
    findings=report.findings,
    parts=[
        Part(
            "Which answer is the model's first choice?",
            "truthfulqa_choices.png",
            figures.draw_choices,
            report.describe_choices,
        )
    ],
    summary=report.summarise,
)
