"""The optimiser, AdamW, and the schedule of its learning rate."""

import math

import torch
from torch import nn

from sparse_transformers.training.config import TrainingConfig


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only: decay of biases and norms does not regularise.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim >= 2],
            "weight_decay": config.weight_decay,
        },
        {
            "params": [parameter for parameter in parameters if parameter.ndim < 2],
            "weight_decay": 0.0,
        },
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def learning_rate_at(progress: float, config: TrainingConfig) -> float:
    """The learning rate when a share `progress` of the run is over, in (0, 1].

    Linear from 0 to `learning_rate` over the warm-up, then half a cosine down to
    `final_lr_fraction` of it.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983 (cosine, without restarts).
    """
    warmup, floor = config.warmup_fraction, config.final_lr_fraction
    if progress < warmup:
        return config.learning_rate * progress / warmup
    decayed = (progress - warmup) / (1 - warmup) if warmup < 1 else 0.0
    return config.learning_rate * (floor + (1 - floor) * (1 + math.cos(math.pi * decayed)) / 2)
