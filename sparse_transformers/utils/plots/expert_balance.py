"""Balance and dropped assignments as curves, a line for each way to route."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from sparse_transformers.utils.plots.expert_load import Colors, arm_colors
from sparse_transformers.utils.plots.style import MARKERS, REFERENCE_COLOR, finish, new_axes

DASHES = ("-", "--", "-.", ":")


def plot_balance_over_training(
    steps: ArrayLike,
    balance: Mapping[str, ArrayLike],
    *,
    ylabel: str,
    log_y: bool = False,
    colors: Colors | None = None,
    title: str = "Balance over training",
    ax: Axes | None = None,
) -> Axes:
    """Draw a measure of balance over the steps of training, a line for each arm.

    Args:
        steps: (steps,), optimiser steps at which it was measured.
        balance: by arm, (steps,), or (seeds, steps): the line is then the mean over the seeds and
            the band reaches from the smallest to the largest.
        ylabel: what the measure is, such as "maximal violation".
        log_y: use a logarithmic axis; all values must then be above 0.
        colors: of the arms.
        title: above the axes.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: shapes do not fit, or a logarithm is asked of a number that has none.
    """
    places = np.asarray(steps, dtype=float)
    values = _by_seed(balance, len(places), "balance")
    if log_y and any(np.any(each <= 0) for each in values.values()):
        raise ValueError("balance must be above 0 on a logarithmic axis, got 0 or less")
    ax = new_axes(ax)
    for (name, color), dashes in zip(arm_colors(values, colors), cycle(DASHES), strict=False):
        seeds = values[name]
        ax.fill_between(places, seeds.min(0), seeds.max(0), color=color, alpha=0.18, linewidth=0)
        ax.plot(places, seeds.mean(0), color=color, linewidth=1.8, linestyle=dashes, label=name)
    if log_y:
        ax.set_yscale("log")
    finish(ax, title, "optimiser step", ylabel)
    return ax


def plot_drop_rate(
    capacity_factors: Sequence[float | None],
    dropped: Mapping[str, ArrayLike],
    *,
    colors: Colors | None = None,
    title: str = "What full experts turn away",
    ax: Axes | None = None,
) -> Axes:
    """Draw the dropped share over the capacity factor, a line for each arm.

    Args:
        capacity_factors: None stands for dropless, and is set apart at the right end.
        dropped: by arm, the share of the assignments (factors,), or (seeds, factors): the line is
            then the mean over the seeds, the whisker reaches from the smallest to the largest.
        colors: of the arms.
        title: above the axes.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: shapes do not fit.
    """
    values = _by_seed(dropped, len(capacity_factors), "dropped")
    factors = [factor for factor in capacity_factors if factor is not None]
    ax = new_axes(ax)
    beyond = 1.12 * max(factors, default=1.0)
    places = np.array([beyond if factor is None else factor for factor in capacity_factors])
    is_limited = np.array([factor is not None for factor in capacity_factors])
    arms = zip(arm_colors(values, colors), cycle(MARKERS), strict=False)
    for (name, color), marker in arms:
        mean = values[name].mean(0)
        ax.vlines(places, values[name].min(0), values[name].max(0), color=color, linewidth=1.2)
        ax.plot(places[is_limited], mean[is_limited], color=color, marker=marker, label=name)
        ax.plot(places[~is_limited], mean[~is_limited], color=color, marker=marker, linestyle="")
    ticks = {factor: f"{factor:g}" for factor in factors}
    if len(factors) < len(capacity_factors):
        ticks[beyond] = "dropless"
        ax.axvline((beyond + max(factors, default=0.0)) / 2, color=REFERENCE_COLOR, linestyle=":")
    ax.set_xticks(list(ticks), list(ticks.values()))
    xlabel = "capacity factor (1: room for the even load)"
    finish(ax, title, xlabel, "dropped share of the assignments")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    return ax


def _by_seed(
    values: Mapping[str, ArrayLike], n_places: int, name: str
) -> dict[str, NDArray[np.float64]]:
    """The values of each arm as (seeds, places)."""
    if not values or n_places == 0:
        raise ValueError(f"{name} must hold at least one arm and one point, got {dict(values)}")
    arrays = {arm: np.atleast_2d(np.asarray(each, dtype=float)) for arm, each in values.items()}
    for arm, array in arrays.items():
        if array.ndim != 2 or array.shape[1] != n_places or len(array) == 0:
            raise ValueError(
                f"{name}[{arm!r}] must be ({n_places},) or (seeds, {n_places}), "
                f"got {np.shape(values[arm])}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name}[{arm!r}] must be finite, got {array.tolist()}")
    return arrays
