"""The figure of claim classifiers with and without experts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sparse_transformers.experiments.expert_claims.records import (
    EXPERTS,
    TWIN,
    WIDE,
    ClaimReference,
    ExpertClaims,
    ExpertClaimsArm,
    ExpertClaimsCorpus,
    ExpertDifference,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import MAJORITY
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.plots.style import GRID_COLOR, WIDTH

COLORS = {EXPERTS: "#D55E00", TWIN: "#0072B2", WIDE: "#56B4E9", MAJORITY: "#777777"}
DASHES = ("--", ":")
SEED_OFFSET = 0.22  # below the mean, so that neither hides the other


@dataclass(frozen=True)
class Measure:
    """One way to score a judge, and where its numbers stand.

    Attributes:
        label: of the axis.
        gain_label: of the axis of differences.
        of: of an encoder or a reference.
        of_seeds: of an encoder with each seed.
        gain: of the encoder with experts over another judge.
    """

    label: str
    gain_label: str
    of: Callable[[ExpertClaimsArm | ClaimReference], Interval]
    of_seeds: Callable[[ExpertClaimsArm], tuple[float, ...]]
    gain: Callable[[ExpertDifference], Interval]


ACCURACY = Measure(
    "share of held-out claims judged right",
    "difference in that share (above 0: experts are better)",
    lambda judge: judge.accuracy,
    lambda arm: arm.seed_accuracies,
    lambda difference: difference.accuracy.difference,
)
LOSS = Measure(
    "loss in bits per claim (less is better)",
    "difference in that loss (below 0: experts are better)",
    lambda judge: judge.loss_bits,
    lambda arm: arm.seed_losses_bits,
    lambda difference: difference.loss_bits.difference,
)


def draw_expert_claims(claims: ExpertClaims) -> Figure:
    """For every data set the encoders' accuracy and loss, and under them the paired differences."""
    n_corpora = len(claims.corpora)
    figure, grid = plt.subplots(
        2 * n_corpora,
        2,
        figsize=(WIDTH, 4.6 * n_corpora),
        height_ratios=(1.5, 1) * n_corpora,
        layout="constrained",
        squeeze=False,
    )
    for nth, corpus in enumerate(claims.corpora):
        for column, measure in enumerate((ACCURACY, LOSS)):
            judges, gains = grid[2 * nth : 2 * nth + 2, column]
            plot_judges(corpus, measure, ax=judges)
            plot_gains(corpus, measure, ax=gains)
            if column:
                judges.set_yticklabels([])
                gains.set_yticklabels([])
    return figure


def plot_judges(corpus: ExpertClaimsCorpus, measure: Measure, ax: Axes | None = None) -> Axes:
    """Draw one measure of all encoders: means with intervals, seeds as rings, references as lines.

    Args:
        corpus: the data set.
        measure: `ACCURACY` or `LOSS`.
        ax: where to draw; None makes a new figure.
    """
    ax = _plot_intervals({arm.name: measure.of(arm) for arm in corpus.arms}, ax)
    for place, arm in enumerate(corpus.arms):
        seeds = measure.of_seeds(arm)
        ax.scatter(
            seeds,
            [place + SEED_OFFSET] * len(seeds),
            s=16,
            facecolors="none",
            edgecolors=COLORS[arm.name],
            linewidths=0.9,
        )
    ring = Line2D(
        [], [], linestyle="", marker="o", markerfacecolor="none", color="#444444", markersize=4
    )
    ring.set_label("one seed")
    lines = [
        ax.axvline(
            measure.of(each).estimate,
            color="black",
            linestyle=dashes,
            linewidth=1,
            label=f"{each.name}: {measure.of(each).estimate:.3f}",
        )
        for each, dashes in zip(corpus.references, DASHES, strict=False)
    ]
    ax.legend(
        handles=[*lines, ring], fontsize=7, ncols=3, loc="lower center", framealpha=1, edgecolor="w"
    )
    ax.set_ylim(len(corpus.arms) + 0.1, -0.6)  # room for the legend under the last encoder
    ax.set_title(f"{corpus.name}: {corpus.n_valid:,} held-out claims", fontsize=10)
    ax.set_xlabel(measure.label)
    return ax


def plot_gains(corpus: ExpertClaimsCorpus, measure: Measure, ax: Axes | None = None) -> Axes:
    """Draw how the encoder with experts differs from each dense one on the same claims.

    Arguments are those of `plot_judges`.
    """
    others = [each for each in corpus.differences if each.other != MAJORITY]
    ax = _plot_intervals(
        {each.other: measure.gain(each) for each in others}, ax, "experts less\n{}"
    )
    ax.axvline(0, color="black", linewidth=1)
    ax.set_ylim(len(others) - 0.4, -0.6)
    ax.set_xlabel(measure.gain_label)
    return ax


def _plot_intervals(intervals: Mapping[str, Interval], ax: Axes | None, label: str = "{}") -> Axes:
    """A dot and a whisker for each name, the first on top."""
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    for place, (name, interval) in enumerate(intervals.items()):
        ax.plot([interval.low, interval.high], [place, place], color=COLORS[name], linewidth=1.8)
        ax.plot(interval.estimate, place, "o", color=COLORS[name], markersize=6)
    ax.set_yticks(range(len(intervals)), [label.format(name) for name in intervals])
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.tick_params(labelsize=8)
    ax.grid(axis="x", color=GRID_COLOR, linewidth=0.6)
    ax.set_axisbelow(True)
    return ax
