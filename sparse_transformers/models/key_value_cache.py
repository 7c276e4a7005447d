"""Keys and values of earlier tokens, kept so that the next token costs one query per layer.

A layer whose pattern has a `lookback` keeps no more than its window; the others keep everything.
Tensors are (batch, positions, heads, dim) here, the order in which they are stored.

Sequences of different lengths are stored with their last tokens side by side, so that the next
tokens of all sequences are at the same place. A pattern then begins where the sequence does.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparse_transformers.models.embeddings import FirstPosition
from sparse_transformers.models.padding import Padding
from sparse_transformers.models.pattern_base import AttentionPattern, PerSequence, members_of
from sparse_transformers.models.sequence_patterns import shifted
from sparse_transformers.models.token_shift import LastToken

KeysValues = tuple[
    Float[Tensor, "batch keys kv_heads dim"], Float[Tensor, "batch keys kv_heads dim"]
]


class _LayerCache:
    """What the caches of all layers store.

    Attributes:
        attention_input: The last token that went into the attention.
        feed_forward_input: The last token that went into the feed-forward part.
        starts: Where each sequence begins among the stored positions; None if all begin together.
    """

    def __init__(self) -> None:
        self.attention_input = LastToken()
        self.feed_forward_input = LastToken()
        self.starts: list[int] | None = None
        self._lengths: Tensor | None = None

    def expect(self, lengths: Int[Tensor, "batch"] | None) -> None:
        """Says how many of the next tokens of each sequence are real; None if all are."""
        self._lengths = lengths
        self.attention_input.lengths = self.feed_forward_input.lengths = lengths

    def rule(self, pattern: AttentionPattern) -> AttentionPattern:
        """The pattern for the stored positions and the tokens that follow them."""
        if self.starts is None or not any(self.starts):
            return pattern
        patterns = members_of(pattern, len(self.starts))
        return PerSequence(tuple(map(shifted, patterns, self.starts)))

    def _side_by_side(self, keys: Tensor, values: Tensor) -> KeysValues:
        """New keys and values with the last real token of each sequence at the end."""
        if self._lengths is None:
            return keys, values
        n_padding = keys.shape[1] - self._lengths
        self.starts = n_padding.tolist()
        places = torch.arange(keys.shape[1], device=keys.device) - n_padding[:, None]
        sequences = torch.arange(len(keys), device=keys.device)[:, None]
        return keys[sequences, places], values[sequences, places]


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
        stored = self._side_by_side(keys, values)
        if self.starts is not None:
            self.starts = [max(0, start - oldest) for start in self.starts]
        # Cloned, because a view would keep the whole prompt in memory.
        self._kept = stored[0][:, oldest:].clone(), stored[1][:, oldest:].clone()
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
        all_keys[:, start:stop], all_values[:, start:stop] = self._side_by_side(keys, values)
        self.n_keys = stop
        if self._lengths is not None:
            return keys, values  # those of the first tokens, as they came
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
        self.lengths: Tensor | None = None
        """How many of them are real in each sequence (batch,); None if all are."""

    @property
    def next_position(self) -> FirstPosition:
        """The position of the next token, or that of each sequence."""
        return self.n_tokens if self.lengths is None else self.lengths

    def expect(self, batch_size: int, padding: Padding | None) -> None:
        """Takes note of the tokens that come next, the real ones first.

        Raises:
            ValueError: Another number of sequences than it holds, a sequence without a token, or
                padding that does not come with the first tokens.
        """
        if self.batch_size not in (None, batch_size):
            raise ValueError(f"the cache holds {self.batch_size} sequences, got {batch_size}")
        if padding is not None and self.n_tokens:
            raise ValueError(
                "a cache takes padding with its first tokens only, "
                f"got an attention_mask with padding after {self.n_tokens} tokens"
            )
        if padding is not None and not bool(padding.lengths.all()):
            raise ValueError("a cache needs at least one real token in every sequence")
        for layer in self.layers:
            layer.expect(None if padding is None else padding.lengths)

    def advance(self, batch_size: int, n_tokens: int, padding: Padding | None) -> None:
        """Counts the tokens that have been processed."""
        self.batch_size = batch_size
        self.n_tokens += n_tokens
        if padding is not None:
            self.lengths = padding.lengths
        elif self.lengths is not None:
            self.lengths = self.lengths + n_tokens

    @property
    def n_bytes(self) -> int:
        """Memory of all layers together."""
        return sum(layer.n_bytes for layer in self.layers)


def _n_bytes(tensors: KeysValues | None) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors or ())
