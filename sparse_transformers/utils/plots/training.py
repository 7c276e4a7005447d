"""The losses of a run over its steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from sparse_transformers.utils.plots.style import new_axes


def plot_training(metrics: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Draw the training and the validation loss in bits, and mark the best validation.

    Args:
        metrics: rows of a metrics file; those with `train_bits_per_<unit>` make one curve, those
            with `valid_bits_per_<unit>` the other.
        ax: where to draw; None makes a new figure.

    Raises:
        ValueError: a curve has no rows.
    """
    unit, train_steps, train_bits = _curve(metrics, "train_bits_per_")
    _, valid_steps, valid_bits = _curve(metrics, "valid_bits_per_")
    ax = new_axes(ax)
    ax.plot(train_steps, train_bits, color="C0", alpha=0.6, linewidth=1, label="training batches")
    ax.plot(valid_steps, valid_bits, color="C1", marker="o", markersize=4, label="validation")
    best = min(valid_bits)
    best_step = valid_steps[valid_bits.index(best)]
    label = f"best validation: {best:.3f} after step {best_step}"
    ax.plot([best_step], [best], color="C1", linestyle="", marker="*", markersize=14, label=label)
    ax.set(title="Training", xlabel="optimiser step", ylabel=f"loss (bits per {unit})")
    ax.legend()
    return ax


def _curve(metrics: Sequence[Mapping[str, Any]], prefix: str) -> tuple[str, list[int], list[float]]:
    """The unit of the losses whose name begins with `prefix`, their steps, and their values."""
    named = [(row["step"], name) for row in metrics for name in row if name.startswith(prefix)]
    if not named:
        raise ValueError(f"metrics must hold a row with {prefix}<unit>, got {len(metrics)} without")
    name = named[0][1]
    values = [row[name] for row in metrics if name in row]
    return name.removeprefix(prefix), [step for step, _ in named], values
