"""What all benchmarks have in common on the command line: their arguments, and how they run."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sparse_transformers.efficiency.benchmark_report import TIMES, Report
from sparse_transformers.efficiency.comparison import DIRECTIONS, Benchmark
from sparse_transformers.utils.runtime import environment, make_writable_folder, resolve_device


def add_timing_arguments(
    parser: argparse.ArgumentParser, implementations: Iterable[str], *, repeats: int
) -> None:
    """What is timed in which direction, how often, where, and where the results go.

    Args:
        parser: gets the arguments.
        implementations: names of all there are.
        repeats: how often each is timed by default.
    """
    names = list(implementations)
    add = parser.add_argument
    add(
        "--directions",
        nargs="+",
        choices=DIRECTIONS,
        default=list(DIRECTIONS),
        help="what to time (default: both)",
    )
    add(
        "--implementations",
        "--arms",
        nargs="+",
        metavar="NAME",
        default=names,
        help=f"out of {', '.join(map(repr, names))} (default: all)",
    )
    add(
        "--repeats",
        type=int,
        default=repeats,
        help="timed calls of each implementation (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    add("--device", default="cpu", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add(
        "--output",
        metavar="DIR",
        default="runs/bench",
        help="folder for the results (default: %(default)s)",
    )
    add("--quiet", action="store_true", help="show no progress bar")


def start_benchmark(arguments: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """Check device and folder, and print the environment, before anything is measured.

    Returns:
        The folder for the results, and the arguments of all measurements.
    """
    measured = {
        "seed": arguments.seed,
        "device": resolve_device(arguments.device),
        "progress": not arguments.quiet,
    }
    folder = make_writable_folder(arguments.output)
    print(", ".join(f"{name}: {value}" for name, value in environment().items()))
    return folder, measured


def time_directions(
    arguments: argparse.Namespace,
    measured: dict[str, Any],
    report: Report,
    benchmark: Callable[..., Benchmark],
) -> list[Benchmark]:
    """Time each direction, and print its table.

    Args:
        arguments: of the command line.
        measured: from `start_benchmark`.
        report: how the tables look.
        benchmark: takes the options of the timing.
    """
    benchmarks = []
    for direction in arguments.directions:
        benchmarks.append(
            benchmark(
                direction=direction,
                implementations=arguments.implementations,
                repeats=arguments.repeats,
                **measured,
            )
        )
        print(f"\n{report.table(benchmarks[-1], ms=TIMES)}")
    return benchmarks
