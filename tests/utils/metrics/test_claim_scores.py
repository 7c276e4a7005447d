import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    log_loss,
    mean_absolute_error,
    roc_auc_score,
)

from sparse_transformers.utils.metrics.claim_scores import score_claims


def guesses(n_classes, n=300, seed=0):
    """Targets, and probabilities that know something of them."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(n_classes, size=n)
    logits = rng.normal(size=(n, n_classes)) + 1.5 * np.eye(n_classes)[targets]
    probabilities = np.exp(logits)
    return targets, probabilities / probabilities.sum(1, keepdims=True)


GROUPS = [f"speaker {row % 50}" for row in range(300)]


def test_scores_are_sklearns():
    targets, probabilities = guesses(4)
    predicted = probabilities.argmax(1)
    scores = score_claims(targets, probabilities, groups=GROUPS, ordinal=True, n_resamples=99)
    assert scores.accuracy.estimate == pytest.approx(accuracy_score(targets, predicted))
    assert scores.macro_f1.estimate == pytest.approx(f1_score(targets, predicted, average="macro"))
    assert scores.loss_nats == pytest.approx(log_loss(targets, probabilities))
    assert np.array_equal(scores.confusion, confusion_matrix(targets, predicted))
    ordinal = scores.ordinal
    error = mean_absolute_error(targets, predicted)
    assert ordinal.mean_absolute_error.estimate == pytest.approx(error)
    kappa = cohen_kappa_score(targets, predicted, weights="quadratic")
    assert ordinal.quadratic_kappa.estimate == pytest.approx(kappa)
    assert ordinal.within_one.estimate == np.mean(np.abs(targets - predicted) <= 1)
    assert scores.binary is None
    assert scores.calibration.error >= 0
    assert sum(each.count for each in scores.reliability.bins) == 300


def test_two_classes_have_a_curve():
    targets, probabilities = guesses(2)
    scores = score_claims(targets, probabilities, groups=GROUPS, ordinal=False, n_resamples=99)
    auc = roc_auc_score(targets, probabilities[:, 1])
    assert scores.binary.roc.auc.estimate == pytest.approx(auc)
    half = scores.binary.thresholds.thresholds.index(0.5)
    at_half = scores.binary.thresholds.accuracy[half]
    assert at_half == pytest.approx(np.mean((probabilities[:, 1] >= 0.5) == targets))
    assert scores.ordinal is None


def test_intervals_are_wider_when_rows_of_a_group_belong_together():
    targets, probabilities = guesses(3, n=50)
    targets, probabilities = np.repeat(targets, 6), np.repeat(probabilities, 6, axis=0)
    together, apart = (
        score_claims(targets, probabilities, groups=groups, ordinal=False, n_resamples=199).accuracy
        for groups in (
            [f"group {row // 6}" for row in range(300)],
            [f"row {row}" for row in range(300)],
        )
    )
    assert together.estimate == apart.estimate
    # Six copies of each row tell as much as one: the interval is about sqrt(6) = 2.4 times wider.
    assert together.high - together.low > 1.8 * (apart.high - apart.low)


def test_impossible_truth_has_no_loss():
    probabilities = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    scores = score_claims(
        np.array([0, 1, 1]), probabilities, groups=["a", "b", "c"], ordinal=False, n_resamples=9
    )
    assert scores.loss_nats is None
