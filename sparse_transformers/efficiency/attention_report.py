"""The files that an attention benchmark leaves: what was measured, and a picture of that."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

from sparse_transformers.efficiency.attention_memory import MemoryScaling
from sparse_transformers.efficiency.attention_results import AttentionBenchmark
from sparse_transformers.efficiency.comparison import measured_with
from sparse_transformers.efficiency.layout_benchmark import LayoutBenchmark
from sparse_transformers.utils.records import from_json, to_json
from sparse_transformers.utils.runtime import atomic_write_bytes, atomic_write_text

RESULTS = "attention_benchmark.json"
PLOT = "attention_benchmark.png"


def write_attention_report(
    folder: Path,
    benchmarks: Sequence[AttentionBenchmark],
    memory: Sequence[MemoryScaling] = (),
    layouts: Sequence[LayoutBenchmark] = (),
) -> tuple[Path, Path]:
    """Write the results as JSON, and a plot of what the JSON holds; returns the two paths.

    Args:
        folder: an existing folder.
        benchmarks: one for each direction.
        memory: one for each pattern, if memory was measured.
        layouts: one for each pattern, if building layouts was measured.

    Raises:
        ValueError: there is nothing to write.
    """
    # Only who draws waits for matplotlib.
    from matplotlib.figure import Figure

    from sparse_transformers.utils.plots.attention_speed import (
        plot_attention_times,
        plot_memory_scaling,
    )

    if not benchmarks and not memory:
        raise ValueError("benchmarks and memory must not both be empty")
    results = {
        "benchmarks": to_json(list(benchmarks)),
        "memory": to_json(list(memory)),
        "layouts": to_json(list(layouts)),
    }
    atomic_write_text(folder / RESULTS, json.dumps(results, indent=2) + "\n")

    n_plots = len(benchmarks) + bool(memory)
    figure = Figure(figsize=(6 * n_plots, 6), layout="constrained")
    axes = list(figure.subplots(1, n_plots, squeeze=False)[0])
    for benchmark, ax in zip(results["benchmarks"], axes, strict=False):
        plot_attention_times(benchmark["rows"], ax=ax)
    if memory:
        plot_memory_scaling(results["memory"], ax=axes[-1])
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    atomic_write_bytes(folder / PLOT, image.getvalue())
    return folder / RESULTS, folder / PLOT


def render_markdown(results: Path) -> str:
    """The tables of a recorded run, with the machine that it ran on.

    Args:
        results: the JSON file that `write_attention_report` wrote.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else, or no times.
    """
    try:
        content = json.loads(results.read_text(encoding="utf-8"))
        benchmarks = [from_json(AttentionBenchmark, entry) for entry in content["benchmarks"]]
        memory = [from_json(MemoryScaling, entry) for entry in content["memory"]]
        layouts = [from_json(LayoutBenchmark, entry) for entry in content["layouts"]]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{results} must be the results of an attention benchmark") from error
    if not benchmarks:
        raise ValueError(f"{results} must hold times, got none")
    tables = [benchmark.to_markdown() for benchmark in benchmarks]
    tables += [scaling.to_markdown() for scaling in memory]
    tables += [layout.to_markdown() for layout in layouts]
    return "\n\n".join([measured_with([each.environment for each in benchmarks]), *tables])
