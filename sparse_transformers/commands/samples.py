"""`samples`: writes small generated data sets, in the formats of the published ones."""

import argparse
from pathlib import Path

from sparse_transformers.commands.command import Command
from sparse_transformers.utils.dataset_synthesis import (
    generate_liar_sample,
    generate_multifc_sample,
    generate_truthfulqa_sample,
)
from sparse_transformers.utils.datasets.published_formats import (
    judged_answers_jsonl,
    liar_tsv,
    truthfulqa_csv,
)
from sparse_transformers.utils.runtime import atomic_write_text, make_writable_folder

N_ROWS = 200


def add_samples_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to write."""
    parser.set_defaults(run=run_samples)
    parser.add_argument(
        "--output", metavar="DIR", default="data", help="the folder to write to (default: data)"
    )


def run_samples(arguments: argparse.Namespace) -> None:
    """Write each file of `sample_files`, and say where."""
    output = make_writable_folder(arguments.output)
    for name, text in sample_files().items():
        path = output / name
        path.parent.mkdir(exist_ok=True)
        atomic_write_text(path, text)
        print(path)


def sample_files() -> dict[Path, str]:
    """The content of each file, by its path below the output folder. Always the same."""
    liar = generate_liar_sample(N_ROWS, leaky_history=True)
    truthfulqa = generate_truthfulqa_sample(N_ROWS)
    multifc = generate_multifc_sample(N_ROWS)
    return {
        Path("liar_sample/train.tsv"): liar_tsv(liar[liar["split"] == "train"]),
        Path("liar_sample/valid.tsv"): liar_tsv(liar[liar["split"] == "valid"]),
        Path("truthfulqa_sample.csv"): truthfulqa_csv(truthfulqa),
        Path("judged_answers_sample.jsonl"): judged_answers_jsonl(truthfulqa),
        Path("multifc_sample.csv"): multifc.to_csv(index=False, lineterminator="\n"),
    }


SAMPLES = Command("samples", "write small generated data sets to a folder", add_samples_arguments)
