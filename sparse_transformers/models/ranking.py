"""The largest of several scores, where equal ones have an order.

`torch.topk` keeps any of several equal scores, and not the same ones for another length or device,
so that cached decoding could differ from reading the whole text. Here the lowest index wins.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def top_indices(scores: Float[Tensor, "*rows n"], k: int) -> Int[Tensor, "*rows k"]:
    """The indices of the `k` largest scores, from high to low; of equal ones the lowest first."""
    scores = scores.detach()
    best = scores.topk(min(k + 1, scores.shape[-1]), dim=-1)
    # Where no two of the best are equal, not even the last one and the first one left out, their
    # order is decided; only the other rows are sorted, which takes longer. Minus infinity stands
    # for no score, and has no order.
    earlier, later = best.values[..., :-1], best.values[..., 1:]
    tied = ((earlier == later) & (later > -torch.inf)).any(-1)
    indices = best.indices[..., :k]
    if bool(tied.any()):
        ordered = scores[tied].sort(dim=-1, descending=True, stable=True).indices
        indices[tied] = ordered[..., :k]
    return indices


def argmax(scores: Float[Tensor, "*rows n"]) -> Int[Tensor, "*rows"]:
    """The index of the largest score; of equal ones the lowest, or of the first NaN."""
    largest = (scores == scores.amax(-1, keepdim=True)) | scores.isnan()
    places = torch.arange(scores.shape[-1], device=scores.device)
    return places.where(largest, scores.shape[-1]).amin(-1)
