import json
import math

import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from sparse_transformers.demos.statements import (
    StatementTask,
    encode_statements,
    make_statement_corpus,
)
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.utils.datasets.statement_kinds import (
    STATEMENT_DOMAINS,
    STATEMENT_KINDS,
    generate_statements,
    statement_words,
)
from sparse_transformers.utils.datasets.statement_likelihood import statement_likelihood

N, N_TRAIN, SEQ_LEN = 400, 320, 20


@pytest.fixture(scope="module")
def corpus():
    return make_statement_corpus(N, seq_len=SEQ_LEN, valid_fraction=0.2, seed=3)


@pytest.fixture(scope="module")
def statements():
    return generate_statements(N, seed=3)


@pytest.fixture(scope="module")
def model(corpus):
    config = SparseTransformerConfig(
        vocab_size=len(corpus.vocabulary), d_model=8, n_heads=1, n_layers=1, d_ff=8
    )
    return SparseTransformer(config)


def words_of(corpus, rows):
    return [corpus.vocabulary[token] for token in rows.flatten()]


def running_words(texts):
    return (" . ".join(texts) + " .").split()


def test_rows_are_the_statements_one_after_the_other(corpus, statements):
    texts = statements["text"]
    for rows, part in ((corpus.train, texts[:N_TRAIN]), (corpus.valid, texts[N_TRAIN:])):
        stream = running_words(part)
        assert rows.shape == (len(stream) // (SEQ_LEN + 1), SEQ_LEN + 1)
        assert words_of(corpus, rows) == stream[: rows.numel()]
    assert corpus.seq_len == SEQ_LEN


def test_labels_are_those_of_the_statement_that_a_token_is_of(corpus, statements):
    labels = corpus.labels
    for row in range(0, len(corpus.valid), 7):
        for place in range(SEQ_LEN):
            number = int(labels.statement[row, place])
            assert number >= N_TRAIN
            statement = statements.loc[number]
            words = [*statement["text"].split(), "."]
            position = int(labels.position[row, place])
            assert corpus.vocabulary[corpus.valid[row, place]] == words[position]
            assert STATEMENT_KINDS[labels.kind[row, place]] == statement["kind"]
            assert STATEMENT_DOMAINS[labels.domain[row, place]] == statement["domain"]
    # Position and statement together number the tokens: none is skipped, none stands twice.
    order = labels.statement * 100 + labels.position
    assert torch.all(order.diff(dim=1) > 0)


def test_likelihoods_are_those_of_the_words_read_and_predicted(corpus, statements):
    labels = corpus.labels
    for row, place in [(0, 0), (2, 3), (5, 19), (11, 10), (20, 7)]:
        text = statements.loc[int(labels.statement[row, place]), "text"]
        likelihood = statement_likelihood([*text.split(), "."])
        kinds = likelihood.kinds[int(labels.position[row, place])]
        kind_bits = 3 + sum(p * math.log2(p) for p in kinds if p)
        assert labels.kind_bits[row, place] == pytest.approx(kind_bits)
        if place + 1 < SEQ_LEN:
            predicted = int(labels.statement[row, place + 1]), int(labels.position[row, place + 1])
            text = statements.loc[predicted[0], "text"]
            nats = statement_likelihood([*text.split(), "."]).nats[predicted[1]]
            assert corpus.generator_nats[row, place] == pytest.approx(nats)
    assert corpus.generator_nats.shape == labels.kind.shape == corpus.valid[:, 1:].shape


def test_statements_of_the_validation_part_are_not_trained_on():
    # Of so many statements some are alike.
    n, n_train = 4000, 3600
    corpus = make_statement_corpus(n, seq_len=16, valid_fraction=0.1, seed=0)
    texts = generate_statements(n, seed=0)["text"]
    valid = set(texts[n_train:])
    kept = [text for text in texts[:n_train] if text not in valid]
    assert len(kept) < n_train
    assert words_of(corpus, corpus.train) == running_words(kept)[: corpus.train.numel()]


def test_targets_are_the_words_that_follow(corpus):
    batch = StatementTask(corpus).batch(0, batch_size=3, seed=0)
    assert batch.input_ids.shape == batch.targets.shape == (3, SEQ_LEN)
    assert batch.attention_mask is None
    rows = torch.cat([batch.input_ids, batch.targets[:, -1:]], dim=1)
    assert torch.equal(rows[:, 1:], batch.targets)
    assert all(any(torch.equal(row, other) for other in corpus.train) for row in rows)


def test_batch_is_a_function_of_seed_and_step(corpus):
    task = StatementTask(corpus)
    batch = task.batch(7, batch_size=4, seed=1).input_ids
    assert torch.equal(batch, task.batch(7, batch_size=4, seed=1).input_ids)
    assert not torch.equal(batch, task.batch(8, batch_size=4, seed=1).input_ids)
    assert not torch.equal(batch, task.batch(7, batch_size=4, seed=2).input_ids)


def test_all_training_rows_are_visited(corpus):
    task = StatementTask(corpus)
    seen = {
        tuple(row)
        for step in range(100)
        for row in task.batch(step, batch_size=20, seed=0).input_ids.tolist()
    }
    assert len(seen) == len(corpus.train)


@pytest.mark.parametrize("max_valid_rows", [3, 10_000])
def test_evaluation_equals_sklearn_on_the_first_rows(corpus, model, max_valid_rows):
    task = StatementTask(corpus, max_valid_rows=max_valid_rows)
    rows = corpus.valid[:max_valid_rows]
    with torch.no_grad():
        logits = model(rows[:, :-1]).flatten(0, 1).double()
    targets = rows[:, 1:].flatten()
    evaluation = task.evaluate(model, batch_size=4)
    loss = log_loss(targets, logits.softmax(-1), labels=range(len(corpus.vocabulary)))
    assert evaluation.loss_nats == pytest.approx(loss, rel=1e-5)
    assert evaluation.accuracy == accuracy_score(targets, logits.argmax(-1))
    assert evaluation.n_targets == len(rows) * SEQ_LEN
    batch = task.batch(0, batch_size=4, seed=0)
    parts = torch.stack([task.loss(model, part) for part in batch.split(1)])
    torch.testing.assert_close(task.loss(model, batch), parts.mean())


def test_floor_is_the_generator_s_own_loss_on_the_rows_that_are_validated(corpus):
    few, all_rows = (StatementTask(corpus, max_valid_rows=n).floor_nats for n in (3, 10_000))
    assert few == pytest.approx(float(corpus.generator_nats[:3].mean()))
    assert all_rows == pytest.approx(float(corpus.generator_nats.mean()))
    assert 1.3 < all_rows < 1.6  # 1.47 on 1000 statements
    assert 2.1 < float(corpus.labels.kind_bits.mean()) < 2.5


def test_description_tells_corpora_apart(corpus):
    descriptions = [
        StatementTask(make_statement_corpus(N, seq_len=SEQ_LEN, valid_fraction=0.2, seed=seed))
        for seed in (3, 3, 4)
    ]
    first, again, other = (task.description() for task in descriptions)
    assert first == again == json.loads(json.dumps(first))
    assert first["corpus_sha256"] != other["corpus_sha256"]
    assert StatementTask(corpus, max_valid_rows=5).description() != first
    assert StatementTask.target_unit == "word"


def test_encoding_ends_every_statement():
    (ids,) = encode_statements(["the storm was old"])
    assert [statement_words()[token] for token in ids] == ["the", "storm", "was", "old", "."]
    with pytest.raises(ValueError, match="words of the vocabulary only, got 'hurricane'"):
        encode_statements(["the hurricane"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_statements": 0}, "n_statements must be a whole number"),
        ({"seq_len": 0}, "seq_len must be a whole number"),
        ({"valid_fraction": 0.0}, "valid_fraction must be between 0 and 1, got 0.0"),
        ({"valid_fraction": 1.0}, "valid_fraction must be between 0 and 1, got 1.0"),
        ({"n_statements": 20, "seq_len": 64}, "its validation part has 2\\d words"),
        ({"n_statements": 20, "seq_len": 64, "valid_fraction": 0.99}, "training part has 0 words"),
        ({"n_statements": 20, "valid_fraction": 0.01}, "validation part has 0 words"),
    ],
)
def test_corpus_that_cannot_be_made_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_statement_corpus(**{"n_statements": 100, **arguments})


def test_validation_needs_a_row(corpus):
    with pytest.raises(ValueError, match="max_valid_rows must be a whole number"):
        StatementTask(corpus, max_valid_rows=0)
