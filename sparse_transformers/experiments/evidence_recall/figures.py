"""The figures of the evidence experiment."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparse_transformers.experiments.evidence_recall.measure import (
    REACHED,
    REACHES,
    SEEN,
    UNREACHED,
    EvidenceRecall,
    accuracy,
)
from sparse_transformers.utils.plots.base import Curve, plot_bars, plot_curves
from sparse_transformers.utils.plots.style import REFERENCE_COLOR, finish, new_figure, style_of
from sparse_transformers.utils.report import percent

REACH_COLORS = {SEEN: "#0B4F8A", REACHED: "#86B6DD", UNREACHED: "#BBBBBB"}
CHANCE = 0.5
FEW_CLAIMS = 10
"""Shares of fewer claims than these are left out of the pictures."""


def draw_recall(recall: EvidenceRecall) -> Figure:
    """Accuracy against the distance of the fact, and against the length of the document."""
    rows, longest = recall.frame().query("not adapted"), recall.longest
    figure, (left, right) = new_figure(1, 2, height=4.4, width_ratios=(1.7, 1))
    at_longest = rows[rows.seq_len == longest]
    shares = {name: accuracy(of_name) for name, of_name in at_longest.groupby("attention")}
    plot_accuracy(
        at_longest,
        "distance",
        title=f"{longest:,} tokens: exact top-k is right in {percent(shares['top_k'].estimate)}, "
        f"the window in {percent(shares['local'].estimate)}",
        xlabel="tokens between the fact and the verdict (octaves, side by side)",
        ax=left,
    )
    for place, text in ((1, "the window"), (2, "two windows")):
        keys = place * recall.settings.keys_per_query
        left.axvline(keys, color=style_of("local").color, linewidth=1, linestyle=":")
        left.text(keys, 0.27, f" {text}", fontsize=7.5, rotation=90, color=style_of("local").color)
    handles, labels = left.get_legend_handles_labels()
    plot_accuracy(rows, "seq_len", title="All distances", xlabel="tokens in the document", ax=right)
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8)
    return figure


def draw_reach(recall: EvidenceRecall) -> Figure:
    """Accuracy by what the rule says about each fact, before and after training on."""
    rows = recall.frame()
    states = [False, True] if rows.adapted.any() else [False]
    figure, panels = new_figure(1, len(states) + 1, height=4.6, squeeze=False)
    for adapted, ax in zip(states, panels[0], strict=False):
        chosen = rows[(rows.adapted == adapted) & (rows.seq_len == recall.longest)]
        plot_accuracy_by_reach(chosen, rows.attention.unique().tolist(), ax=ax)
        title = "after training on with it" if adapted else f"{recall.longest:,} tokens"
        ax.set_title(title, fontsize=10)
        if adapted:
            ax.set_yticklabels([])
    handles, labels = panels[0, 0].get_legend_handles_labels()
    plot_prediction(rows.query("not adapted"), ax=panels[0, -1])
    figure.legend(handles, labels, loc="outside upper left", ncols=3, fontsize=8)
    return figure


def plot_accuracy(rows: pd.DataFrame, by: str, *, title: str, xlabel: str, ax: Axes) -> Axes:
    """Draw each attention's share of right verdicts over a column, with Wilson intervals."""
    names = rows.attention.unique()
    enough = rows.groupby(by).n_claims.sum() / len(names) >= FEW_CLAIMS
    places = enough[enough].index.to_numpy()
    curves = []
    for nth, name in enumerate(names):
        groups = rows[(rows.attention == name) & rows[by].isin(places)].groupby(by)
        shares = groups[["n_right", "n_claims"]].apply(accuracy)
        # Octaves begin at their distance: points stand near the middle of each, side by side.
        shift = 2 ** (0.5 + 0.05 * (nth - len(names) / 2)) if by == "distance" else 1.0
        curves.append(
            Curve(
                style_of(name),
                x=(shares.index.to_numpy() * shift).tolist(),
                y=[share.estimate for share in shares],
                low=[share.low for share in shares],
                high=[share.high for share in shares],
            )
        )
    plot_curves(curves, title=title, xlabel=xlabel, ylabel="share of right verdicts", ax=ax)
    ax.set_xscale("log", base=2)
    ax.set_xticks(places, [f"{place:,}" for place in places], fontsize=8)
    ax.minorticks_off()
    ax.axhline(CHANCE, color=REFERENCE_COLOR, linewidth=1, linestyle=":")
    ax.text(1, 0.28, "dotted: a guess ", transform=ax.get_yaxis_transform(), ha="right", size=7.5)
    ax.set_ylim(0.25, 1.05)
    return ax


def plot_accuracy_by_reach(rows: pd.DataFrame, names: list[str], *, ax: Axes) -> Axes:
    """Draw, for each attention, the share of right verdicts by what its rule says of the fact."""
    groups = rows.groupby(["reach", "attention"])
    enough = {key: accuracy(group) for key, group in groups if group.n_claims.sum() >= FEW_CLAIMS}
    shares = {
        label: [enough.get((reach, name)) for name in names] for reach, label in REACHES.items()
    }
    plot_bars(
        [style_of(name).label for name in names],
        {
            label: [share.estimate if share else None for share in of_reach]
            for label, of_reach in shares.items()
        },
        colors={label: REACH_COLORS[reach] for reach, label in REACHES.items()},
        title="",
        xlabel="share of right verdicts",
        number="{:.2f}",
        missing="–",
        intervals={
            label: [(share.low, share.high) if share else None for share in of_reach]
            for label, of_reach in shares.items()
        },
        ax=ax,
    )
    ax.axvline(CHANCE, color=REFERENCE_COLOR, linewidth=1, linestyle=":")
    ax.set_xlim(0, 1.15)
    ax.tick_params(labelsize=8)
    return ax


def plot_prediction(rows: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw measured accuracy against what the rule alone predicts, by attention and distance."""
    for name, of_name in rows.groupby("attention", sort=False):
        cells = [
            cell
            for _, cell in of_name.groupby(["seq_len", "distance"])
            if cell.n_claims.sum() >= 2 * FEW_CLAIMS
        ]
        style = style_of(str(name))
        ax.plot(
            [predicted_accuracy(cell) for cell in cells],
            [accuracy(cell).estimate for cell in cells],
            style.marker,
            color=style.color,
            markersize=5,
            alpha=0.8,
        )
    ax.plot([0.45, 1], [0.45, 1], color=REFERENCE_COLOR, linewidth=1, linestyle=":")
    return finish(
        ax,
        "Theory and practice",
        "predicted from the rule:\nseen facts right, the others guessed",
        "measured share of right verdicts",
        grid="both",
    )


def predicted_accuracy(verdicts: pd.DataFrame) -> float:
    """The share that is right if every fact seen in one layer is used and the rest is guessed."""
    seen = verdicts.n_claims[verdicts.reach == SEEN].sum()
    return float((1 + seen / verdicts.n_claims.sum()) / 2)
