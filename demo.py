"""The tour of sparse attention: measures, draws and tells, and writes all of it to one folder.

    python demo.py                     about four minutes on two cores
    python demo.py --preset smoke      a look in about a minute
    python demo.py --text FILE         the models read this file instead of Python's help topics
    python demo.py --liar DIR          claims from the LIAR data set instead of synthetic ones;
                                       also --truthfulqa FILE and --judged FILE

Every number in the report was measured or counted in the run that wrote it. `results.json` holds
them all, and figures and report are made from that file alone.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sparse_transformers.claims.tables import load_tables
from sparse_transformers.experiments.sections import SECTIONS
from sparse_transformers.experiments.tour import REPORT, prepare_tour, run_tour
from sparse_transformers.training.data import ByteCorpus, default_text, load_bytes, text_to_bytes
from sparse_transformers.utils.runtime import seed_everything

PRESETS = ("smoke", "default", "full")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tour; the exit status is 2 if the input is at fault, with one line on stderr."""
    arguments = _parse(argv)
    try:
        seed_everything(arguments.seed)
        corpus = _load(arguments.text)
        tables = load_tables(
            liar=arguments.liar,
            truthfulqa=arguments.truthfulqa,
            judged=arguments.judged,
            seed=arguments.seed,
        )
        folder = prepare_tour(
            SECTIONS, arguments.preset, corpus, arguments.output, only=arguments.sections
        )
    except (ValueError, OSError) as error:
        print("error:", *str(error).split(), file=sys.stderr)
        return 2
    run_tour(
        SECTIONS,
        arguments.preset,
        corpus,
        folder,
        tables=tables,
        only=arguments.sections,
        seed=arguments.seed,
        say=_clock(),
        progress=sys.stderr.isatty(),
    )
    print(f"The report is {folder / REPORT}")
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    names = [section.name for section in SECTIONS]
    parser = argparse.ArgumentParser(
        prog="demo.py", description="Measure sparse attention, and write figures and a report."
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default="default",
        help="how much to measure: about 1 minute, about 4, or about an hour on two cores "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--text", metavar="FILE", help="any file, read as bytes (default: Python's help topics)"
    )
    for flag, metavar, meaning in (
        ("--liar", "DIR", "the folder of the LIAR data set: train.tsv, valid.tsv"),
        ("--truthfulqa", "FILE", "TruthfulQA.csv"),
        ("--judged", "FILE", "answers that people judged, as lines of JSON"),
    ):
        parser.add_argument(flag, metavar=metavar, help=f"{meaning} (default: synthetic claims)")
    parser.add_argument(
        "--output", metavar="DIR", default="outputs", help="where to write (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of every random choice (default: %(default)s)"
    )
    parser.add_argument(
        "--sections", nargs="+", choices=names, default=names, help="run only these"
    )
    return parser.parse_args(argv)


def _load(text: str | None) -> ByteCorpus:
    if text is not None:
        return ByteCorpus(load_bytes(text), name=Path(text).name)
    return ByteCorpus(text_to_bytes(default_text()), name="the help topics of Python")


def _clock() -> Callable[[str], None]:
    """A function that prints a line with the seconds since the start."""
    started = time.perf_counter()
    return lambda step: print(f"[{time.perf_counter() - started:5.0f} s] {step}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
