"""How fast layers of experts are beside a dense layer, drawn from a results file."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from sparse_transformers.utils.plots.base import plot_bars

COLORS = ("#0072B2", "#56B4E9", "#7A4E9E", "#D55E00", "#E69F00", "#117A65", "#999999")


def plot_expert_speeds(
    rows: Sequence[Mapping[str, Any]], dense: str, ax: Axes | None = None
) -> Axes:
    """Draw the tokens per second of each arm as a share of the dense layer's, with quartiles.

    Sizes stand below each other, each with the tokens per second of its dense layer, which is the
    vertical line at 1.

    Args:
        rows: of one direction, as the benchmark's results file holds them.
        dense: the name of the dense layer's arm.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: the rows are of several directions, or of the dense layer alone.
    """
    directions = {row["direction"] for row in rows}
    if len(directions) != 1:
        raise ValueError(f"rows must be of one direction, got {sorted(directions) or 'none'}")
    sizes = list(dict.fromkeys((row["gated"], row["d_model"]) for row in rows))
    arms = [arm for arm in dict.fromkeys(row["arm"] for row in rows) if arm != dense]
    if not arms:
        raise ValueError(f"rows must hold an arm besides {dense!r}, got none")
    found = {(row["arm"], row["gated"], row["d_model"]): row for row in rows}

    def group(gated: bool, d_model: int) -> str:
        name = f"{'gated' if gated else 'plain'}, d_model {d_model}"
        speed = found.get((dense, gated, d_model), {}).get("tokens_per_second")
        return name if speed is None else f"{name}\ndense: {speed:,.0f} tokens/s"

    bars, intervals = {}, {}
    for arm in arms:
        of_arm = [found[arm, *size] for size in sizes]
        bars[arm] = [row["relative_speed"] for row in of_arm]
        intervals[arm] = [
            None
            if row["relative_speed"] is None
            else (row["lower_relative_speed"], row["upper_relative_speed"])
            for row in of_arm
        ]
    ax = plot_bars(
        [group(*size) for size in sizes],
        bars,
        colors={arm: COLORS[nth % len(COLORS)] for nth, arm in enumerate(arms)},
        title=f"Experts, {directions.pop().replace('_', ' + ')}: speed beside a dense layer",
        xlabel="tokens per second, as a share of the dense layer's",
        number="{:.2f}",
        intervals=intervals,
        ax=ax,
    )
    ax.axvline(1, color="#222222", linewidth=1, linestyle="--")
    return ax
