"""Choosing the next token from a model's logits, and prompts of several lengths."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sparse_transformers.models.checks import check_seed, check_types, check_whole
from sparse_transformers.models.ranking import argmax


@dataclass(frozen=True)
class TokenSampler:
    """Draws tokens from the softmax of logits, or takes the likeliest one.

    Attributes:
        temperature: Divides the logits, above 0: below 1 the likeliest tokens become likelier,
            above 1 less likely.
        top_k: Draw from the `top_k` likeliest tokens only; a number above the vocabulary keeps all.
        top_p: Draw from the fewest likeliest tokens whose probabilities add up to at least this;
            applied after `top_k` (Holtzman et al. 2019, arXiv:1904.09751, section 3.1).
        greedy: Take the likeliest token; the other options then have no effect.

    Raises:
        ValueError: An option is out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    greedy: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        if not self.temperature > 0:
            raise ValueError(
                f"temperature must be above 0 (greedy=True takes the likeliest token), "
                f"got {self.temperature}"
            )
        if self.top_k is not None:
            check_whole(1, top_k=self.top_k)
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")

    def choose(
        self, logits: Float[Tensor, "batch vocab"], generator: torch.Generator
    ) -> Int[Tensor, "batch"]:
        """One token for each row."""
        if self.greedy:
            return argmax(logits)
        probabilities, order = self.ranked_probabilities(logits)
        # A generator draws on its own device, and the same numbers wherever the model is.
        rank = torch.multinomial(probabilities.to(generator.device), 1, generator=generator)
        return order.gather(-1, rank.to(order.device))[:, 0]

    def ranked_probabilities(
        self, logits: Float[Tensor, "batch vocab"]
    ) -> tuple[Float[Tensor, "batch vocab"], Int[Tensor, "batch vocab"]]:
        """The probabilities from high to low, 0 for excluded tokens, and the ids they belong to."""
        logits, order = logits.float().sort(dim=-1, descending=True, stable=True)
        # The largest logit is made 0 before the division, so that no temperature overflows.
        logits = (logits - logits[:, :1]) / self.temperature
        if self.top_k is not None:
            logits[:, self.top_k :] = -torch.inf
        probabilities = torch.softmax(logits, dim=-1)
        if self.top_p is not None:
            likelier = probabilities.cumsum(-1) - probabilities
            probabilities = probabilities.masked_fill(likelier >= self.top_p, 0.0)
        return probabilities / probabilities.sum(-1, keepdim=True), order


def make_generator(seed: int | None, generator: torch.Generator | None) -> torch.Generator:
    """The generator to draw from: the given one, a seeded one, or one of a fresh random seed.

    Raises:
        ValueError: Both are given.
    """
    if generator is not None and seed is not None:
        raise ValueError(f"give either seed or generator, got both (seed={seed})")
    if generator is not None:
        return generator
    fresh = torch.Generator()
    if seed is None:
        fresh.seed()
    else:
        fresh.manual_seed(check_seed(seed))
    return fresh


def pad_prompts(
    prompts: Sequence[Integer[Tensor, "_"]],
) -> tuple[Int[Tensor, "batch seq"], Bool[Tensor, "batch seq"]]:
    """The prompts in one tensor, filled up on the right, and which of its tokens are real.

    Raises:
        ValueError: There is no prompt, or something else than a tensor (seq,) with tokens in it.
    """
    for prompt in prompts:
        if not isinstance(prompt, Tensor) or prompt.ndim != 1 or not len(prompt):
            raise ValueError(
                "input_ids must be a tensor (batch, seq), or a list of tensors (seq,) with at "
                f"least one token each, got {prompt!r} among them"
            )
    if not prompts:
        raise ValueError("input_ids must hold at least one prompt, got none")
    padded = pad_sequence(list(prompts), batch_first=True).long()
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=padded.device)
    return padded, torch.arange(padded.shape[1], device=padded.device) < lengths[:, None]


def cut_after(text: Int[Tensor, "seq"], eos: int | None) -> Int[Tensor, "shorter"]:
    """The text up to its first `eos`, which is kept."""
    if eos is None or not bool((text == eos).any()):
        return text
    return text[: int((text == eos).nonzero()[0]) + 1]
