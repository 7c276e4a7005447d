"""A benchmark of another subject takes a workload and a report, and nothing else."""

from dataclasses import dataclass
from functools import partial

import pytest
import torch

from sparse_transformers.efficiency.benchmark_report import TIMES, Report, Table
from sparse_transformers.efficiency.comparison import (
    CannotMeasureError,
    TimingOptions,
    Workload,
    run_benchmark,
)
from sparse_transformers.utils.plots.relative_speed import plot_relative_speeds


def not_installed(x):
    raise CannotMeasureError("it is not installed")


SUMS = {"loop": sum, "torch": torch.sum, "mean": torch.mean, "peer": not_installed}


@dataclass(frozen=True, eq=False)
class SumWorkload(Workload):
    x: torch.Tensor

    def case(self, name):
        return {"length": len(self.x)}

    def prepare(self, name):
        return lambda: {"output": SUMS[name](self.x)}

    def expected(self, name):
        return {"output": self.x.double().sum()}


REPORT = Report(
    subject="a benchmark of sums",
    file_name="sum_benchmark",
    settings="{dtype} numbers",
    columns={"length": "{length:,}", "implementation": "{implementation}", "ms": TIMES},
    plot=partial(plot_relative_speeds, baseline="loop", subject="Sums", case="length {length}"),
)


@pytest.fixture(scope="module")
def benchmark():
    torch.manual_seed(0)
    runs = [
        (f"{length} numbers", [(name, workload) for name in SUMS])
        for length in (4, 32)
        for workload in [SumWorkload(torch.rand(length))]
    ]
    options = TimingOptions(implementations=tuple(SUMS), repeats=2)
    return run_benchmark(runs, options, baseline="loop", settings={"dtype": "random"})


def test_rows_are_a_tidy_table(benchmark):
    table = benchmark.table()
    assert len(table) == 2 * len(SUMS)
    assert set(table.query("length == 32 and median_ms > 0").implementation) == {"loop", "torch"}
    reasons = table.query("length == 4").set_index("implementation").not_measured
    assert reasons["peer"] == "it is not installed"
    assert reasons["mean"] == "wrong: output off by 0.75 of the largest number (length 4)"
    assert (table.query("implementation == 'loop'").speedup == 1).all()


def test_results_tables_and_figure_are_written_and_read_again(benchmark, tmp_path):
    results, tables, figure = REPORT.write(tmp_path, [benchmark])
    assert REPORT.render_markdown(results) + "\n" == tables.read_text()
    assert "| 32 | peer | not measured: it is not installed |" in tables.read_text()
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_nothing_to_write_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="benchmarks must hold at least one entry"):
        REPORT.write(tmp_path, [])


def test_table_is_aligned_and_a_reason_takes_the_rest_of_the_line():
    reason = "not measured: too large"
    rows = [["a", "1", "10", "2"], ["b|c", "22", reason, ""]]
    table = Table("title", ["experts", "n", "ms", "of"], rows)
    assert str(table).splitlines() == [
        "title",
        "experts   n  ms  of",
        "a         1  10   2",
        f"b|c      22  {reason}",
    ]
    assert table.to_markdown().splitlines() == [
        "title:",
        "",
        "| experts | n | ms | of |",
        "| --- | ---: | ---: | ---: |",
        "| a | 1 | 10 | 2 |",
        rf"| b\|c | 22 | {reason} |  |",
    ]
