"""`bench experts`: time of layers of experts."""

import argparse

from sparse_transformers.commands.command import Command
from sparse_transformers.commands.timing_arguments import add_timing_arguments
from sparse_transformers.efficiency.expert_arms import ARMS
from sparse_transformers.efficiency.expert_benchmark import KINDS, benchmark_experts
from sparse_transformers.efficiency.expert_report import write_expert_report
from sparse_transformers.utils.runtime import environment, make_writable_folder, resolve_device


def add_expert_arguments(parser: argparse.ArgumentParser) -> None:
    """Which sizes, which arms, how many tokens."""
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
    add_timing_arguments(parser, ARMS, repeats=15)


def run_bench_experts(arguments: argparse.Namespace) -> None:
    """Time the layers, print the tables, and write results, tables and plot."""
    device = resolve_device(arguments.device)
    folder = make_writable_folder(arguments.output)
    print(", ".join(f"{name}: {value}" for name, value in environment().items()))
    benchmarks = []
    for direction in arguments.directions:
        benchmarks.append(
            benchmark_experts(
                arguments.d_models,
                arguments.kinds,
                expansion=arguments.expansion,
                num_experts=arguments.num_experts,
                top_k=arguments.top_k,
                batch=arguments.batch,
                seq_len=arguments.seq_len,
                direction=direction,
                arms=arguments.arms,
                repeats=arguments.repeats,
                seed=arguments.seed,
                device=device,
                progress=not arguments.quiet,
            )
        )
        print(f"\n{benchmarks[-1]}")
    written = write_expert_report(folder, benchmarks)
    print("\nwritten:", *written)


BENCH_EXPERTS = Command(
    "experts", "time layers of experts beside a dense layer", add_expert_arguments
)
