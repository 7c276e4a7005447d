"""The arguments that all benchmarks of arms have in common."""

import argparse
from collections.abc import Iterable

from sparse_transformers.efficiency.comparison import DIRECTIONS


def add_timing_arguments(
    parser: argparse.ArgumentParser, arms: Iterable[str], *, repeats: int
) -> None:
    """Which arms are timed in which direction, how often, where, and where the results go.

    Args:
        parser: gets the arguments.
        arms: names of all there are.
        repeats: how often each is timed by default.
    """
    names = list(arms)
    add = parser.add_argument
    add(
        "--directions",
        nargs="+",
        choices=DIRECTIONS,
        default=list(DIRECTIONS),
        help="what to time (default: both)",
    )
    add(
        "--arms",
        nargs="+",
        metavar="ARM",
        default=names,
        help=f"out of {', '.join(map(repr, names))} (default: all)",
    )
    add(
        "--repeats",
        type=int,
        default=repeats,
        help="timed calls of each arm (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    add("--device", default="cpu", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add(
        "--output",
        metavar="DIR",
        default="runs/bench",
        help="folder for what is found (default: %(default)s)",
    )
    add("--quiet", action="store_true", help="show no progress bar")
