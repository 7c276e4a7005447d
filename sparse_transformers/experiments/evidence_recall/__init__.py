"""Whether a sparse pattern can still find the evidence for a claim."""

from sparse_transformers.experiments.evidence_recall import figures, report
from sparse_transformers.experiments.evidence_recall.measure import (
    EvidenceRecall,
    EvidenceRecallSettings,
    measure_evidence_recall,
)
from sparse_transformers.experiments.evidence_recall.model import Curriculum
from sparse_transformers.experiments.section import Part, Section

SECTION = Section(
    name="evidence_recall",
    title="Evidence at a distance",
    presets={
        "smoke": EvidenceRecallSettings(
            curriculum=Curriculum(lengths=(16, 32, 128), polish_steps=20),
            lengths=(64, 256),
            keys_per_query=16,
            n_documents=10,
        ),
        "default": EvidenceRecallSettings(),
        "full": EvidenceRecallSettings(
            curriculum=Curriculum(lengths=(16, 32, 64, 256, 1024, 4096)),
            lengths=(1024, 4096, 8192),
            keys_per_query=128,
            n_documents=20,
            n_seeds=5,
            adaptation_steps=100,
        ),
    },
    result=EvidenceRecall,
    run=measure_evidence_recall,
    findings=report.findings,
    parts=[
        Part(
            "How far back does a model find evidence?",
            "evidence_recall.png",
            figures.draw_recall,
            report.describe_recall,
        ),
        Part(
            "Does the rule predict it?",
            "evidence_reach.png",
            figures.draw_reach,
            report.describe_reach,
        ),
    ],
    summary=report.describe_reach,
    highlight=report.highlight,
)
