import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from sparse_transformers.training.classification import ClassificationTask
from sparse_transformers.training.data import ByteCorpus
from sparse_transformers.training.next_byte import NextByteTask
from sparse_transformers.training.task import Batch, Evaluation


def test_targets_are_the_bytes_that_follow():
    corpus = ByteCorpus(torch.arange(100, dtype=torch.uint8))
    batch = NextByteTask(corpus, seq_len=6).batch(0, batch_size=3, seed=0)
    assert batch.input_ids.shape == batch.targets.shape == (3, 6)
    assert torch.equal(batch.targets, batch.input_ids + 1)


def test_next_byte_evaluation_equals_sklearn(make_model, byte_task):
    model = make_model().eval()
    windows = byte_task.corpus.valid_windows(max_windows=4, seq_len=16).long()
    targets = windows[:, 1:].flatten()
    with torch.no_grad():
        logits = model(windows[:, :-1]).flatten(0, 1)
    evaluation = byte_task.evaluate(model, batch_size=3)
    loss = log_loss(targets, logits.double().softmax(-1), labels=range(256))
    assert evaluation.loss_nats == pytest.approx(loss, rel=1e-5)
    assert evaluation.accuracy == accuracy_score(targets, logits.argmax(-1))
    assert evaluation.n_targets == 4 * 16


def test_classification_evaluation_equals_sklearn(make_classifier, label_task):
    model = make_classifier(2)
    valid = label_task.valid
    logits = model(valid.input_ids).logits.detach()
    evaluation = label_task.evaluate(model, batch_size=7)
    loss = log_loss(valid.targets, logits.double().softmax(-1))
    assert evaluation.loss_nats == pytest.approx(loss, rel=1e-5)
    assert evaluation.accuracy == accuracy_score(valid.targets, logits.argmax(-1))


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_switches_dropout_off_and_the_mode_back(make_model, byte_task, training):
    model = make_model().train(training)
    first, second = (byte_task.evaluate(model, batch_size=4) for _ in range(2))
    assert first == second
    assert model.training is training


def test_loss_is_the_mean_over_the_targets(make_model, byte_task):
    model = make_model().eval()
    batch = byte_task.batch(0, batch_size=4, seed=0)
    parts = [byte_task.loss(model, part) for part in batch.split(1)]
    torch.testing.assert_close(byte_task.loss(model, batch), torch.stack(parts).mean())


def test_bits_are_nats_over_ln_2():
    assert Evaluation(loss_nats=math.log(256), accuracy=0.0, n_targets=1).loss_bits == (
        pytest.approx(8)
    )


def test_epoch_visits_every_row_once_in_a_new_order(label_task):
    # 300 rows in batches of 120: five batches are two epochs.
    batches = [label_task.batch(step, batch_size=120, seed=0) for step in range(5)]
    rows = torch.cat([batch.input_ids for batch in batches]).tolist()
    first, second = rows[:300], rows[300:]
    assert sorted(first) == sorted(second) == sorted(label_task.train.input_ids.tolist())
    assert first != second


def test_classification_batch_is_a_function_of_seed_and_step(label_task):
    batch = label_task.batch(7, batch_size=40, seed=1)
    again = label_task.batch(7, batch_size=40, seed=1)
    assert torch.equal(batch.input_ids, again.input_ids)
    assert torch.equal(batch.targets, again.targets)
    assert not torch.equal(batch.input_ids, label_task.batch(7, batch_size=40, seed=2).input_ids)


def test_split_parts_make_up_the_batch():
    batch = Batch(torch.arange(10).view(5, 2), torch.arange(5), torch.ones(5, 2).bool())
    parts = list(batch.split(2))
    assert [len(part) for part in parts] == [2, 2, 1]
    for name in ("input_ids", "targets", "attention_mask"):
        whole = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(whole, getattr(batch, name))


def test_padding_is_not_counted_as_tokens():
    mask = torch.tensor([[True, True, False], [True, False, False]])
    ids = torch.zeros(2, 3, dtype=torch.long)
    assert Batch(ids, torch.tensor([0, 1]), mask).n_tokens == 3
    assert Batch(ids, torch.tensor([0, 1])).n_tokens == 6


def test_attention_mask_reaches_the_model(make_classifier):
    ids = torch.tensor([[97, 98, 98]])
    masked = Batch(ids, torch.tensor([0]), torch.tensor([[True, False, False]]))
    alone = Batch(ids[:, :1], torch.tensor([0]))
    model = make_classifier(2)
    assert ClassificationTask(masked, masked).evaluate(model, batch_size=1) == (
        ClassificationTask(alone, alone).evaluate(model, batch_size=1)
    )


IDS, LABELS = torch.zeros(4, 3, dtype=torch.long), torch.zeros(4, dtype=torch.long)


@pytest.mark.unchecked_arrays
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((IDS[:0], LABELS[:0]), "at least one row"),
        ((IDS.float(), LABELS), "input_ids"),
        ((IDS, LABELS[:3]), "one int64 label per row"),
        ((IDS, LABELS.float()), "one int64 label per row"),
        ((IDS, LABELS - 1), "must not be negative"),
        ((IDS, LABELS, torch.ones(4, 2).bool()), "attention_mask"),
        ((IDS, LABELS, torch.ones(4, 3)), "attention_mask"),
    ],
)
def test_rows_that_do_not_fit_together_are_refused(rows, message):
    good, rows = Batch(IDS, LABELS), Batch(*rows)
    with pytest.raises(ValueError, match=rf"train\..*{message}"):
        ClassificationTask(train=rows, valid=good)
    with pytest.raises(ValueError, match=rf"valid\..*{message}"):
        ClassificationTask(train=good, valid=rows)


def test_model_with_too_few_classes_is_refused(make_classifier):
    rows = Batch(IDS, LABELS + 2)
    with pytest.raises(ValueError, match="at least 3 classes"):
        ClassificationTask(rows, rows).evaluate(make_classifier(2), batch_size=2)


@pytest.mark.parametrize("change", ["seq_len", "corpus", "windows"])
def test_description_tells_tasks_apart(byte_task, change):
    corpus, seq_len, windows = byte_task.corpus, 16, 4
    if change == "seq_len":
        seq_len = 15
    elif change == "windows":
        windows = 5
    else:
        corpus = ByteCorpus(corpus.content.flip(0))
    other = NextByteTask(corpus, seq_len, max_valid_windows=windows)
    assert other.description() != byte_task.description()


def test_description_tells_labels_apart(label_task):
    train = label_task.train
    shuffled = np.random.default_rng(0).permutation(train.targets.numpy())
    other = ClassificationTask(Batch(train.input_ids, torch.from_numpy(shuffled)), label_task.valid)
    assert other.description() != label_task.description()
