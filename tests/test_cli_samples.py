"""The generated samples under data/: written anew, and read by the loaders of the real files."""

from pathlib import Path

import pandas as pd
from pandas.testing import assert_frame_equal

from sparse_transformers.cli import main
from sparse_transformers.utils.dataset_loaders import (
    load_judged_answers,
    load_liar,
    load_truthfulqa,
)
from sparse_transformers.utils.dataset_synthesis import (
    generate_liar_sample,
    generate_multifc_sample,
    generate_truthfulqa_sample,
)

DATA = Path(__file__).resolve().parent.parent / "data"
LARGEST_SUM_OF_BYTES = 300_000


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "README.md")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_command_writes_the_committed_files_again(tmp_path, capsys):
    assert main(["samples", "--output", str(tmp_path / "data")]) == 0
    written, committed = contents(tmp_path / "data"), contents(DATA)
    assert written.keys() <= committed.keys()  # real files may stand beside them
    assert written == {name: committed[name] for name in written}
    assert len(capsys.readouterr().out.splitlines()) == len(written) == 5
    assert sum(map(len, written.values())) < LARGEST_SUM_OF_BYTES


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path, capsys):
    (tmp_path / "data").write_text("a file, not a folder")
    assert main(["samples", "--output", str(tmp_path / "data")]) == 2
    assert "must be writable" in capsys.readouterr().err


def test_load_liar_reads_the_generated_claims():
    loaded = load_liar(DATA / "liar_sample", include_history=True)
    assert_frame_equal(loaded, generate_liar_sample(200, leaky_history=True), check_dtype=False)


def test_load_truthfulqa_reads_the_generated_questions():
    loaded = load_truthfulqa(DATA / "truthfulqa_sample.csv")
    assert_frame_equal(loaded, generate_truthfulqa_sample(200)[list(loaded)])


def test_load_judged_answers_reads_the_generated_answers():
    loaded = load_judged_answers(DATA / "judged_answers_sample.jsonl")
    assert_frame_equal(loaded, generate_truthfulqa_sample(200)[list(loaded)])


def test_pandas_reads_the_generated_claims_of_several_domains():
    loaded = pd.read_csv(DATA / "multifc_sample.csv")
    assert_frame_equal(loaded, generate_multifc_sample(200), check_dtype=False)
