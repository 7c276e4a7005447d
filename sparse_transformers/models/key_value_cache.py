"""Keys and values of earlier tokens, kept so that the next token costs one query per layer.

A layer whose pattern has a `lookback` keeps no more than its window; the others keep everything.
Tensors are (batch, positions, heads, dim) here, the order in which they are stored.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_transformers.models.pattern_base import AttentionPattern
from sparse_transformers.models.token_shift import LastToken

KeysValues = tuple[
    Float[Tensor, "batch keys kv_heads dim"], Float[Tensor, "batch keys kv_heads dim"]
]


class _LayerCache:
    """What the caches of all layers store: the last input token of both sub-layers."""

    def __init__(self) -> None:
        self.attention_input = LastToken()
        self.feed_forward_input = LastToken()


class WindowCache(_LayerCache):
    """Keeps the last `lookback - 1` positions: all that a later query can see, besides itself.

    The rule of such a pattern depends on the distance only, so that it gives the same result for
    keys that are not the first ones of the sequence.
    """

    def __init__(self, lookback: int) -> None:
        super().__init__()
        self._n_kept = lookback - 1
        self._kept: KeysValues | None = None

    @property
    def n_keys(self) -> int:
        """How many positions are stored."""
        return 0 if self._kept is None else self._kept[0].shape[1]

    @property
    def n_bytes(self) -> int:
        """Memory that they occupy."""
        return _n_bytes(self._kept)

    def append(self, keys: Tensor, values: Tensor) -> KeysValues:
        """Adds new positions; returns them behind all those that the new queries may see."""
        if self._kept is not None:
            keys = torch.cat([self._kept[0], keys], dim=1)
            values = torch.cat([self._kept[1], values], dim=1)
        oldest = max(0, keys.shape[1] - self._n_kept)
        # Cloned, because a view would keep the whole prompt in memory.
        self._kept = keys[:, oldest:].clone(), values[:, oldest:].clone()
        return keys, values


class FullCache(_LayerCache):
    """Keeps every position, in a buffer that doubles when it is full."""

    def __init__(self) -> None:
        super().__init__()
        self._buffers: KeysValues | None = None
        self.n_keys = 0
        """How many positions are stored."""

    @property
    def n_bytes(self) -> int:
        """Memory of the buffer, the free part included."""
        return _n_bytes(self._buffers)

    def append(self, keys: Tensor, values: Tensor) -> KeysValues:
        """Adds new positions; returns them behind all earlier ones."""
        start, stop = self.n_keys, self.n_keys + keys.shape[1]
        if self._buffers is None:
            self._buffers = torch.empty_like(keys), torch.empty_like(values)
        all_keys, all_values = self._buffers
        if stop > all_keys.shape[1]:
            capacity = max(stop, 2 * all_keys.shape[1])
            all_keys = self._grown(all_keys, capacity)
            all_values = self._grown(all_values, capacity)
            self._buffers = all_keys, all_values
        all_keys[:, start:stop] = keys
        all_values[:, start:stop] = values
        self.n_keys = stop
        return all_keys[:, :stop], all_values[:, :stop]

    def _grown(self, old: Tensor, capacity: int) -> Tensor:
        grown = old.new_empty(old.shape[0], capacity, *old.shape[2:])
        grown[:, : self.n_keys] = old[:, : self.n_keys]
        return grown


LayerCache = WindowCache | FullCache


class KeyValueCache:
    """The keys and values of the tokens that a causal model has processed, layer by layer.

    `SparseTransformer.new_cache()` makes it, and `model(input_ids, cache=cache)` fills it.
    """

    def __init__(self, patterns: Sequence[AttentionPattern]) -> None:
        self.layers: list[LayerCache] = [
            FullCache() if pattern.lookback is None else WindowCache(pattern.lookback)
            for pattern in patterns
        ]
        self.batch_size: int | None = None
        """How many sequences it holds, once it holds any."""
        self.n_tokens = 0
        """How many tokens the model has processed, also those no longer stored by a window."""

    @property
    def n_bytes(self) -> int:
        """Memory of all layers together."""
        return sum(layer.n_bytes for layer in self.layers)


def _n_bytes(tensors: KeysValues | None) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors or ())
