"""How fast implementations are beside a baseline, drawn from the rows of a benchmark."""

import pandas as pd
from matplotlib.axes import Axes

from sparse_transformers.utils.plots.attention_speed import only_direction
from sparse_transformers.utils.plots.base import plot_bars
from sparse_transformers.utils.plots.style import COLORS, legend_below


def plot_relative_speeds(
    rows: pd.DataFrame,
    baseline: str,
    *,
    subject: str,
    case: str,
    note: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw the speed of each implementation as a share of the baseline's, with quartiles.

    Cases stand below each other. The baseline is the vertical line at 1.

    Args:
        rows: of a benchmark.
        baseline: the implementation that the others are compared with.
        subject: what is implemented, for the title.
        case: what a case is called, as a template of the columns; it tells each from the others.
        note: what is said of the baseline where it was measured, as a template of the columns.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: the rows are of several directions, or of the baseline alone.
    """
    direction = only_direction(rows)
    rows = rows.assign(case=[case.format(**row) for row in rows.to_dict("records")])
    is_baseline = rows["implementation"] == baseline
    if is_baseline.all():
        raise ValueError(f"rows must hold an implementation besides {baseline!r}, got none")
    names = {name: name for name in rows["case"].unique()}
    for row in rows[is_baseline].dropna(subset="median_ms").to_dict("records"):
        names[row["case"]] += f"\n{note.format(**row)}"

    bars, intervals = {}, {}
    for name, own in rows[~is_baseline].groupby("implementation", sort=False):
        columns = ["speedup", "lower_speedup", "upper_speedup"]
        speeds = own.set_index("case").loc[list(names), columns].itertuples(index=False)
        measured = [None if pd.isna(speed) else (speed, (low, high)) for speed, low, high in speeds]
        bars[name] = [each and each[0] for each in measured]
        intervals[name] = [each and each[1] for each in measured]
    ax = plot_bars(
        list(names.values()),
        bars,
        colors={name: COLORS[nth % len(COLORS)] for nth, name in enumerate(bars)},
        title=f"{subject}, {direction}: speed beside {baseline}",
        xlabel=f"speed, as a share of that of {baseline}",
        number="{:.2f}",
        intervals=intervals,
        ax=ax,
    )
    ax.axvline(1, color="#222222", linewidth=1, linestyle="--")
    legend_below(ax, *ax.get_legend_handles_labels())
    return ax
