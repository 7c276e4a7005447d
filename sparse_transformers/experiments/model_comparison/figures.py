"""The figure of the model comparison."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparse_transformers.experiments.model_comparison.measure import DENSE, ModelComparison
from sparse_transformers.utils.plots.base import Curve, plot_bars, plot_curves
from sparse_transformers.utils.plots.style import (
    REFERENCE_COLOR,
    TEXT_SIZE,
    new_figure,
    one_legend,
    style_of,
)
from sparse_transformers.utils.verdicts import list_by_verdict


def draw_comparison(comparison: ModelComparison) -> Figure:
    """Quality against time and against text read, and the speed of training."""
    figure, panels = new_figure(2, 2, height=6.6, height_ratios=(2.2, 1))
    grid = panels[1, 0].get_gridspec()
    for ax in panels[1]:
        ax.remove()
    (times, texts), speeds = panels[0], figure.add_subplot(grid[1, :])
    title = f"In the same time. {list_by_verdict(comparison.gaps(), 0, DENSE)}"
    plot_learning(comparison, "seconds", title, "seconds of training", ax=times)
    plot_learning(comparison, "tokens", "From the same text", "thousand bytes read", ax=texts)
    styles = [style_of(model.name) for model in comparison.models]
    spread = (comparison.by_seed("bytes_per_second") / 1000).agg(["mean", "min", "max"])
    fastest = spread.loc["mean"].idxmax()
    plot_bars(
        [style.label for style in styles],
        {"_speed": spread.loc["mean"].tolist()},
        intervals={"_speed": spread.loc[["min", "max"]].T.to_numpy().tolist()},
        colors={"_speed": [style.color for style in styles]},  # "_": not in the legend
        title=f"Fastest in training: {fastest}",
        xlabel="thousand bytes per second (mean, range over seeds)",
        ax=speeds,
    )
    one_legend(figure, "upper center", ncols=len(styles))
    return figure


def plot_learning(
    comparison: ModelComparison, against: str, title: str, xlabel: str, ax: Axes | None = None
) -> Axes:
    """Draw bits per held-out byte for each run, and the marks to beat.

    Args:
        comparison: what was measured.
        against: "seconds" of training, or "tokens": thousand bytes read.
        title: above the axes.
        xlabel: what the horizontal axis is.
        ax: where to draw; None makes a new figure.
    """
    scale = 1000 if against == "tokens" else 1
    names = [model.name for model in comparison.models]
    first = comparison.settings.n_seeds and min(run.seed for run in comparison.runs)
    curves = [
        Curve(
            style_of(run.name),
            x=[getattr(each, against) / scale for each in run.validations],
            y=[each.bits_per_byte for each in run.validations],
            label=None if run.seed == first else "_",  # what begins with _ stays out of a legend
        )
        for run in sorted(comparison.runs, key=lambda run: (names.index(run.name), run.seed))
    ]
    ax = plot_curves(curves, title=title, xlabel=xlabel, ylabel="bits per held-out byte", ax=ax)
    for line in ax.get_lines():
        line.set(markersize=3, linewidth=1.2)
    # The curves come down from the upper left, so the lower mark has its name there.
    for side, baseline in zip(("right", "left"), comparison.baselines, strict=True):
        ax.axhline(baseline.bits_per_byte, color=REFERENCE_COLOR, linewidth=1, linestyle=":")
        ax.text(
            0.99 if side == "right" else 0.01,
            baseline.bits_per_byte,
            f"counting {baseline.name}: {baseline.bits_per_byte:.2f}",
            transform=ax.get_yaxis_transform(),
            ha=side,
            va="bottom",
            fontsize=TEXT_SIZE,
            color=REFERENCE_COLOR,
        )
    # The untrained models begin far above the rest, which they would squeeze.
    marks = [baseline.bits_per_byte for baseline in comparison.baselines]
    ax.set_ylim(top=1.05 * max(*marks, comparison.by_seed("bits").max(axis=None)))
    return ax
