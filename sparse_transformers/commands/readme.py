"""`readme`: puts the tables of recorded runs into the README."""

import argparse
from collections.abc import Callable
from pathlib import Path

from sparse_transformers.commands.command import Command
from sparse_transformers.efficiency.attention_benchmark import ATTENTION
from sparse_transformers.efficiency.expert_benchmark import EXPERTS
from sparse_transformers.experiments import (
    evidence_recall,
    expert_claims,
    expert_routing,
    truthfulness_evaluation,
    truthfulqa_choices,
)
from sparse_transformers.experiments.tour import RESULTS, read_recorded
from sparse_transformers.utils.readme import put_into_readme


def _attention(outputs: Path) -> str:
    return ATTENTION.render_markdown(outputs / "attention_benchmark" / "attention_benchmark.json")


def _evidence(outputs: Path) -> str:
    results = outputs / "evidence" / RESULTS
    recall, where = read_recorded(results, evidence_recall.SECTION)
    return f"{where}\n\n{evidence_recall.report.summarise(recall)}"


def _claims(outputs: Path) -> str:
    results = outputs / "published_claims" / RESULTS
    evaluation, where = read_recorded(results, truthfulness_evaluation.SECTION)
    choices, _ = read_recorded(results, truthfulqa_choices.SECTION)
    parts = [
        where,
        truthfulness_evaluation.report.summarise(evaluation),
        truthfulqa_choices.report.summarise(choices),
    ]
    return "\n\n".join(parts)


def _expert_speed(outputs: Path) -> str:
    return EXPERTS.render_markdown(outputs / "expert_benchmark" / "expert_benchmark.json")


def _experts(outputs: Path) -> str:
    results = outputs / "experts" / RESULTS
    study, where = read_recorded(results, expert_routing.SECTION)
    claims, _ = read_recorded(results, expert_claims.SECTION)
    parts = [
        where,
        expert_routing.report.summarise_specialization(study),
        expert_routing.report.summarise_balance(study),
        expert_claims.report.summarise_expert_claims(claims),
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
