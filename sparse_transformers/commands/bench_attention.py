"""`bench attention`: time and memory of attention."""

import argparse

from sparse_transformers.commands.command import Command
from sparse_transformers.commands.pattern_arguments import parse_pattern
from sparse_transformers.commands.timing_arguments import add_timing_arguments
from sparse_transformers.efficiency.attention_arms import ARMS
from sparse_transformers.efficiency.attention_benchmark import benchmark_attention
from sparse_transformers.efficiency.attention_memory import measure_memory_scaling
from sparse_transformers.efficiency.attention_report import write_attention_report
from sparse_transformers.efficiency.layout_benchmark import benchmark_layout
from sparse_transformers.models.attention_patterns import PATTERNS
from sparse_transformers.utils.runtime import environment, make_writable_folder, resolve_device

LAYOUT_SEQ_LENS = [1 << 14, 1 << 20]
MEMORY_SEQ_LENS = [1 << exponent for exponent in range(16, 21)]


def add_attention_arguments(parser: argparse.ArgumentParser) -> None:
    """What to attend with, which arms, and what besides times."""
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
    add_timing_arguments(parser, ARMS, repeats=5)


def run_bench_attention(arguments: argparse.Namespace) -> None:
    """Time attention, print the tables, and write results and plot."""
    patterns = [parse_pattern(text) for text in arguments.patterns]
    device = resolve_device(arguments.device)
    folder = make_writable_folder(arguments.output)
    measured = {"seed": arguments.seed, "device": device, "progress": not arguments.quiet}
    print(", ".join(f"{name}: {value}" for name, value in environment().items()))
    memory = []
    if arguments.memory is not None:
        for pattern in patterns:
            lengths = arguments.memory or MEMORY_SEQ_LENS
            memory.append(
                measure_memory_scaling(pattern, lengths, head_dim=arguments.head_dim, **measured)
            )
            print(f"\n{memory[-1]}")
    layouts = []
    if arguments.layouts is not None:
        for pattern in patterns:
            lengths = arguments.layouts or LAYOUT_SEQ_LENS
            layouts.append(benchmark_layout(pattern, lengths, repeats=arguments.repeats))
            print(f"\n{layouts[-1]}")
    benchmarks = []
    for direction in arguments.directions:
        benchmarks.append(
            benchmark_attention(
                patterns,
                arguments.seq_lens,
                arguments.heads,
                arguments.head_dim,
                direction=direction,
                arms=arguments.arms,
                repeats=arguments.repeats,
                **measured,
            )
        )
        print(f"\n{benchmarks[-1]}")
    written = write_attention_report(folder, benchmarks, memory, layouts)
    print("\nwritten:", *written)


BENCH_ATTENTION = Command(
    "attention", "time causal attention beside its peers", add_attention_arguments
)
