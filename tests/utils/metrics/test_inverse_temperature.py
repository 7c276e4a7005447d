import numpy as np
import pytest

from sparse_transformers.utils.metrics.inverse_temperature import (
    best_inverse_temperature,
    loss_when_calibrated,
)


def draw(n=20_000, factor=1.0, seed=0):
    """Targets that are drawn from the softmax of logits, and `factor` times these logits."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = (rng.random(n)[:, None] > chances.cumsum(1)).sum(1)
    return targets, logits * factor


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
def test_inverse_temperature_undoes_the_factor(factor):
    assert best_inverse_temperature(*draw(factor=factor)) == pytest.approx(1 / factor, rel=0.05)


def test_loss_does_not_depend_on_the_scale_of_the_logits():
    assert loss_when_calibrated(*draw(factor=7.0)) == pytest.approx(loss_when_calibrated(*draw()))


def test_logits_that_are_always_right_keep_their_scale():
    targets, logits = np.array([0, 1, 2]), np.eye(3)
    assert best_inverse_temperature(targets, logits) == 1.0
    assert loss_when_calibrated(targets, logits) == 0.0


def test_ties_remain_at_any_temperature():
    targets, logits = np.array([0, 1]), np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    assert best_inverse_temperature(targets, logits) == 1.0
    assert loss_when_calibrated(targets, logits) == pytest.approx(np.log(2) / 2)


def test_errors_by_rounding_count_as_ties():
    targets = np.array([0, 0, 0, 1])
    logits = np.array([[1.0, 0.0], [1e-8, 0.0], [1e-8, 0.0], [1e-9, 0.0]])
    assert best_inverse_temperature(targets, logits) == 1.0
    assert loss_when_calibrated(targets, logits) == pytest.approx(np.log(2) * 3 / 4, abs=1e-3)


def test_equal_logits_have_the_loss_of_a_uniform_guess():
    assert loss_when_calibrated(np.array([0, 1, 2]), np.zeros((3, 3))) == pytest.approx(np.log(3))
