"""A linear classifier of hashed n-grams: fast, and a strong model where there is little data.

There is no vocabulary of n-grams: each is hashed to a row of a table, and the row holds its weight
for each class. The fields of a text (a statement, its speaker) are summed separately, and each sum
is divided by the square root of its length, so that a long field does not drown a short one.

Source: Joulin et al. 2017, arXiv:1607.01759 (hashed bags of n-grams); Weinberger et al. 2009,
arXiv:0902.2206 (hashing); Wager et al. 2013, arXiv:1307.1493 (dropout of features regularises a
linear model, and rare features the more).
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor, nn

from sparse_transformers.models.checks import (
    check_dropout,
    check_input_ids,
    check_types,
    check_whole,
)
from sparse_transformers.models.padding import find_padding

MULTIPLIER = -7046029254386353131  # 2**64 divided by the golden ratio, as a signed number: odd


@dataclass(frozen=True)
class NGramClassifierConfig:
    """The shape of an `NGramClassifier`.

    Attributes:
        vocab_size: number of token ids, padding included.
        num_classes: number of classes.
        field_starts: the first token id of each field; the ids of field k are those from
            `field_starts[k]` up to `field_starts[k + 1]`.
        max_n: length of the longest n-gram, in tokens.
        n_buckets: rows of the table. N-grams that are hashed to the same row share its weights.
        dropout: share of the n-grams dropped in training.

    Raises:
        ValueError: a value is out of range.
    """

    vocab_size: int
    num_classes: int = 2
    field_starts: tuple[int, ...] = (0,)
    max_n: int = 2
    n_buckets: int = 2**17
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "field_starts", tuple(self.field_starts))
        check_whole(1, vocab_size=self.vocab_size, max_n=self.max_n, n_buckets=self.n_buckets)
        check_whole(2, num_classes=self.num_classes)
        check_dropout(self.dropout)
        starts = self.field_starts
        rising = all(first < second for first, second in pairwise(starts))
        if not starts or not rising or not 0 <= starts[0] <= starts[-1] < self.vocab_size:
            raise ValueError(
                f"field_starts must be rising tokens below vocab_size ({self.vocab_size}), "
                f"got {starts}"
            )


@dataclass(frozen=True, eq=False)
class NGramOutput:
    """The output of an `NGramClassifier` for a batch of texts.

    Attributes:
        logits: scores of the classes, before the softmax.
        field_logits: the part of `logits` that each field adds; the remaining part is the bias.
    """

    logits: Float[Tensor, "batch classes"]
    field_logits: Float[Tensor, "batch fields classes"]


class NGramClassifier(nn.Module):
    """Adds up the weights of all n-grams of 1 to `max_n` tokens.

    The sum of a field is divided by the square root of the number of its n-grams. All weights are
    0 at first, so an n-gram that does not occur in training has no influence.
    """

    starts: Tensor

    def __init__(self, config: NGramClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Embedding(config.n_buckets, config.num_classes)
        self.bias = nn.Parameter(torch.zeros(config.num_classes))
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("starts", torch.tensor(config.field_starts), persistent=False)
        nn.init.zeros_(self.table.weight)

    def forward(
        self,
        input_ids: Integer[Tensor, "batch seq"],
        attention_mask: Bool[Tensor, "batch seq"] | None = None,
    ) -> NGramOutput:
        """The logits of each text.

        Args:
            input_ids: token ids; those of a field are consecutive.
            attention_mask: True for real tokens, False for padding; None if all are real.

        Raises:
            ValueError: ids that are not whole numbers below `vocab_size`, or a mask of another
                form.
        """
        check_input_ids(input_ids, self.config.vocab_size)
        padding = find_padding(input_ids, attention_mask)
        if padding is not None:
            input_ids, attention_mask = padding.to_front(input_ids), padding.is_token
        fields = self._fields(input_ids, attention_mask)  # (batch, seq, fields)
        rows = hash_ngrams(
            input_ids, fields.argmax(-1), max_n=self.config.max_n, n_buckets=self.config.n_buckets
        )
        kept = self.dropout(torch.ones_like(rows, dtype=self.table.weight.dtype))
        by_token = (self.table(rows) * kept[..., None]).sum(2)  # (batch, seq, classes)
        n_ngrams = fields.sum(1) * self.config.max_n
        by_field = fields.transpose(1, 2) @ by_token / n_ngrams.clamp(min=1).sqrt()[..., None]
        return NGramOutput(by_field.sum(1) + self.bias, by_field)

    def _fields(
        self, input_ids: Tensor, attention_mask: Tensor | None
    ) -> Float[Tensor, "batch seq fields"]:
        """1 at the field of each token; padding is in no field."""
        field = torch.bucketize(input_ids.contiguous(), self.starts, right=True) - 1
        one_hot = F.one_hot(field.clamp(min=0), len(self.config.field_starts))
        if attention_mask is not None:
            one_hot = one_hot * attention_mask[..., None]
        return one_hot.to(self.table.weight.dtype)


def hash_ngrams(
    input_ids: Integer[Tensor, "batch seq"],
    fields: Int[Tensor, "batch seq"],
    *,
    max_n: int,
    n_buckets: int,
) -> Int[Tensor, "batch seq max_n"]:
    """The bucket of the n-grams of 1 to `max_n` tokens that end at each token.

    N-grams do not reach back into another field. What precedes the first token of a field is
    hashed as 0, a token of its own, so an n-gram at the start of a field differs from the same
    words elsewhere.
    """
    tokens = input_ids.long() + 1
    keys = [_mix(tokens)]
    for back in range(1, max_n):
        earlier = F.pad(tokens, (back, 0))[:, : tokens.shape[1]]
        same_field = F.pad(fields, (back, 0), value=-1)[:, : fields.shape[1]] == fields
        keys.append(_mix(keys[-1] + earlier * same_field))
    return (torch.stack(keys, dim=-1) >> 32) % n_buckets


def _mix(key: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """A one-to-one mapping of 64-bit numbers whose high bits depend on all bits of the key.

    The products wrap around at 64 bits.
    """
    key = key * MULTIPLIER
    return (key ^ (key >> 32)) * MULTIPLIER
