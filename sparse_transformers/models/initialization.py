"""The initial weights of a model."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import torch
from torch import nn

from sparse_transformers.models.checks import check_seed
from sparse_transformers.models.experts.networks import Experts
from sparse_transformers.models.feed_forward import ResidualProjection

STD = 0.02


_GENERATOR_IN_USE = RLock()
"""Modules draw their first weights from PyTorch's global generator, which all threads share."""


@contextmanager
def seeded_on_cpu(seed: int) -> Iterator[None]:
    """New modules are made on the CPU and draw from `seed`; the global random state is kept.

    One thread at a time, so that each gets the weights of its seed.
    """
    seed = check_seed(seed)
    with _GENERATOR_IN_USE, torch.device("cpu"), torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        yield


def initialise_like_gpt2(model: nn.Module, n_layers: int) -> None:
    """Small normal weights, and smaller ones where 2 * n_layers outputs add up in the residual.

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3.
    """
    residual_std = STD / math.sqrt(2 * n_layers)
    for module in model.modules():
        if isinstance(module, ResidualProjection):
            nn.init.normal_(module.weight, std=residual_std)
        elif isinstance(module, Experts):
            module.initialise(STD, residual_std)
        elif isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=STD)
