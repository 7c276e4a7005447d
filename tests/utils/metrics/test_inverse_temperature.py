import numpy as np
import pytest

from sparse_transformers.utils.metrics.inverse_temperature import (
    best_sharpness,
    loss_when_calibrated,
)


def draw(n=20_000, sharpness=1.0, seed=0):
    """Targets that are drawn from the softmax of logits, and the logits made sharper."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = (rng.random(n)[:, None] > chances.cumsum(1)).sum(1)
    return targets, logits * sharpness


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 7.0])
def test_sharpness_undoes_what_was_too_sharp(sharpness):
    assert best_sharpness(*draw(sharpness=sharpness)) == pytest.approx(1 / sharpness, rel=0.05)


def test_loss_does_not_depend_on_how_sure_the_logits_are():
    assert loss_when_calibrated(*draw(sharpness=7.0)) == pytest.approx(
        loss_when_calibrated(*draw())
    )


def test_logits_that_are_always_right_are_as_sure_as_they_wish():
    targets, logits = np.array([0, 1, 2]), np.eye(3)
    assert best_sharpness(targets, logits) == 1.0
    assert loss_when_calibrated(targets, logits) == 0.0


def test_ties_remain_however_sharp_the_logits():
    targets, logits = np.array([0, 1]), np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    assert best_sharpness(targets, logits) == 1.0
    assert loss_when_calibrated(targets, logits) == pytest.approx(np.log(2) / 2)


def test_logits_that_say_nothing_are_worth_a_uniform_guess():
    assert loss_when_calibrated(np.array([0, 1, 2]), np.zeros((3, 3))) == pytest.approx(np.log(3))
