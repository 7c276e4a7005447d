import math

import pytest
import torch

from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.optimizer import learning_rate_at, make_optimizer

CONFIG = TrainingConfig(learning_rate=2.0, warmup_fraction=0.2, final_lr_fraction=0.1)


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (0.0, 0.0),
        (0.1, 1.0),
        (0.2, 2.0),
        (0.4, 0.2 + 1.8 * (1 + math.cos(math.pi / 4)) / 2),
        (0.6, 1.1),
        (1.0, 0.2),
    ],
)
def test_learning_rate_warms_up_linearly_and_falls_as_a_cosine(progress, expected):
    assert learning_rate_at(progress, CONFIG) == pytest.approx(expected)


@pytest.mark.parametrize("warmup", [0.0, 0.3, 1.0])
def test_learning_rate_is_largest_where_the_warm_up_ends(warmup):
    config = TrainingConfig(learning_rate=1.0, warmup_fraction=warmup)
    rates = [learning_rate_at(step / 100, config) for step in range(101)]
    assert max(rates) == rates[round(warmup * 100)] == 1.0


def test_only_matrices_decay(make_model):
    model = make_model()
    optimizer = make_optimizer(model, TrainingConfig(weight_decay=0.3))
    decay_of = {
        parameter: group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert {name: decay_of[parameter] for name, parameter in model.named_parameters()} == {
        "embedding.weight": 0.3,
        "norm.weight": 0.0,
        "norm.bias": 0.0,
        "head.weight": 0.3,
        "head.bias": 0.0,
    }


def test_frozen_parameters_are_left_out(make_model):
    model = make_model()
    model.embedding.requires_grad_(False)
    groups = make_optimizer(model, TrainingConfig()).param_groups
    assert sum(len(group["params"]) for group in groups) == 4


def test_updates_are_those_of_adamw(make_model):
    """Loshchilov and Hutter 2019, algorithm 2, written out for two steps."""
    config = TrainingConfig(learning_rate=0.01, betas=(0.8, 0.9), weight_decay=0.5)
    model = make_model()
    optimizer = make_optimizer(model, config)
    expected = model.head.weight.detach().double()
    mean, square = torch.zeros_like(expected), torch.zeros_like(expected)
    generator = torch.Generator().manual_seed(0)
    for step in (1, 2):
        gradient = torch.randn(expected.shape, generator=generator)
        model.head.weight.grad = gradient.clone()
        optimizer.step()
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.9 * square + 0.1 * gradient**2
        corrected = (square / (1 - 0.9**step)).sqrt() + 1e-8
        expected -= 0.01 * 0.5 * expected + 0.01 * mean / (1 - 0.8**step) / corrected
    torch.testing.assert_close(model.head.weight.detach().double(), expected, atol=1e-6, rtol=0)
