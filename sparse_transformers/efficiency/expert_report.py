"""The files that a benchmark of experts leaves: what was measured, its tables, and a picture."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

from sparse_transformers.efficiency.comparison import measured_with
from sparse_transformers.efficiency.expert_arms import DENSE
from sparse_transformers.efficiency.expert_results import ExpertBenchmark
from sparse_transformers.utils.records import from_json, to_json
from sparse_transformers.utils.runtime import atomic_write_bytes, atomic_write_text

RESULTS = "expert_benchmark.json"
TABLES = "expert_benchmark.md"
PLOT = "expert_benchmark.png"


def write_expert_report(
    folder: Path, benchmarks: Sequence[ExpertBenchmark]
) -> tuple[Path, Path, Path]:
    """Write the results as JSON, and tables and a plot of what the JSON holds; returns the paths.

    Args:
        folder: an existing folder.
        benchmarks: one for each direction.

    Raises:
        ValueError: there is nothing to write.
    """
    # Only who draws waits for matplotlib.
    from matplotlib.figure import Figure

    from sparse_transformers.utils.plots.expert_speed import plot_expert_speeds

    if not benchmarks:
        raise ValueError("benchmarks must not be empty")
    results = {"benchmarks": to_json(list(benchmarks))}
    atomic_write_text(folder / RESULTS, json.dumps(results, indent=2) + "\n")
    atomic_write_text(folder / TABLES, render_markdown(folder / RESULTS) + "\n")

    figure = Figure(figsize=(7 * len(benchmarks), 6), layout="constrained")
    axes = figure.subplots(1, len(benchmarks), squeeze=False)[0]
    for benchmark, ax in zip(results["benchmarks"], axes, strict=True):
        plot_expert_speeds(benchmark["rows"], DENSE, ax=ax)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    atomic_write_bytes(folder / PLOT, image.getvalue())
    return folder / RESULTS, folder / TABLES, folder / PLOT


def render_markdown(results: Path) -> str:
    """The tables of a recorded run, with the machine that it ran on.

    Args:
        results: the JSON file that `write_expert_report` wrote.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else, or nothing.
    """
    try:
        content = json.loads(results.read_text(encoding="utf-8"))
        benchmarks = [from_json(ExpertBenchmark, entry) for entry in content["benchmarks"]]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{results} must be the results of a benchmark of experts") from error
    if not benchmarks:
        raise ValueError(f"{results} must hold times, got none")
    tables = [benchmark.to_markdown() for benchmark in benchmarks]
    return "\n\n".join([measured_with([each.environment for each in benchmarks]), *tables])
