"""`bench experts`: time of layers of experts."""

import argparse
from functools import partial

from sparse_transformers.commands.command import Command
from sparse_transformers.commands.timing_arguments import (
    add_timing_arguments,
    start_benchmark,
    time_directions,
)
from sparse_transformers.efficiency.expert_benchmark import (
    EXPERTS,
    IMPLEMENTATIONS,
    KINDS,
    benchmark_experts,
)


def add_expert_arguments(parser: argparse.ArgumentParser) -> None:
    """Sizes, implementations, and the number of tokens."""
    parser.set_defaults(run=run_bench_experts)
    add = parser.add_argument
    add(
        "--d-models",
        nargs="+",
        type=int,
        metavar="N",
        default=[256, 512],
        help="widths of the tokens (default: 256 512)",
    )
    add(
        "--kinds",
        nargs="+",
        choices=KINDS,
        default=list(KINDS),
        help="plain (GELU) or gated (SwiGLU) experts (default: both)",
    )
    add(
        "--expansion",
        type=int,
        default=2,
        help="width inside an expert over d_model; the dense layer is top-k times as wide "
        "(default: %(default)s)",
    )
    add("--num-experts", type=int, default=8, help="number of experts (default: %(default)s)")
    add("--top-k", type=int, default=2, help="experts of a token (default: %(default)s)")
    add("--batch", type=int, default=8, help="number of sequences (default: %(default)s)")
    add("--seq-len", type=int, default=512, help="tokens of each (default: %(default)s)")
    add_timing_arguments(parser, IMPLEMENTATIONS, repeats=15)


def run_bench_experts(arguments: argparse.Namespace) -> None:
    """Time the layers, print the tables, and write results, tables and plot."""
    folder, measured = start_benchmark(arguments)
    time = partial(
        benchmark_experts,
        arguments.d_models,
        arguments.kinds,
        expansion=arguments.expansion,
        num_experts=arguments.num_experts,
        top_k=arguments.top_k,
        batch=arguments.batch,
        seq_len=arguments.seq_len,
    )
    benchmarks = time_directions(arguments, measured, EXPERTS, time)
    print("\nwritten:", *EXPERTS.write(folder, benchmarks))


BENCH_EXPERTS = Command(
    "experts", "time layers of experts beside a dense layer", add_expert_arguments
)
