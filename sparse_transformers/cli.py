"""The command line: arguments in, one call into the library, a few lines out."""

import argparse
import sys
from collections.abc import Sequence

from sparse_transformers.commands.bench import BENCH
from sparse_transformers.commands.generate import GENERATE
from sparse_transformers.commands.own_files import add_import_argument, import_own_files
from sparse_transformers.commands.predict import PREDICT
from sparse_transformers.commands.readme import README
from sparse_transformers.commands.samples import SAMPLES
from sparse_transformers.commands.train import TRAIN
from sparse_transformers.commands.train_claims import TRAIN_CLAIMS

COMMANDS = [TRAIN, GENERATE, TRAIN_CLAIMS, PREDICT, BENCH, SAMPLES, README]
"""A new command is one file in `commands`, and one entry here."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 2 if the input is at fault, with one line on stderr."""
    try:
        import_own_files(sys.argv[1:] if argv is None else argv)
        arguments = build_parser().parse_args(argv)
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
        add_import_argument(subparser)
    return parser
