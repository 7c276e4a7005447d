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
from sparse_transformers.utils.plots.base import Curve, plot_bars, plot_curves, short_count
from sparse_transformers.utils.plots.style import (
    REFERENCE_COLOR,
    TEXT_SIZE,
    finish,
    new_figure,
    new_panels,
    one_legend,
    style_of,
)
from sparse_transformers.utils.report import percent

REACH_COLORS = {SEEN: "#0B4F8A", REACHED: "#86B6DD", UNREACHED: "#BBBBBB"}
CHANCE = 0.5
FEW_CLAIMS = 10
"""Shares of fewer claims than these are left out of the pictures."""


def draw_recall(recall: EvidenceRecall) -> Figure:
    """Accuracy against the distance of the fact, a panel for each attention."""
    rows = recall.frame().query(f"not adapted and seq_len == {recall.longest}")
    groups = dict(list(rows.groupby("attention", sort=False)))
    figure, panels = new_panels(len(groups), height=2.4, columns=4, sharex=True, sharey=True)
    shares = {name: percent(accuracy(group).estimate) for name, group in groups.items()}
    figure.suptitle(
        f"{recall.longest:,} tokens: exact top-k is right in {shares['top_k']}, the window in "
        f"{shares['local']} (dotted: a guess; line: {recall.settings.keys_per_query} tokens)",
        fontsize=10,
    )
    for (name, group), ax in zip(groups.items(), panels, strict=True):
        plot_accuracy(group, title=f"{style_of(name).label}: {shares[name]}", ax=ax)
        ax.axvline(recall.settings.keys_per_query, color=REFERENCE_COLOR, linewidth=1)
    figure.supxlabel("tokens between the fact and the verdict, at least", fontsize=10)
    figure.supylabel("share of right verdicts", fontsize=10)
    return figure


def draw_reach(recall: EvidenceRecall) -> Figure:
    """Accuracy by what the rule says about each fact, before and after training on."""
    rows = recall.frame()
    states = [False, True] if rows.adapted.any() else [False]
    figure, panels = new_figure(1, len(states) + 1, height=6.4)
    for adapted, ax in zip(states, panels, strict=False):
        chosen = rows[(rows.adapted == adapted) & (rows.seq_len == recall.longest)]
        plot_accuracy_by_reach(chosen, rows.attention.unique().tolist(), ax=ax)
        shares = [
            accuracy(of_reach) for _, of_reach in chosen[chosen.reach == SEEN].groupby("attention")
        ]
        low, high = (f"{end(share.estimate for share in shares):.0%}" for end in (min, max))
        when = "after training on" if adapted else f"{recall.longest:,} tokens"
        ax.set_title(f"{when}: seen facts,\n{low} to {high} right", fontsize=10)
        if adapted:
            ax.set_yticklabels([])
    plot_prediction(rows.query("not adapted"), ax=panels[-1])
    one_legend(figure, "upper left", ncols=3)
    return figure


def plot_accuracy(rows: pd.DataFrame, *, title: str, ax: Axes) -> Axes:
    """Draw one attention's share of right verdicts over the distance, with Wilson intervals."""
    groups = rows.groupby("distance")[["n_right", "n_claims"]]
    shares = {
        distance: accuracy(group)
        for distance, group in groups
        if group.n_claims.sum() >= FEW_CLAIMS
    }
    curve = Curve(
        style_of(rows.attention.iloc[0]),
        x=list(shares),
        y=[share.estimate for share in shares.values()],
        low=[share.low for share in shares.values()],
        high=[share.high for share in shares.values()],
    )
    plot_curves([curve], title=title, xlabel="", ylabel="", ax=ax)
    ax.set_xscale("log", base=2)
    places = list(shares)[::3]
    ax.set_xticks(places, [short_count(place) for place in places], fontsize=TEXT_SIZE)
    ax.minorticks_off()
    ax.axhline(CHANCE, color=REFERENCE_COLOR, linewidth=1, linestyle=":")
    ax.set_ylim(0.3, 1.05)
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
    ax.set_xlim(0, 1.25)
    ax.tick_params(labelsize=TEXT_SIZE)
    return ax


def plot_prediction(rows: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw measured accuracy against what the rule alone predicts, by attention and distance."""
    errors = []
    for name, of_name in rows.groupby("attention", sort=False):
        cells = [
            cell
            for _, cell in of_name.groupby(["seq_len", "distance"])
            if cell.n_claims.sum() >= 2 * FEW_CLAIMS
        ]
        predicted = [predicted_accuracy(cell) for cell in cells]
        measured = [accuracy(cell).estimate for cell in cells]
        errors += [abs(one - other) for one, other in zip(predicted, measured, strict=True)]
        style = style_of(str(name))
        ax.plot(predicted, measured, style.marker, color=style.color, markersize=5, alpha=0.8)
    ax.plot([0.45, 1], [0.45, 1], color=REFERENCE_COLOR, linewidth=1, linestyle=":")
    return finish(
        ax,
        f"The rule predicts it:\n{100 * sum(errors) / len(errors):.1f} points off on average",
        "predicted from the rule:\nseen facts right, the others guessed",
        "measured share of right verdicts",
        grid="both",
    )


def predicted_accuracy(verdicts: pd.DataFrame) -> float:
    """The share that is right if every fact seen in one layer is used and the rest is guessed."""
    seen = verdicts.n_claims[verdicts.reach == SEEN].sum()
    return float((1 + seen / verdicts.n_claims.sum()) / 2)
