"""`bench attention`: time and memory of attention."""

import argparse
from functools import partial

from sparse_transformers.commands.command import Command
from sparse_transformers.commands.pattern_arguments import parse_pattern
from sparse_transformers.commands.timing_arguments import (
    add_timing_arguments,
    start_benchmark,
    time_directions,
)
from sparse_transformers.efficiency.attention_benchmark import ATTENTION, benchmark_attention
from sparse_transformers.efficiency.attention_growth import (
    benchmark_layout,
    measure_memory_scaling,
)
from sparse_transformers.efficiency.attention_implementations import IMPLEMENTATIONS
from sparse_transformers.models.attention_patterns import PATTERNS

LAYOUT_SEQ_LENS = [1 << 14, 1 << 20]
MEMORY_SEQ_LENS = [1 << exponent for exponent in range(16, 21)]


def add_attention_arguments(parser: argparse.ArgumentParser) -> None:
    """Patterns, sizes, implementations, and what to measure besides times."""
    parser.set_defaults(run=run_bench_attention)
    add = parser.add_argument
    add(
        "--patterns",
        nargs="+",
        metavar="NAME:OPTION=VALUE,...",
        default=["local:window_size=256"],
        help=f"{', '.join(PATTERNS)} (default: local:window_size=256)",
    )
    add(
        "--seq-lens",
        nargs="+",
        type=int,
        metavar="N",
        default=[8192, 16384],
        help="numbers of positions (default: 8192 16384)",
    )
    add("--heads", type=int, default=8, help="number of heads (default: %(default)s)")
    add("--head-dim", type=int, default=64, help="width of a head (default: %(default)s)")
    add(
        "--memory",
        nargs="*",
        type=int,
        metavar="N",
        help="also measure how the memory of one head grows, at these numbers of positions "
        f"(if none are given: {MEMORY_SEQ_LENS[0]:,} to {MEMORY_SEQ_LENS[-1]:,})",
    )
    add(
        "--layouts",
        nargs="*",
        type=int,
        metavar="N",
        help="also measure how long it takes to find the tiles, at these numbers of positions "
        f"(if none are given: {LAYOUT_SEQ_LENS[0]:,} and {LAYOUT_SEQ_LENS[-1]:,})",
    )
    add_timing_arguments(parser, IMPLEMENTATIONS, repeats=5)


def run_bench_attention(arguments: argparse.Namespace) -> None:
    """Time attention, print the tables, and write results, tables and plot."""
    patterns = [parse_pattern(text) for text in arguments.patterns]
    folder, measured = start_benchmark(arguments)
    memory, layouts = [], []
    if arguments.memory is not None:
        for pattern in patterns:
            lengths = arguments.memory or MEMORY_SEQ_LENS
            memory.append(
                measure_memory_scaling(pattern, lengths, head_dim=arguments.head_dim, **measured)
            )
            print(f"\n{memory[-1].table()}")
    if arguments.layouts is not None:
        for pattern in patterns:
            lengths = arguments.layouts or LAYOUT_SEQ_LENS
            layouts.append(benchmark_layout(pattern, lengths, repeats=arguments.repeats))
            print(f"\n{layouts[-1].table()}")
    time = partial(
        benchmark_attention, patterns, arguments.seq_lens, arguments.heads, arguments.head_dim
    )
    benchmarks = time_directions(arguments, measured, ATTENTION, time)
    print("\nwritten:", *ATTENTION.write(folder, benchmarks, memory=memory, layouts=layouts))


BENCH_ATTENTION = Command(
    "attention", "time causal attention beside its peers", add_attention_arguments
)
