"""`readme`: puts the tables of recorded runs into the README."""

import argparse
from collections.abc import Callable
from pathlib import Path

from sparse_transformers.commands.command import Command
from sparse_transformers.efficiency import attention_report, expert_report
from sparse_transformers.experiments import (
    claim_evaluation_report,
    claim_evaluation_section,
    evidence_recall_report,
    evidence_recall_section,
    expert_claims_report,
    expert_routing_section,
    expert_study_report,
    truthfulqa_choices_report,
    truthfulqa_choices_section,
)
from sparse_transformers.experiments.tour import RESULTS, read_recorded
from sparse_transformers.utils.readme import put_into_readme


def _attention(outputs: Path) -> str:
    return attention_report.render_markdown(
        outputs / "attention_benchmark" / attention_report.RESULTS
    )


def _evidence(outputs: Path) -> str:
    results = outputs / "evidence" / RESULTS
    recall, where = read_recorded(results, evidence_recall_section.SECTION)
    return f"{where}\n\n{evidence_recall_report.summarise(recall)}"


def _claims(outputs: Path) -> str:
    results = outputs / "published_claims" / RESULTS
    evaluation, where = read_recorded(results, claim_evaluation_section.SECTION)
    choices, _ = read_recorded(results, truthfulqa_choices_section.SECTION)
    parts = [
        where,
        claim_evaluation_report.summarise(evaluation),
        truthfulqa_choices_report.summarise(choices),
    ]
    return "\n\n".join(parts)


def _expert_speed(outputs: Path) -> str:
    return expert_report.render_markdown(outputs / "expert_benchmark" / expert_report.RESULTS)


def _experts(outputs: Path) -> str:
    found, where = read_recorded(outputs / "experts" / RESULTS, expert_routing_section.SECTION)
    parts = [
        where,
        expert_study_report.summarise_specialization(found.study),
        expert_study_report.summarise_balance(found.study),
        expert_claims_report.summarise_expert_claims(found.claims),
    ]
    return "\n\n".join(parts)


RECORDED: dict[str, Callable[[Path], str]] = {
    "attention benchmark": _attention,
    "evidence at a distance": _evidence,
    "published claims": _claims,
    "experts": _experts,
    "expert layers": _expert_speed,
}
"""What stands in the README by a recorded run, and how it is written from the outputs."""


def add_readme_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the recorded runs are, and the README."""
    parser.set_defaults(run=run_readme)
    parser.add_argument("--outputs", metavar="DIR", default="outputs", help="of recorded runs")
    parser.add_argument("--readme", metavar="FILE", default="README.md", help="to write into")


def run_readme(arguments: argparse.Namespace) -> None:
    """Write every recorded text between its marks."""
    outputs = Path(arguments.outputs)
    texts = {name: render(outputs) for name, render in RECORDED.items()}
    put_into_readme(Path(arguments.readme), texts)


README = Command("readme", "put the tables of recorded runs into the README", add_readme_arguments)
