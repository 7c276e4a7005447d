"""The command line: arguments in, one call into the library, a few lines out."""

import argparse
import ast
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sparse_transformers.efficiency.attention_arms import ARMS, DIRECTIONS
from sparse_transformers.efficiency.attention_benchmark import benchmark_attention
from sparse_transformers.efficiency.attention_memory import measure_memory_scaling
from sparse_transformers.efficiency.attention_report import (
    RESULTS,
    make_writable_folder,
    put_into_readme,
    render_markdown,
    write_attention_report,
)
from sparse_transformers.efficiency.layout_benchmark import benchmark_layout
from sparse_transformers.models.attention_ops import BACKENDS
from sparse_transformers.models.attention_patterns import PATTERNS, AttentionPattern, make_pattern
from sparse_transformers.models.embeddings import POSITIONS
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.data import ByteCorpus, default_text, text_to_bytes
from sparse_transformers.training.next_byte import NextByteTask
from sparse_transformers.training.trainer import Trainer
from sparse_transformers.utils.runtime import PRECISIONS, environment, resolve_device


@dataclass(frozen=True)
class Command:
    """A word after `python -m sparse_transformers`, and its arguments."""

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    """Also says which function to call, as the default of the argument `run`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 2 if the input is at fault, with one line on stderr."""
    arguments = build_parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, OSError, FloatingPointError) as error:
        print("error:", *str(error).split(), file=sys.stderr)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; the parsed arguments hold the command's function as `run`."""
    parser = argparse.ArgumentParser(
        prog="sparse_transformers", description="Sparse attention: train, measure, look inside."
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.name, help=command.summary, description=command.summary
        )
        command.add_arguments(subparser)
    return parser


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `train`; settings of the model and the trainer have their defaults."""
    parser.set_defaults(run=run_train)
    run = parser.add_argument_group("run")
    run.add_argument(
        "--text", metavar="FILE", help="any file, read as bytes (default: Python's help topics)"
    )
    run.add_argument(
        "--output",
        metavar="DIR",
        default="runs/bytes",
        help="folder for checkpoints, metrics and plot (default: %(default)s)",
    )
    run.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint in the folder"
    )
    run.add_argument("--quiet", action="store_true", help="show no progress bar")
    run.add_argument(
        "--seq-len", type=int, default=512, metavar="INT", help="bytes per row (default: 512)"
    )
    run.add_argument(
        "--valid-windows",
        type=int,
        default=64,
        metavar="INT",
        help="rows to validate on, at most (default: 64)",
    )

    model = _FieldArguments(parser.add_argument_group("model"), SparseTransformerConfig())
    model.add("--d-model", int, "width of the model")
    model.add("--n-layers", int, "number of blocks")
    model.add("--n-heads", int, "heads per block")
    model.add("--n-kv-heads", int, "heads of keys and values, shared by groups of query heads")
    model.add("--d-ff", int, "width inside the feed-forward part; four times d-model if not given")
    model.add("--positions", str, "how positions are told", choices=POSITIONS)
    model.add("--dropout", float, "share of activations dropped in training")
    model.add("--backend", str, "how attention is computed", choices=BACKENDS)

    add_pattern_arguments(parser)

    training = _FieldArguments(parser.add_argument_group("training"), TrainingConfig())
    training.add("--steps", int, "optimiser steps")
    training.add("--batch-size", int, "rows per step")
    training.add("--grad-accum", int, "equal parts of a step", field="grad_accumulation")
    training.add("--lr", float, "largest learning rate", field="learning_rate")
    training.add("--warmup-fraction", float, "share of the run in which the rate rises")
    training.add("--final-lr-fraction", float, "share of the rate that the cosine falls to")
    training.add("--weight-decay", float, "on matrices only")
    training.add("--clip-norm", float, "largest norm of the gradient")
    training.add("--precision", str, "of matrix products", choices=PRECISIONS)
    training.add("--time-limit", float, "seconds of training at most", field="time_limit_s")
    training.add("--log-every", int, "steps between training rows")
    training.add("--eval-every", int, "steps between validations")
    training.add("--save-every", int, "steps between checkpoints")
    training.add("--seed", int, "of weights, batches and dropout")
    training.add("--device", str, "auto, cpu, cuda, cuda:N or mps")
    training.group.add_argument(
        "--gradient-checkpointing", action="store_true", help="less memory for more time"
    )


def add_pattern_arguments(parser: argparse.ArgumentParser) -> None:
    """`--attention`, and an argument for each option that a pattern can have."""
    group = parser.add_argument_group("attention")
    group.add_argument(
        "--attention",
        nargs="+",
        metavar="NAME",
        default=["local"],
        help=f"one pattern, or one for each layer: {', '.join(PATTERNS)} (default: local)",
    )
    for flag, (option, read, meaning) in PATTERN_ARGUMENTS.items():
        group.add_argument(flag, dest=f"pattern.{option}", type=read, metavar="VALUE", help=meaning)


def attention_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """`attention` and `attention_options` of a config, with the options that were given."""
    names = arguments.attention
    options = {
        option: getattr(arguments, f"pattern.{option}")
        for option, _, _ in PATTERN_ARGUMENTS.values()
        if getattr(arguments, f"pattern.{option}") is not None
    }
    return {
        "attention": names[0] if len(names) == 1 else tuple(names),
        "attention_options": options,
    }


def run_train(arguments: argparse.Namespace) -> None:
    """Train a byte model, and say where it stands and how good it is."""
    if arguments.text is None:
        corpus = ByteCorpus(text_to_bytes(default_text()), name="the default text")
    else:
        corpus = ByteCorpus.from_file(arguments.text)
    task = NextByteTask(corpus, arguments.seq_len, max_valid_windows=arguments.valid_windows)
    model_config = SparseTransformerConfig(
        max_seq_len=arguments.seq_len,
        **attention_of(arguments),
        **_given(arguments, SparseTransformerConfig),
    )
    config = TrainingConfig(progress=not arguments.quiet, **_given(arguments, TrainingConfig))
    model = SparseTransformer(model_config, seed=arguments.seed)
    trainer = Trainer(model, task, config, arguments.output)
    print(
        f"{model.num_parameters():,} parameters, {len(corpus.train):,} bytes to train on, "
        f"{trainer.device} in {trainer.dtype}".replace("torch.", "")
    )
    result = trainer.train(resume=arguments.resume)
    print(
        f"{result.steps:,} steps, {result.train_seconds:.1f} s of training, "
        f"{result.tokens_per_second:,.0f} bytes/s\n"
        f"validation: {result.final.loss_bits:.3f} bits per byte, "
        f"best {result.best.loss_bits:.3f} after step {result.best_step:,}\n"
        f"written to {result.output_dir}"
    )


def add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure, and the arguments of `bench attention` and `bench readme`."""
    subjects = parser.add_subparsers(metavar="SUBJECT", required=True)
    attention = subjects.add_parser(
        "attention",
        help="causal attention beside its peers",
        description="Time causal attention beside its peers; all arms take turns in one run.",
    )
    attention.set_defaults(run=run_bench_attention)
    readme = subjects.add_parser(
        "readme",
        help="put recorded results into a README",
        description="Write the tables of a recorded run between the marks in a README.",
    )
    readme.set_defaults(run=run_bench_readme)
    readme.add_argument("--results", metavar="DIR", default="outputs/attention_benchmark")
    readme.add_argument("--readme", metavar="FILE", default="README.md")
    add = attention.add_argument
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
        default=list(ARMS),
        help=f"out of {', '.join(repr(arm) for arm in ARMS)} (default: all)",
    )
    add("--heads", type=int, default=8, help="number of heads (default: %(default)s)")
    add("--head-dim", type=int, default=64, help="width of a head (default: %(default)s)")
    add("--repeats", type=int, default=5, help="timed calls of each arm (default: %(default)s)")
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
    add("--seed", type=int, default=0, help="of the tensors (default: %(default)s)")
    add("--device", default="cpu", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add(
        "--output",
        metavar="DIR",
        default="runs/bench",
        help="folder for results and plot (default: %(default)s)",
    )
    add("--quiet", action="store_true", help="show no progress bar")


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


def run_bench_readme(arguments: argparse.Namespace) -> None:
    """Put the tables of a recorded run into a README."""
    put_into_readme(Path(arguments.readme), render_markdown(Path(arguments.results) / RESULTS))


def parse_pattern(text: str) -> AttentionPattern:
    """The pattern of `strided:stride=64,part=local`; options are written as in a Python call.

    Raises:
        ValueError: another form, or a name, an option or a value that `make_pattern` refuses.
    """
    name, _, options = text.partition(":")
    try:
        call = ast.parse(f"options({options})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("every option needs a name")
        values = {str(option.arg): _literal(option.value) for option in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"patterns must look like local:window_size=256, got {text!r}") from error
    return make_pattern(name, **values)


def _literal(node: ast.expr) -> Any:
    """A number, a tuple, or a word with or without quotes."""
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


class _FieldArguments:
    """Adds arguments that set fields of a config, with the config's own defaults."""

    def __init__(self, group: argparse._ArgumentGroup, defaults: Any) -> None:
        self.group = group
        self.defaults = defaults

    def add(
        self,
        flag: str,
        kind: type,
        meaning: str,
        *,
        field: str | None = None,
        choices: Sequence[str] | None = None,
    ) -> None:
        field = field or flag.removeprefix("--").replace("-", "_")
        default = getattr(self.defaults, field)
        self.group.add_argument(
            flag,
            dest=field,
            type=kind,
            default=default,
            choices=choices,
            metavar=None if choices else kind.__name__.upper(),
            help=meaning if default is None else f"{meaning} (default: {default})",
        )


def _positions(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _given(arguments: argparse.Namespace, config_class: Any) -> dict[str, Any]:
    """The fields of a config that have an argument of their name."""
    names = {field.name for field in fields(config_class)} - {"attention"}
    return {name: value for name, value in vars(arguments).items() if name in names}


# Flag: the option of the pattern that it sets, how to read it, and the patterns that have it.
PATTERN_ARGUMENTS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "--window-size": ("window_size", int, "local, dilated, longformer"),
    "--dilation": ("dilation", int, "dilated, longformer"),
    "--stride": ("stride", int, "strided"),
    "--block-size": ("block_size", int, "fixed, block, bigbird"),
    "--summary-size": ("summary_size", int, "fixed"),
    "--part": ("part", str, "strided, fixed: both, local or column"),
    "--sparsity": ("sparsity", float, "block, random: the share that is skipped"),
    "--sinks": ("count", int, "sinks: how many first keys all queries see"),
    "--global-tokens": ("positions", _positions, "global: such as 0,1,2"),
    "--global-positions": ("global_positions", _positions, "longformer: such as 0,1,2"),
    "--window-blocks": ("window_blocks", int, "bigbird"),
    "--global-blocks": ("global_blocks", int, "bigbird"),
    "--random-blocks": ("random_blocks", int, "bigbird"),
    "--pattern-seed": ("seed", int, "block, random, bigbird"),
}

LAYOUT_SEQ_LENS = [1 << 14, 1 << 20]
MEMORY_SEQ_LENS = [1 << exponent for exponent in range(16, 21)]

COMMANDS = [
    Command("train", "train a language model on the bytes of a file", add_train_arguments),
    Command("bench", "measure time and memory", add_bench_arguments),
]
