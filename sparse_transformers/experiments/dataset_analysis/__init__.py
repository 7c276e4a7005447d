"""What is in the data, before anything is learned from it."""

from sparse_transformers.experiments.dataset_analysis import figures, report
from sparse_transformers.experiments.dataset_analysis.measure import (
    DatasetSurvey,
    DatasetSurveySettings,
    survey_datasets,
)
from sparse_transformers.experiments.section import Part, Section

SECTION = Section(
    name="dataset_analysis",
    title="What is in the data",
    presets={
        "smoke": DatasetSurveySettings(synthetic_rows=600),
        "default": DatasetSurveySettings(),
        "full": DatasetSurveySettings(synthetic_rows=5000, n_probe_shuffles=99),
    },
    result=DatasetSurvey,
    run=survey_datasets,
    findings=report.findings,
    parts=[
        Part(
            "How are the labels spread, and is the table sound?",
            "label_balance.png",
            figures.draw_labels,
            report.describe_labels,
        ),
        Part(
            "How long and how hard are the texts?",
            "text_lengths_and_readability.png",
            figures.draw_texts,
            report.describe_texts,
        ),
        Part(
            "What gives the label away?",
            "what_predicts_the_label.png",
            figures.draw_bias,
            report.describe_bias,
        ),
        Part(
            "Which words are common?",
            "common_words.png",
            figures.draw_words,
            report.describe_words,
        ),
    ],
)
