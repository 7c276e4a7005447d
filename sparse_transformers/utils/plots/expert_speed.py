"""How fast layers of experts are beside a dense layer, drawn from a results file."""

import pandas as pd
from matplotlib.axes import Axes

from sparse_transformers.utils.plots.attention_speed import only_direction
from sparse_transformers.utils.plots.base import plot_bars

COLORS = ("#0072B2", "#56B4E9", "#7A4E9E", "#D55E00", "#E69F00", "#117A65", "#999999")


def plot_expert_speeds(rows: pd.DataFrame, dense: str, ax: Axes | None = None) -> Axes:
    """Draw the speed of each implementation as a share of the dense layer's, with quartiles.

    Sizes stand below each other, each with the tokens per second of its dense layer, which is the
    vertical line at 1.

    Args:
        rows: of a benchmark.
        dense: the name of the dense layer.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: the rows are of several directions, or of the dense layer alone.
    """
    direction = only_direction(rows)
    others = rows[rows["implementation"] != dense]
    if others.empty:
        raise ValueError(f"rows must hold an implementation besides {dense!r}, got none")
    groups = {}
    for (kind, d_model), case in rows.groupby(["kind", "d_model"], sort=False):
        name = f"{kind}, d_model {d_model}"
        for tokens_per_second in case[case["implementation"] == dense][
            "tokens_per_second"
        ].dropna():
            name += f"\ndense: {tokens_per_second:,.0f} tokens/s"
        groups[kind, d_model] = name

    bars, intervals = {}, {}
    for name, own in others.groupby("implementation", sort=False):
        by_case = own.set_index(["kind", "d_model"]).loc[list(groups)]
        speeds = by_case[["speedup", "lower_speedup", "upper_speedup"]].itertuples(index=False)
        measured = [None if pd.isna(speed) else (speed, (low, high)) for speed, low, high in speeds]
        bars[name] = [each and each[0] for each in measured]
        intervals[name] = [each and each[1] for each in measured]
    ax = plot_bars(
        list(groups.values()),
        bars,
        colors={name: COLORS[nth % len(COLORS)] for nth, name in enumerate(bars)},
        title=f"Experts, {direction}: speed beside a dense layer",
        xlabel="tokens per second, as a share of the dense layer's",
        number="{:.2f}",
        intervals=intervals,
        ax=ax,
    )
    ax.axvline(1, color="#222222", linewidth=1, linestyle="--")
    ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False)
    return ax
