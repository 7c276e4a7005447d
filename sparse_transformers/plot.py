"""The plot functions for notebooks, as `st.plot`: data in, `Axes` out, and nothing saved."""

from matplotlib.axes import Axes

from sparse_transformers.interpretability.attention_pictures import plot_attention as attention
from sparse_transformers.models.pattern_base import AttentionPattern
from sparse_transformers.utils.plots.expert_flow import plot_token_flow as token_flow
from sparse_transformers.utils.plots.expert_load import plot_expert_load as expert_load
from sparse_transformers.utils.plots.expert_load import plot_routing_scores as routing_scores
from sparse_transformers.utils.plots.expert_specialization import (
    plot_specialization as specialization,
)
from sparse_transformers.utils.plots.patterns import plot_heads as heads
from sparse_transformers.utils.plots.patterns import plot_mask as mask
from sparse_transformers.utils.plots.patterns import plot_tiles as tiles
from sparse_transformers.utils.plots.probabilities import plot_reliability as reliability
from sparse_transformers.utils.plots.probabilities import (
    plot_threshold_curves as threshold_curves,
)
from sparse_transformers.utils.plots.training import plot_training as training
from sparse_transformers.utils.plots.truthfulness import plot_confusion_matrix as confusion_matrix
from sparse_transformers.utils.plots.truthfulness import plot_roc as roc

__all__ = [
    "attention",
    "confusion_matrix",
    "expert_load",
    "heads",
    "mask",
    "reach",
    "reliability",
    "roc",
    "routing_scores",
    "specialization",
    "threshold_curves",
    "tiles",
    "token_flow",
    "training",
]


def reach(
    pattern: AttentionPattern, seq_len: int = 64, n_layers: int = 2, ax: Axes | None = None
) -> Axes:
    """Draw which tokens (columns) can influence which (rows) after `n_layers` layers.

    Args:
        pattern: the rule of every layer.
        seq_len: number of tokens.
        n_layers: number of layers.
        ax: where to draw; None makes a new figure.
    """
    reached = pattern.reach(seq_len, n_layers)
    title = f"reach after {n_layers} layers: {reached.float().mean():.0%} of all pairs"
    return mask(reached, title=title, ax=ax)
