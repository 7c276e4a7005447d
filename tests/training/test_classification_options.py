"""Weights of classes, batches of rows of one length, and validation at the best temperature."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from sparse_transformers.training.classification import ClassificationTask, balanced_class_weights
from sparse_transformers.training.task import Batch


def padded_rows(n_rows, seed=0):
    """Rows of 1 to 20 letters a to c; the label is the first letter, and the ids name the row."""
    rng = np.random.default_rng(seed)
    lengths = torch.from_numpy(rng.integers(1, 21, size=n_rows))
    mask = torch.arange(20) < lengths[:, None]
    ids = torch.from_numpy(rng.integers(97, 100, size=(n_rows, 20))) * mask
    return Batch(ids, ids[:, 0] - 97, mask)


ROWS = padded_rows(300)


def test_balanced_weights_are_sklearns():
    targets = torch.tensor([0] * 7 + [1] * 2 + [2] * 11)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets.numpy())
    assert balanced_class_weights(targets, 3) == pytest.approx(expected.tolist())


def test_balanced_weights_need_every_class():
    with pytest.raises(ValueError, match=r"each of 3 classes, got \[1, 0, 1\]"):
        balanced_class_weights(torch.tensor([0, 2]), 3)


def test_weighted_loss_equals_sklearn(make_classifier):
    weights = (0.5, 2.0, 3.0)
    task = ClassificationTask(ROWS, ROWS, class_weights=weights)
    model = make_classifier(3)
    logits = model(ROWS.input_ids, ROWS.attention_mask).logits.detach().double()
    row_weights = np.array(weights)[ROWS.targets]
    of_weights = log_loss(ROWS.targets, logits.softmax(-1), sample_weight=row_weights)
    expected = of_weights * row_weights.mean()
    assert task.loss(model, ROWS).item() == pytest.approx(expected, rel=1e-5)
    parts = [task.loss(model, part).item() for part in ROWS.split(100)]
    assert np.mean(parts) == pytest.approx(expected, rel=1e-5)


def test_validation_is_not_weighted(make_classifier):
    model = make_classifier(3)
    plain, weighted = (
        ClassificationTask(ROWS, ROWS, class_weights=weights).evaluate(model, batch_size=64)
        for weights in (None, (1.0, 5.0, 9.0))
    )
    assert plain == weighted


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 1.0, -1.0), (1.0, 1.0, float("inf"))])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match="class_weights must be one number of at least 0"):
        ClassificationTask(ROWS, ROWS, class_weights=weights)


def batches_of(task, n_steps, batch_size=30, seed=0):
    return [task.batch(step, batch_size=batch_size, seed=seed) for step in range(n_steps)]


def contents(batches):
    return Counter(tuple(row) for batch in batches for row in batch.input_ids.tolist())


def test_pools_visit_every_row_once_per_epoch():
    batches = batches_of(ClassificationTask(ROWS, ROWS, steps_per_pool=5), n_steps=20)
    assert contents(batches[:10]) == contents(batches[10:]) == contents([ROWS])
    assert {len(batch) for batch in batches} == {30}


def test_rows_of_a_pooled_batch_are_about_equally_long():
    def spread(steps_per_pool):
        task = ClassificationTask(ROWS, ROWS, steps_per_pool=steps_per_pool)
        lengths = [batch.attention_mask.sum(1).float() for batch in batches_of(task, 10)]
        return float(torch.stack([each.std() for each in lengths]).mean())

    assert spread(10) < spread(1) / 5


def test_batches_of_a_pool_come_in_any_order():
    batches = batches_of(ClassificationTask(ROWS, ROWS, steps_per_pool=10), 20)
    lengths = [batch.attention_mask.sum(1).float().mean().item() for batch in batches]
    first, second = lengths[:10], lengths[10:]
    assert first != sorted(first)
    assert np.argsort(first).tolist() != np.argsort(second).tolist()


def test_pool_is_no_larger_than_an_epoch():
    few = ROWS.rows(slice(0, 70))
    batches = batches_of(ClassificationTask(few, few, steps_per_pool=100), 2)
    assert contents(batches) <= contents([few])


def test_pooled_batch_is_a_function_of_seed_and_step():
    task = ClassificationTask(ROWS, ROWS, steps_per_pool=4)
    backwards = [task.batch(step, batch_size=30, seed=3) for step in reversed(range(8))]
    for batch, again in zip(batches_of(task, 8, seed=3), reversed(backwards), strict=True):
        assert torch.equal(batch.input_ids, again.input_ids)


def test_padding_of_all_rows_is_not_shown_to_the_model(make_classifier):
    widths = []
    model = make_classifier(3)
    model.register_forward_pre_hook(lambda module, inputs: widths.append(inputs[0].shape[1]))
    short = ROWS.rows(ROWS.attention_mask.sum(1) < 6)
    task = ClassificationTask(short, short)
    task.loss(model, short)
    assert widths == [5]


def test_trimming_keeps_targets_of_tokens_in_step():
    batch = Batch(ROWS.input_ids, ROWS.input_ids + 1, ROWS.attention_mask)
    short = batch.rows(ROWS.attention_mask.sum(1) < 6).trimmed()
    assert torch.equal(short.targets, short.input_ids + 1)
    assert short.attention_mask.shape == short.targets.shape == (len(short), 5)


def test_calibrated_validation_is_the_loss_at_the_best_temperature(make_classifier):
    model = make_classifier(3)
    with torch.no_grad():
        model.embedding.weight.mul_(200)
    logits = model(ROWS.input_ids, ROWS.attention_mask).logits.detach().double().numpy()
    targets = ROWS.targets.numpy()

    def loss(log_temperature):
        answers = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -answers[np.arange(len(targets)), targets].mean()

    best = minimize_scalar(loss, bounds=(-5, 15), method="bounded", options={"xatol": 1e-9}).fun
    plain, calibrated = (
        ClassificationTask(ROWS, ROWS, calibrated=calibrated).evaluate(model, batch_size=64)
        for calibrated in (False, True)
    )
    assert calibrated.loss_nats == pytest.approx(best, rel=1e-6)
    assert calibrated.loss_nats < plain.loss_nats
    assert calibrated.accuracy == plain.accuracy


def test_infinite_logits_are_left_to_the_trainer(make_classifier):
    model = make_classifier(3)
    with torch.no_grad():
        model.embedding.weight.fill_(float("nan"))
    task = ClassificationTask(ROWS, ROWS, calibrated=True)
    assert np.isnan(task.evaluate(model, batch_size=64).loss_nats)


@pytest.mark.parametrize(
    "options", [{"class_weights": (1, 2, 3)}, {"steps_per_pool": 2}, {"calibrated": True}]
)
def test_description_tells_options_apart(options):
    plain, other = ClassificationTask(ROWS, ROWS), ClassificationTask(ROWS, ROWS, **options)
    assert plain.description() != other.description()


def test_pool_must_be_positive():
    with pytest.raises(ValueError, match="steps_per_pool must be at least 1, got 0"):
        ClassificationTask(ROWS, ROWS, steps_per_pool=0)
