"""The figure of claim classifiers with and without experts."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sparse_transformers.experiments.expert_claims.records import (
    EXPERTS,
    TWIN,
    WIDE,
    ExpertClaims,
    ExpertClaimsCorpus,
    SeedScores,
)
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.plots.style import DASHES, TEXT_SIZE, finish, new_axes, new_figure
from sparse_transformers.utils.verdicts import spell, verdict

COLORS = {EXPERTS: "#D55E00", TWIN: "#0072B2", WIDE: "#56B4E9"}
MEASURES = {
    "accuracy": ("share judged right", "difference (above 0: experts are better)"),
    "loss_bits": ("bits per claim (less is better)", "difference (below 0: experts are better)"),
}
"""Fields of `ClaimJudge`: the labels of the axes of scores and of differences."""
SEED_OFFSET = 0.22  # below the mean, so that neither hides the other


def draw_expert_claims(claims: ExpertClaims) -> Figure:
    """For every data set the encoders' accuracy and loss, and under them the paired differences."""
    n_corpora = len(claims.corpora)
    figure, grid = new_figure(
        2 * n_corpora,
        2,
        height=5.6 * n_corpora,
        height_ratios=(1.5, 1) * n_corpora,
        squeeze=False,
    )
    for nth, corpus in enumerate(claims.corpora):
        for column, measure in enumerate(MEASURES):
            judges, leads = grid[2 * nth : 2 * nth + 2, column]
            plot_judges(corpus, measure, ax=judges)
            plot_leads(corpus, measure, ax=leads)
            if column:
                judges.set_yticklabels([])
                leads.set_yticklabels([])
    return figure


def plot_judges(corpus: ExpertClaimsCorpus, measure: str, ax: Axes | None = None) -> Axes:
    """Draw one measure of all encoders: means with intervals, seeds as rings, references as lines.

    Args:
        corpus: the data set.
        measure: one of `MEASURES`.
        ax: where to draw; None makes a new figure.
    """
    scores: dict[str, SeedScores] = {judge.name: getattr(judge, measure) for judge in corpus.judges}
    encoders = {name: scores.pop(name) for name in COLORS}
    ax = _plot_intervals({name: each.mean for name, each in encoders.items()}, ax)
    for place, (name, each) in enumerate(encoders.items()):
        ax.scatter(
            each.of_seeds,
            [place + SEED_OFFSET] * len(each.of_seeds),
            s=16,
            facecolors="none",
            edgecolors=COLORS[name],
            linewidths=0.9,
        )
    for (name, each), dashes in zip(scores.items(), DASHES, strict=False):
        label = f"{name}: {each.mean.estimate:.3f}"
        ax.axvline(each.mean.estimate, color="black", linestyle=dashes, linewidth=1, label=label)
    ax.scatter([], [], s=16, facecolors="none", edgecolors="#444444", label="one seed")
    title = f"{corpus.name}: {corpus.n_valid:,} held-out claims"
    return finish(ax, title, MEASURES[measure][0], "", grid="x")


def plot_leads(corpus: ExpertClaimsCorpus, measure: str, ax: Axes | None = None) -> Axes:
    """Draw how the encoder with experts differs from each dense one on the same claims.

    Arguments are those of `plot_judges`.
    """
    leads = {name: getattr(corpus.by_name[name], measure).lead for name in (TWIN, WIDE)}
    gaps = {name: lead.difference for name, lead in leads.items()}
    ax = _plot_intervals(gaps, ax, "experts less\n{}")
    ax.axvline(0, color="black", linewidth=1)
    for place, lead in enumerate(leads.values()):
        text = f"{spell(lead.difference, '{:+.3f}')}, p = {lead.p_value:.3f}"
        place_of_text, box = (0.5, place - 0.15), {"fc": "white", "lw": 0, "pad": 0}
        across = ax.get_yaxis_transform()
        ax.text(
            *place_of_text,
            text,
            transform=across,
            size=TEXT_SIZE,
            ha="center",
            va="bottom",
            bbox=box,
        )
    sides = [f"{name}: {verdict(gap)}" for name, gap in gaps.items()]
    finish(ax, f"experts less {', '.join(sides)}", MEASURES[measure][1], "", grid="x")
    ax.title.set_fontsize(TEXT_SIZE)
    return ax


def _plot_intervals(intervals: Mapping[str, Interval], ax: Axes | None, label: str = "{}") -> Axes:
    """A dot and a whisker for each name, the first on top."""
    ax = new_axes(ax)
    for place, (name, interval) in enumerate(intervals.items()):
        ax.plot([interval.low, interval.high], [place, place], color=COLORS[name], linewidth=1.8)
        ax.plot(interval.estimate, place, "o", color=COLORS[name], markersize=6)
    ax.set_yticks(range(len(intervals)), [label.format(name) for name in intervals])
    ax.set_ylim(len(intervals) - 0.4, -0.6)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    return ax
