"""`--import`: files of the user that register patterns, routers and selectors."""

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path


def add_import_argument(parser: argparse.ArgumentParser) -> None:
    """`--import FILE`, which every command has."""
    parser.add_argument(
        "--import",
        dest="imports",
        metavar="FILE",
        action="append",
        default=[],
        help="run this Python file first: it may register patterns, routers and selectors",
    )


def import_own_files(argv: Sequence[str]) -> None:
    """Run the files that are named on a command line, before their names are asked for.

    Raises:
        ValueError: A file is missing, no Python file, or fails.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_import_argument(first)
    for file in first.parse_known_args(argv)[0].imports:
        _run(Path(file))


def _run(file: Path) -> None:
    if not file.is_file() or file.suffix != ".py":
        raise ValueError(f"--import must name a Python file, got {file}")
    name = str(file.resolve())  # as the file's stem may be the name of another module
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(f"--import {file} failed: {type(error).__name__}: {error}") from error
