"""Encoders with experts beside dense ones: trained alike, counted right, compared row by row."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from claim_examples import QUICK, answers_table, liar_table
from sklearn.metrics import log_loss
from visits import visit

from sparse_transformers.claims.config import TransformerMember
from sparse_transformers.claims.corpora import make_corpus
from sparse_transformers.claims.tables import JUDGED, LIAR
from sparse_transformers.experiments.expert_claims import measure as expert_claims
from sparse_transformers.experiments.expert_claims.encoders import (
    TrainedEncoder,
    encoders_from,
    expert_uses,
    size_of,
    train_encoder,
)
from sparse_transformers.experiments.expert_claims.measure import measure_expert_claims
from sparse_transformers.experiments.expert_claims.records import (
    EXPERTS,
    TWIN,
    WIDE,
    ExpertClaims,
    ExpertClaimsSettings,
)
from sparse_transformers.experiments.truthfulness_evaluation.measure import claim_data
from sparse_transformers.experiments.truthfulness_evaluation.records import (
    BAYES,
    MAJORITY,
    ClaimEvaluationSettings,
)
from sparse_transformers.models.experts.layer import record_experts
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.training.classification import ClassificationTask
from sparse_transformers.training.task import Batch
from sparse_transformers.utils.metrics.seed_resampling import RowsAndSeeds
from sparse_transformers.utils.records import from_json, to_json

MEMBER = TransformerMember(d_model=16, epochs=1, learning_rate=1e-2, weight_decay=0.1, d_ff=8)
CONFIG = replace(QUICK, transformer=MEMBER)
SETTINGS = ExpertClaimsSettings(
    claims=ClaimEvaluationSettings(
        claims=CONFIG, answers=CONFIG, invented=CONFIG, synthetic_rows=200, n_resamples=49
    ),
    num_experts=4,
    n_seeds=2,
)


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def measured(told):
    return measure_expert_claims(visit(SETTINGS, tables={}, seed=1, say=told.append))


def invented(seed=1):
    [data] = claim_data(SETTINGS.claims, {}, seed)
    return data


class Stub:
    """Stands in for training: remembers how it was called, and answers with made-up numbers."""

    def __init__(self):
        self.calls = []
        self.answers = {}

    def __call__(self, corpus, config, *, progress):
        self.calls.append((corpus.name, config))
        name = (
            EXPERTS
            if config.transformer.experts
            else TWIN
            if config.transformer.d_ff == 8
            else WIDE
        )
        draws = np.random.default_rng(len(self.calls)).random((len(corpus.valid), 6)) + 0.01
        probabilities = draws[:, : len(corpus.classes)]
        probabilities = probabilities / probabilities.sum(1, keepdims=True)
        self.answers.setdefault(corpus.name, {}).setdefault(name, []).append(probabilities)
        member = SparseTransformer(config.transformer.model_config(vocab_size=9, num_classes=2))
        return TrainedEncoder(probabilities, size_of(member), (), 1.0 + len(self.calls))


@pytest.fixture
def stub(monkeypatch):
    stub = Stub()
    monkeypatch.setattr(expert_claims, "train_encoder", stub)
    return stub


def test_all_encoders_are_trained_with_all_seeds(measured, told):
    [corpus] = measured.corpora
    assert corpus.name == "synthetic LIAR"
    assert list(corpus.by_name) == [EXPERTS, TWIN, WIDE, MAJORITY, BAYES]
    assert (corpus.n_train, corpus.n_valid, corpus.n_classes, corpus.group) == (
        160,
        40,
        6,
        "speaker",
    )
    assert told == [
        f"synthetic LIAR, {name}, seed {nth} of 2"
        for nth in (1, 2)
        for name in (EXPERTS, TWIN, WIDE)
    ]
    for judge in corpus.judges[:3]:
        for scores in (judge.accuracy, judge.loss_bits):
            assert len(scores.of_seeds) == len(judge.seconds) == 2
            assert scores.mean.estimate == pytest.approx(np.mean(scores.of_seeds))
        assert min(judge.seconds) > 0
    for reference in corpus.judges[3:]:
        assert reference.size is None
        assert reference.seconds == reference.uses == reference.accuracy.of_seeds == ()


def test_sizes_are_those_that_the_names_promise(measured):
    experts, twin, wide = (measured.corpora[0].by_name[name].size for name in (EXPERTS, TWIN, WIDE))
    assert experts.router == 4 * 16
    assert twin.router == wide.router == 0
    assert experts.active - experts.router == twin.active == twin.total
    assert experts.total - experts.router == wide.active == wide.total
    assert wide.total - twin.total == 2 * 16 * 8  # twice as wide
    assert experts.embedding == twin.embedding == wide.embedding > 0


def test_experts_are_watched_on_the_held_out_rows(measured):
    corpus = measured.corpora[0]
    uses = corpus.by_name[EXPERTS].uses
    assert len(uses) == 2 * 2  # seeds, folds
    for use in uses:
        assert sum(use.load) == pytest.approx(1)
        assert use.max_violation == pytest.approx(4 * max(use.load) - 1)
    assert corpus.by_name[TWIN].uses == corpus.by_name[WIDE].uses == ()


def test_result_survives_json_and_holds_no_text(measured):
    text = json.dumps(to_json(measured), allow_nan=False)
    assert from_json(ExpertClaims, json.loads(text)) == measured
    assert not [word for word in invented().corpus.train["statement"] if word in text]


def test_measuring_can_be_repeated():
    settings = replace(SETTINGS, n_seeds=1)
    first, second, other = (
        measure_expert_claims(
            visit(settings, tables={JUDGED: answers_table(60)}, seed=seed)
        ).corpora[0]
        for seed in (0, 0, 1)
    )
    for name in (EXPERTS, TWIN, WIDE):
        assert first.by_name[name].loss_bits == second.by_name[name].loss_bits
        assert first.by_name[name].loss_bits != other.by_name[name].loss_bits


def test_scores_and_differences_are_of_the_probabilities(stub):
    result = measure_expert_claims(visit(SETTINGS, tables={}, seed=1)).corpora[0]
    data = invented()
    train, truth = (
        np.array([data.corpus.classes.index(label) for label in labels])
        for labels in (data.corpus.train_labels, data.corpus.valid_labels)
    )
    said = stub.answers["synthetic LIAR"]
    said[BAYES] = [data.posteriors] * 2
    shares = np.bincount(train, minlength=6) / len(train)
    said[MAJORITY] = [np.tile(shares, (len(truth), 1))] * 2

    accuracy = {
        name: [np.mean(each.argmax(1) == truth) for each in of_seeds]
        for name, of_seeds in said.items()
    }
    bits = {
        name: [log_loss(truth, each, labels=range(6)) / np.log(2) for each in of_seeds]
        for name, of_seeds in said.items()
    }
    for judge in result.judges:
        loss = judge.loss_bits.mean
        assert loss.low < loss.estimate < loss.high
        for found, values in ((judge.accuracy, accuracy), (judge.loss_bits, bits)):
            assert found.mean.estimate == pytest.approx(np.mean(values[judge.name]))
            if judge.name not in (MAJORITY, BAYES):
                assert found.of_seeds == pytest.approx(values[judge.name])
            assert (found.lead is None) is (judge.name in (EXPERTS, BAYES))
            if found.lead is not None:
                gap = found.lead.difference
                expected = np.mean(values[EXPERTS]) - np.mean(values[judge.name])
                assert gap.estimate == pytest.approx(expected)
                assert gap.low <= expected <= gap.high


def test_speakers_are_resampled_whole(stub):
    table = liar_table()
    result = measure_expert_claims(visit(SETTINGS, tables={LIAR: table}, seed=4)).corpora[0]
    valid = table[table["split"] == "valid"]
    speakers = tuple(valid["speaker"])
    assert result.n_groups == len(set(speakers)) < len(speakers)
    right = {
        name: np.stack([each.argmax(1) == valid["truth_level"] for each in of_seeds], axis=1) * 1.0
        for name, of_seeds in stub.answers[LIAR].items()
    }
    resamples = RowsAndSeeds(speakers, 49, seed=4)
    assert result.by_name[TWIN].accuracy.mean == resamples.mean(right[TWIN])
    found = result.by_name[WIDE].accuracy.lead
    assert found == resamples.difference(right[EXPERTS], right[WIDE])


def test_encoders_of_a_seed_share_everything_but_their_width(stub):
    measure_expert_claims(
        visit(SETTINGS, tables={LIAR: liar_table(), JUDGED: answers_table()}, seed=3)
    )
    assert [name for name, _ in stub.calls] == [LIAR] * 6 + [JUDGED] * 6
    seeds = [config.seed for _, config in stub.calls]
    assert seeds == [6, 6, 6, 7, 7, 7] * 2
    for name, config in stub.calls:
        assert replace(config, transformer=MEMBER, seed=0) == replace(
            CONFIG,
            fields=("statement",) if name == LIAR else ("question", "answer"),
            mark_repeats=name == JUDGED,
            folds=SETTINGS.folds,
        )


def test_no_ceiling_is_claimed_for_claims_of_the_world(stub):
    result = measure_expert_claims(visit(SETTINGS, tables={LIAR: liar_table()}))
    assert list(result.corpora[0].by_name) == [EXPERTS, TWIN, WIDE, MAJORITY]


def test_wrong_counts_are_not_compared(stub, monkeypatch):
    def unequal(transformer, **sizes):
        return encoders_from(transformer, **sizes) | {TWIN: replace(transformer, d_ff=12)}

    monkeypatch.setattr(expert_claims, "encoders_from", unequal)
    with pytest.raises(AssertionError):
        measure_expert_claims(visit(SETTINGS, tables={LIAR: liar_table()}))


def test_encoders_see_the_same_rows_equally_often(monkeypatch):
    seen = []
    monkeypatch.setattr(
        ClassificationTask,
        "batch",
        lambda task, step, original=ClassificationTask.batch, **options: record(
            seen, original(task, step, **options)
        ),
    )
    corpus = make_corpus(JUDGED, answers_table(60))
    config = replace(CONFIG, fields=corpus.fields["text"], mark_repeats=True, patience=1)
    # So high a rate that nothing gets better, which would stop a member that has no patience.
    member = replace(MEMBER, learning_rate=1.0, epochs=6)
    batches = {}
    for name, encoder in encoders_from(member, num_experts=4, top_k=2).items():
        train_encoder(corpus, replace(config, transformer=encoder))
        batches[name], seen[:] = list(seen), []
    assert len(batches[TWIN]) == 2 * 6  # folds, epochs of one batch
    for other in (EXPERTS, WIDE):
        for ours, theirs in zip(batches[TWIN], batches[other], strict=True):
            assert torch.equal(ours.input_ids, theirs.input_ids)
            assert torch.equal(ours.targets, theirs.targets)


def record(seen, batch):
    seen.append(batch)
    return batch


def test_planted_word_is_found_with_experts_and_without():
    corpus = make_corpus(JUDGED, answers_table(300))
    truth = np.array(corpus.valid_labels) == "true"
    member = TransformerMember(
        d_model=16, epochs=6, learning_rate=1e-2, weight_decay=0.1, dropout=0.0, token_dropout=0.0
    )
    config = replace(CONFIG, fields=("question", "answer"), mark_repeats=True, batch_size=16)
    encoders = encoders_from(member, num_experts=4, top_k=2)
    for name in (EXPERTS, TWIN):
        trained = train_encoder(corpus, replace(config, transformer=encoders[name]))
        assert np.mean((trained.probabilities[:, 1] > 0.5) == truth) > 0.75


def test_uses_do_not_depend_on_the_batches(monkeypatch):
    member = MEMBER.with_experts(4)
    model = SparseTransformer(
        replace(member, n_layers=2).model_config(vocab_size=20, num_classes=2)
    ).eval()
    ids = torch.randint(20, (30, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(7) < torch.arange(30)[:, None] % 7 + 1
    rows = Batch(ids, torch.zeros(30, dtype=torch.long), mask)
    with torch.no_grad(), record_experts(model) as outputs:
        model(ids, mask)
    found = expert_uses(model, rows)
    for use, output in zip(found, outputs.values(), strict=True):
        counts = output.routing.counts
        assert counts.sum() == 2 * mask.sum()
        assert use.load == pytest.approx((counts / counts.sum()).tolist())
    monkeypatch.setattr("sparse_transformers.experiments.expert_claims.encoders.ROWS_AT_ONCE", 4)
    in_parts = expert_uses(model, rows)
    assert [use.load for use in in_parts] == [use.load for use in found]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_seeds": 0}, "n_seeds must be a whole number of at least 1, got 0"),
        ({"folds": 1}, "folds must be a whole number of at least 2, got 1"),
        ({"num_experts": 0}, "num_experts must be a whole number of at least 1, got 0"),
        ({"top_k": 0}, "top_k must be a whole number of at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        replace(SETTINGS, **values)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (replace(SETTINGS, top_k=3, num_experts=8), r"top_k must divide d_ff \(8\), got 3"),
        (replace(SETTINGS, num_experts=1), "top_k must be at most num_experts"),
        (
            replace(
                SETTINGS, claims=replace(SETTINGS.claims, claims=replace(CONFIG, transformer=None))
            ),
            "settings.claims must have a transformer to read LIAR, got None",
        ),
    ],
)
def test_settings_without_a_fair_twin_are_refused_before_training(stub, settings, message):
    with pytest.raises(ValueError, match=message):
        measure_expert_claims(visit(settings, tables={LIAR: liar_table()}))
    assert not stub.calls
