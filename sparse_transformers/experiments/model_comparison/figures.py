"""The figure of the model comparison."""

from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparse_transformers.experiments.model_comparison.measure import ModelComparison
from sparse_transformers.utils.plots.base import Curve, plot_bars, plot_curves
from sparse_transformers.utils.plots.style import style_of

MIB = 1 << 20


def draw_comparison(comparison: ModelComparison) -> Figure:
    """Quality against time and against text read, speed, and memory."""
    figure, axes = plt.subplots(
        2, 2, figsize=(9.2, 6.6), height_ratios=(2.2, 1), layout="constrained"
    )
    plot_learning(comparison, "seconds", ax=axes[0, 0])
    plot_learning(comparison, "tokens", ax=axes[0, 1])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8)

    names = [model.name for model in comparison.models]
    labels = [style_of(name).label for name in names]
    colors = [style_of(name).color for name in names]
    speeds = [[run.tokens_per_second / 1000 for run in comparison.runs_of(name)] for name in names]
    plot_bars(
        labels,
        {"speed": [float(np.mean(each)) for each in speeds]},
        intervals={"speed": [(min(each), max(each)) for each in speeds]},
        colors={"speed": colors},
        title="How fast do they read? (measured)",
        xlabel="thousand bytes per second of training (mean, range)",
        ax=axes[1, 0],
    )
    plot_bars(
        labels,
        {"memory": [model.step_bytes / MIB for model in comparison.models]},
        colors={"memory": colors},
        title="How much memory does a step take? (measured)",
        xlabel="MiB at the peak, beyond weights and gradients",
        ax=axes[1, 1],
    )
    return figure


def plot_learning(
    comparison: ModelComparison, against: Literal["seconds", "tokens"], ax: Axes | None = None
) -> Axes:
    """Draw bits per held-out byte for each run, and the marks to beat."""
    curves = []
    for model in comparison.models:
        for nth, run in enumerate(comparison.runs_of(model.name)):
            x = {
                "seconds": [each.seconds for each in run.validations],
                "tokens": [each.tokens / 1000 for each in run.validations],
            }[against]
            y = [each.bits_per_byte for each in run.validations]
            label = None if nth == 0 else "_"  # a label that begins with _ stays out of a legend
            curves.append(Curve(style_of(model.name), x=x, y=y, label=label))
    ax = plot_curves(
        curves,
        title={
            "seconds": "What is learnt in the same time?",
            "tokens": "What is learnt from the same text?",
        }[against],
        xlabel={"seconds": "seconds of training", "tokens": "thousand bytes read"}[against],
        ylabel="bits per held-out byte",
        ax=ax,
    )
    for line in ax.get_lines():
        line.set(markersize=3, linewidth=1.2)
    # The curves come down from the upper left, so the lower mark has its name there.
    for side, baseline in zip(("right", "left"), comparison.baselines, strict=True):
        ax.axhline(baseline.bits_per_byte, color="#777777", linewidth=1, linestyle=":")
        ax.annotate(
            f"counting {baseline.name}: {baseline.bits_per_byte:.2f}",
            (float(side == "right"), baseline.bits_per_byte),
            xycoords=("axes fraction", "data"),
            xytext=(-3 if side == "right" else 3, 2),
            textcoords="offset points",
            ha=side,
            fontsize=7.5,
            color="#555555",
        )
    # The untrained models begin far above the rest, which they would squeeze.
    marks = [baseline.bits_per_byte for baseline in comparison.baselines]
    ax.set_ylim(top=1.05 * max(*marks, *(run.final_bits for run in comparison.runs)))
    return ax
