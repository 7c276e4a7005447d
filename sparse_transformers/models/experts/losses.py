"""Losses that keep a router balanced and its logits small.

Each is a function of one layer's router on real tokens, without padding. `expert_loss` takes the
mean over layers: frequencies and probabilities pooled over layers would hide a layer that has
collapsed to one expert.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def balance_loss(
    probabilities: Float[Tensor, "tokens experts"], experts: Int[Tensor, "tokens top_k"]
) -> Float[Tensor, ""]:
    """E · Σᵢ fᵢ Pᵢ: the share of the choices of each expert times its mean probability.

    f counts each of the k choices as 1/k of a token, so that an even load gives 1 for every k. If
    all tokens choose the same expert (k = 1) with probability 1, the loss is E. Hugging Face's
    `load_balancing_loss_func` counts each choice as a whole token, so that it is k times as large,
    and takes the tokens of all layers together; here each layer has a loss of its own.

    Args:
        probabilities: The router's probabilities, which sum to 1 for each token; the loss is
            differentiable with respect to these only.
        experts: The chosen experts, before tokens are dropped.

    Source: Fedus et al. 2021, arXiv:2101.03961, section 2.2, equations 4 to 6; k > 1 as in Lepikhin
    et al. 2020, arXiv:2006.16668.
    """
    n_tokens, num_experts = probabilities.shape
    if n_tokens == 0:
        return probabilities.sum()
    counts = torch.bincount(experts.flatten(), minlength=num_experts)
    frequency = counts.to(probabilities.dtype) / experts.numel()
    return num_experts * (frequency * probabilities.mean(0)).sum()


def sequence_balance_loss(
    probabilities: Float[Tensor, "tokens experts"],
    experts: Int[Tensor, "tokens top_k"],
    sequence: Int[Tensor, "tokens"],
) -> Float[Tensor, ""]:
    """`balance_loss` of each sequence by itself, averaged over the sequences.

    Args:
        probabilities: See `balance_loss`.
        experts: See `balance_loss`.
        sequence: The number of the sequence of each token.

    Source: DeepSeek-AI 2024, arXiv:2412.19437, section 2.1.2, equations 17 to 20.
    """
    n_tokens, num_experts = probabilities.shape
    if n_tokens == 0:
        return probabilities.sum()
    lengths = torch.bincount(sequence)
    n_sequences = len(lengths)
    pairs = sequence[:, None] * num_experts + experts
    counts = torch.bincount(pairs.flatten(), minlength=n_sequences * num_experts)
    summed = probabilities.new_zeros(n_sequences, num_experts).index_add(0, sequence, probabilities)
    per_token = lengths.clamp(min=1)[:, None]
    frequency = counts.view_as(summed).to(summed.dtype) / (per_token * experts.shape[1])
    losses = num_experts * (frequency * summed / per_token).sum(1)
    return losses.sum() / (lengths > 0).sum()


def router_z_loss(logits: Float[Tensor, "tokens experts"]) -> Float[Tensor, ""]:
    """Mean of the squared log-sum-exp; it keeps logits small, whose rounding errors are smaller.

    Source: Zoph et al. 2022, arXiv:2202.08906, section 3.4, equation 5.
    """
    return logits.logsumexp(-1).square().sum() / max(1, len(logits))


def squared_variation(amounts: Float[Tensor, "experts"]) -> Float[Tensor, ""]:
    """The squared coefficient of variation, (standard deviation / mean)²: 0 for equal amounts.

    For the summed gates it is the importance loss, for the expected counts the load loss. It is 0
    for a single expert and for amounts that are all 0.

    Source: Shazeer et al. 2017, arXiv:1701.06538, section 4 (importance) and appendix A (load).
    """
    mean = amounts.mean()
    variance = (amounts - mean).square().mean()
    return variance / mean.square().clamp(min=torch.finfo(amounts.dtype).tiny)


def expected_load(
    clean_logits: Float[Tensor, "tokens experts"],
    noisy_logits: Float[Tensor, "tokens experts"],
    noise_std: Float[Tensor, "tokens experts"],
    top_k: int,
) -> Float[Tensor, "experts"]:
    """The expected number of tokens of each expert, over the noise of its own logit only.

    An expert is chosen if its noisy logit exceeds the k-th largest of the others; the probability
    of that is differentiable, and the count is not.

    Source: Shazeer et al. 2017, arXiv:1701.06538, appendix A, equations 8 to 10.
    """
    num_experts = clean_logits.shape[1]
    if top_k >= num_experts:
        return clean_logits.new_full((num_experts,), float(len(clean_logits)))
    best = noisy_logits.topk(top_k + 1, dim=-1)
    # To be among the best k, a chosen expert must beat the (k+1)-th, another one the k-th.
    is_chosen = noisy_logits >= best.values[:, top_k - 1 : top_k]
    threshold = torch.where(is_chosen, best.values[:, top_k:], best.values[:, top_k - 1 : top_k])
    return torch.special.ndtr((clean_logits - threshold) / noise_std).sum(0)
