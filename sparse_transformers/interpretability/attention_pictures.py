"""`plot_attention`: what the heads of a layer attend to in a sentence."""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Integer
from torch import Tensor

from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.utils.texts import utf8

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_attention(
    model: SparseTransformer,
    text: str | Integer[Tensor, "seq"],
    *,
    layer: int = 0,
    figure: "Figure | None" = None,
) -> "list[Axes]":
    """Draw the attention weights of every head of a layer, with the tokens on the axes.

    >>> import sparse_transformers as st
    >>> model = st.SparseTransformer(st.SparseTransformerConfig(d_model=32, n_heads=4, n_layers=2))
    >>> axes = st.plot_attention(model, "To be, or not", layer=1)
    >>> len(axes)
    4

    Args:
        model: any `SparseTransformer`.
        text: a text for a model of bytes, or token ids (seq,).
        layer: number of the layer, from 0 on.
        figure: where to draw; None makes a new figure.

    Returns:
        The axes of the heads.

    Raises:
        ValueError: there is no such layer, the text is empty, or the model's tokens are no bytes.
    """
    check_whole(0, layer=layer)
    if layer >= model.config.n_layers:
        raise ValueError(f"layer must be below {model.config.n_layers}, got {layer}")
    if isinstance(text, str):
        if model.config.vocab_size != 256:
            raise ValueError(
                f"text must be token ids (seq,) for a model of {model.config.vocab_size} tokens, "
                "which are no bytes"
            )
        ids = torch.tensor(list(utf8(text, "text")))
        tokens = [chr(byte) if 32 < byte < 127 else "·" for byte in ids.tolist()]
    else:
        ids = text
        tokens = [str(token) for token in ids.tolist()]
    if ids.ndim != 1 or not len(ids):
        raise ValueError(f"text must hold at least one token, got shape {tuple(ids.shape)}")
    from sparse_transformers.utils.plots.patterns import plot_heads

    device = next(model.parameters()).device
    weights = model.get_attention_weights(ids[None].to(device))[layer][0]
    title = f"attention weights, layer {layer}"
    return plot_heads(weights.float().cpu().numpy(), tokens, title=title, figure=figure)
