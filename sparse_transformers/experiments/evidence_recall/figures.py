"""The figures of the evidence experiment."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparse_transformers.experiments.evidence_recall.measure import (
    REACHED,
    REACHES,
    SEEN,
    UNREACHED,
    EvidenceRecall,
    Verdicts,
)
from sparse_transformers.utils.metrics.significance import Interval, wilson_interval
from sparse_transformers.utils.plots.base import Curve, plot_bars, plot_curves, style_of

REACH_LABELS = {
    SEEN: "fact seen in one layer",
    REACHED: "only by way of other tokens",
    UNREACHED: "out of reach",
}
REACH_COLORS = {SEEN: "#0B4F8A", REACHED: "#86B6DD", UNREACHED: "#BBBBBB"}
FEW_CLAIMS = 10
"""Shares of fewer claims than these are left out of the pictures."""


def draw_recall(recall: EvidenceRecall) -> Figure:
    """Accuracy against the distance of the fact, and against the length of the document."""
    longest = max(recall.settings.lengths)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.2, 4.4), width_ratios=(1.7, 1), layout="constrained"
    )
    plot_accuracy_by_distance(recall, longest, ax=left)
    handles, labels = left.get_legend_handles_labels()
    plot_accuracy_by_length(recall, ax=right)
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8)
    return figure


def draw_reach(recall: EvidenceRecall) -> Figure:
    """Accuracy by what the rule says about each fact, before and after training on."""
    longest = max(recall.settings.lengths)
    states = [False, True] if recall.settings.adaptation_steps else [False]
    figure, row = plt.subplots(
        1, len(states) + 1, figsize=(9.2, 4.6), layout="constrained", squeeze=False
    )
    for adapted, axes in zip(states, row[0], strict=False):
        plot_accuracy_by_reach(recall, longest, adapted=adapted, ax=axes)
        if adapted:
            axes.set_yticklabels([])
    handles, labels = row[0, 0].get_legend_handles_labels()
    plot_prediction(recall, ax=row[0, -1])
    figure.legend(handles, labels, loc="outside upper left", ncols=3, fontsize=8)
    return figure


def plot_accuracy_by_distance(recall: EvidenceRecall, seq_len: int, ax: Axes) -> Axes:
    """Draw each attention's share of right verdicts by how far back the fact stands."""
    curves = []
    asked = recall.chosen(seq_len=seq_len, arm=recall.arm_names[0], adapted=False)
    distances = sorted(
        {
            each.distance
            for each in asked
            if _n_claims([other for other in asked if other.distance == each.distance])
            >= FEW_CLAIMS
        }
    )
    for nth, name in enumerate(recall.arm_names):
        # Near the middle of the octave, as it looks on a logarithmic axis, and side by side.
        middle = 2 ** (0.5 + 0.05 * (nth - len(recall.arm_names) / 2))
        points = [
            (distance * middle, accuracy(chosen))
            for distance in distances
            if (
                chosen := recall.chosen(arm=name, seq_len=seq_len, adapted=False, distance=distance)
            )
        ]
        curves.append(_curve(name, points))
    ax = plot_curves(
        curves,
        title=f"{seq_len:,} tokens: how far back is evidence found?",
        xlabel="tokens between the fact and the verdict",
        ylabel="share of right verdicts",
        ax=ax,
    )
    ax.set_xscale("log", base=2)
    ax.set_xticks(distances, [f"{distance:,}" for distance in distances], fontsize=8)
    window = recall.settings.keys_per_query
    for place, text in ((window, "the window"), (2 * window, "two windows")):
        ax.axvline(place, color=style_of("local").color, linewidth=1, linestyle=":")
        ax.annotate(
            text,
            (place, 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=7.5,
            rotation=90,
            color=style_of("local").color,
        )
    return _with_chance(ax)


def plot_accuracy_by_length(recall: EvidenceRecall, ax: Axes) -> Axes:
    """Draw each attention's share of right verdicts over all claims, by length."""
    lengths = sorted(recall.settings.lengths)
    curves = []
    for name in recall.arm_names:
        points = [
            (float(seq_len), accuracy(recall.chosen(arm=name, seq_len=seq_len, adapted=False)))
            for seq_len in lengths
        ]
        curves.append(_curve(name, points))
    ax = plot_curves(
        curves,
        title="all distances",
        xlabel="tokens in the document",
        ylabel="",
        ax=ax,
    )
    ax.set_xscale("log", base=2)
    ax.set_xticks(lengths, [f"{length:,}" for length in lengths], fontsize=8)
    ax.minorticks_off()
    return _with_chance(ax)


def plot_accuracy_by_reach(
    recall: EvidenceRecall, seq_len: int, *, adapted: bool, ax: Axes
) -> Axes:
    """Draw, for each attention, the share of right verdicts by what its rule says of the fact."""
    names = recall.arm_names
    bars: dict[str, list[float | None]] = {}
    intervals: dict[str, list[tuple[float, float] | None]] = {}
    for reach in REACHES:
        shares = [
            accuracy(chosen) if _n_claims(chosen) >= FEW_CLAIMS else None
            for name in names
            for chosen in [recall.chosen(arm=name, seq_len=seq_len, adapted=adapted, reach=reach)]
        ]
        bars[REACH_LABELS[reach]] = [None if share is None else share.estimate for share in shares]
        intervals[REACH_LABELS[reach]] = [
            None if share is None else (share.low, share.high) for share in shares
        ]
    ax = plot_bars(
        [style_of(name).label for name in names],
        bars,
        colors={REACH_LABELS[reach]: REACH_COLORS[reach] for reach in REACHES},
        title="after training on with it" if adapted else f"{seq_len:,} tokens: which claims?",
        xlabel="share of right verdicts",
        number="{:.2f}",
        intervals=intervals,
        ax=ax,
    )
    for text in ax.texts:  # no fact of that kind: nothing was left unmeasured
        if text.get_text() == "not measured":
            text.set_text("–")
    ax.axvline(0.5, color="#555555", linewidth=1, linestyle=":")
    ax.set_xlim(0, 1.15)
    ax.tick_params(labelsize=8)
    return ax


def plot_prediction(recall: EvidenceRecall, ax: Axes) -> Axes:
    """Draw measured accuracy against what the rule alone predicts, by attention and distance."""
    for name in recall.arm_names:
        style = style_of(name)
        of_arm = recall.chosen(arm=name, adapted=False)
        cells = sorted({(each.seq_len, each.distance) for each in of_arm})
        expected, measured = [], []
        for seq_len, distance in cells:
            chosen = [
                each for each in of_arm if (each.seq_len, each.distance) == (seq_len, distance)
            ]
            if _n_claims(chosen) >= 2 * FEW_CLAIMS:
                expected.append(predicted_accuracy(chosen))
                measured.append(accuracy(chosen).estimate)
        ax.plot(
            expected, measured, style.marker, color=style.color, markersize=5, alpha=0.8, ls="none"
        )
    ax.plot([0.45, 1], [0.45, 1], color="#555555", linewidth=1, linestyle=":")
    ax.set_title("theory and practice", fontsize=10)
    ax.set_xlabel("predicted from the rule:\nseen facts right, the others guessed")
    ax.set_ylabel("measured share of right verdicts")
    ax.grid(color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def accuracy(chosen: Sequence[Verdicts]) -> Interval:
    """The share of right verdicts, with its Wilson interval."""
    return wilson_interval(sum(each.n_right for each in chosen), _n_claims(chosen))


def predicted_accuracy(chosen: Sequence[Verdicts]) -> float:
    """The share that is right if every fact seen in one layer is used and the rest is guessed."""
    seen = sum(each.n_claims for each in chosen if each.reach == SEEN)
    return (1 + seen / _n_claims(chosen)) / 2


def _n_claims(chosen: Sequence[Verdicts]) -> int:
    return sum(each.n_claims for each in chosen)


def _curve(name: str, points: Sequence[tuple[float, Interval]]) -> Curve:
    return Curve(
        style_of(name),
        x=[x for x, _ in points],
        y=[share.estimate for _, share in points],
        low=[share.low for _, share in points],
        high=[share.high for _, share in points],
    )


def _with_chance(ax: Axes) -> Axes:
    ax.axhline(0.5, color="#555555", linewidth=1, linestyle=":")
    ax.annotate(
        "a guess",
        (1, 0.5),
        xycoords=("axes fraction", "data"),
        xytext=(-3, -9),
        textcoords="offset points",
        ha="right",
        fontsize=7.5,
        color="#555555",
    )
    ax.set_ylim(0.25, 1.05)
    return ax
