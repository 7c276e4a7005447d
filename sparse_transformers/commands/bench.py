"""`bench`: time and memory."""

import argparse

from sparse_transformers.commands.bench_attention import BENCH_ATTENTION
from sparse_transformers.commands.bench_experts import BENCH_EXPERTS
from sparse_transformers.commands.command import Command

SUBJECTS = [BENCH_ATTENTION, BENCH_EXPERTS]


def add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure."""
    subjects = parser.add_subparsers(metavar="SUBJECT", required=True)
    for subject in SUBJECTS:
        subject.add_arguments(
            subjects.add_parser(
                subject.name,
                help=subject.summary,
                description=f"{subject.summary.capitalize()}; all of them take turns in one run.",
            )
        )


BENCH = Command("bench", "measure time and memory", add_bench_arguments)
