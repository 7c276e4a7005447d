"""From the hidden states of a whole text to its class."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.export import register_dataclass

from sparse_transformers.models.checks import check_dropout, check_truth, check_whole
from sparse_transformers.models.padding import mean_over_real_tokens


@dataclass(frozen=True, eq=False)
class TruthfulnessOutput:
    """What a `TruthfulnessHead` returns for a batch of texts.

    >>> import sparse_transformers as st
    >>> import torch
    >>> head = st.TruthfulnessHead(d_model=64, num_classes=3)
    >>> output = head(torch.randn(2, 10, 64))
    >>> output.logits.shape, output.confidence.shape, output.pooled.shape
    (torch.Size([2, 3]), torch.Size([2]), torch.Size([2, 64]))

    Attributes:
        logits: Scores of the classes, before the softmax.
        confidence: Between 0 and 1. What it means depends on the loss that trains it: without
            one it stays a random function of the text.
        pooled: Mean of the hidden states of the real tokens.
    """

    logits: Float[Tensor, "batch classes"]
    confidence: Float[Tensor, "batch"]
    pooled: Float[Tensor, "batch d_model"]


# So that `torch.export` can take the record apart.
register_dataclass(TruthfulnessOutput)


class TruthfulnessHead(nn.Module):
    """Averages the real tokens and maps the average to class logits and a confidence.

    Both maps are small perceptrons (d_model, d_model/2, d_model/4, num_classes) and (d_model,
    d_model/4, 1); with `linear` the classes get a single linear map. To make the confidence predict
    whether the class is right, train it with the binary cross-entropy against
    `logits.argmax(-1) == label`.

    >>> import sparse_transformers as st
    >>> import torch
    >>> head = st.TruthfulnessHead(d_model=64)
    >>> real = torch.tensor([[True, True, True, False]])
    >>> head(torch.randn(1, 4, 64), real).logits.shape
    torch.Size([1, 2])

    Args:
        d_model: Width of the hidden states, at least 4.
        num_classes: Number of classes, at least 2.
        dropout: Share of the inner values that is dropped in training, at least 0 and below 1.
        linear: Whether the map to the classes is a single linear one.

    Raises:
        ValueError: `d_model` is below 4, `num_classes` below 2, or `dropout` no probability.
    """

    def __init__(
        self,
        d_model: int,
        num_classes: int = 2,
        dropout: float = 0.1,
        *,
        linear: bool = False,
    ) -> None:
        super().__init__()
        check_whole(4, d_model=d_model)
        check_whole(2, num_classes=num_classes)
        check_dropout(dropout)
        check_truth(linear=linear)
        self.classifier = (
            nn.Sequential(nn.Dropout(dropout), nn.Linear(d_model, num_classes))
            if linear
            else nn.Sequential(
                nn.Linear(d_model, d_model // 2),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(d_model // 2, d_model // 4),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(d_model // 4, num_classes),
            )
        )
        self.confidence = nn.Sequential(
            nn.Linear(d_model, d_model // 4),
            nn.ReLU(),
            nn.Linear(d_model // 4, 1),
            nn.Sigmoid(),
        )

    def forward(
        self,
        hidden: Float[Tensor, "batch seq d_model"],
        attention_mask: Bool[Tensor, "batch seq"] | None = None,
    ) -> TruthfulnessOutput:
        """The logits and the confidence of each text.

        Args:
            hidden: Hidden states of the tokens.
            attention_mask: True for real tokens, False for padding. All are real by default.
        """
        pooled = mean_over_real_tokens(hidden, attention_mask)
        return TruthfulnessOutput(
            logits=self.classifier(pooled),
            confidence=self.confidence(pooled).squeeze(-1),
            pooled=pooled,
        )
