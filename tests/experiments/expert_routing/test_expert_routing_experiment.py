import dataclasses
import json
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sparse_transformers.demos.statements import StatementTask, make_statement_corpus
from sparse_transformers.experiments.expert_routing.figures import (
    UNTRAINED,
    draw_balance,
    draw_capacity,
    draw_close_up,
    draw_flow,
    draw_routing,
    draw_specialization,
    flow_page,
    flow_stages,
    specialization_intervals,
)
from sparse_transformers.experiments.expert_routing.measure import WITH_CAPACITY, study_experts
from sparse_transformers.experiments.expert_routing.records import (
    LABELS,
    ExpertStudy,
    ExpertStudySettings,
)
from sparse_transformers.experiments.expert_routing.report import (
    BEYOND,
    bits_beyond,
    describe_balance,
    describe_capacity,
    describe_close_up,
    describe_flow,
    describe_routing,
    describe_specialization,
    summarise_balance,
    summarise_specialization,
)
from sparse_transformers.experiments.expert_routing.variants import (
    ARMS,
    BALANCED,
    BALANCING,
    DENSE,
    FROZEN,
    HASH,
    UNBALANCED,
    build_model,
)
from sparse_transformers.experiments.expert_routing.watch import ask_with_capacity
from sparse_transformers.interpretability.expert_ablation import without_expert
from sparse_transformers.models.experts.layer import MoELayer, record_experts
from sparse_transformers.models.experts.router import Router
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.trainer import Trainer
from sparse_transformers.utils.records import from_json, to_json

SMALL = ExpertStudySettings(
    n_statements=900,
    seq_len=40,
    d_model=16,
    n_heads=2,
    d_ff=8,
    num_experts=4,
    steps=6,
    batch_size=4,
    n_snapshots=2,
    valid_rows=16,
    n_seeds=2,
    capacity_factors=(0.5, 1.0),
    n_shuffles=5,
)
SIZES = {
    "vocab_size": 30,
    "d_model": 16,
    "n_heads": 2,
    "n_layers": 2,
    "num_experts": 4,
    "top_k": 2,
    "d_ff": 12,
}
DESCRIPTIONS = (
    describe_routing,
    describe_specialization,
    describe_balance,
    describe_capacity,
    describe_close_up,
    describe_flow,
    summarise_balance,
    summarise_specialization,
)


@pytest.fixture(scope="module")
def study() -> ExpertStudy:
    return study_experts(SMALL, seed=3)


def routers_of(model):
    return [module for module in model.modules() if isinstance(module, Router)]


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_has_as_many_active_weights_as_the_dense_one(name):
    dense, model = (build_model(ARMS[arm], **SIZES, seed=0) for arm in (DENSE, name))
    routers = sum(weight.numel() for each in routers_of(model) for weight in each.parameters())
    assert model.num_active_parameters() - routers == dense.num_parameters()
    layers = [module for module in model.modules() if isinstance(module, MoELayer)]
    assert len(layers) == (0 if name == DENSE else SIZES["n_layers"])


def test_only_the_frozen_router_keeps_its_weights_while_its_model_learns():
    corpus = make_statement_corpus(200, seq_len=16)
    for name in (FROZEN, UNBALANCED):
        sizes = {**SIZES, "vocab_size": len(corpus.vocabulary)}
        model, first = (build_model(ARMS[name], **sizes, seed=1) for _ in range(2))
        config = TrainingConfig(steps=2, batch_size=2, device="cpu", progress=False)
        Trainer(model, StatementTask(corpus, max_valid_rows=1), config).train()
        for now, before in zip(routers_of(model), routers_of(first), strict=True):
            assert torch.equal(now.gate.weight, before.gate.weight) == (name == FROZEN)
        changed = [
            parameter_name
            for parameter_name, weight in model.named_parameters()
            if not torch.equal(weight, first.get_parameter(parameter_name))
        ]
        assert any("experts" in parameter_name for parameter_name in changed)


def test_every_arm_runs_with_every_seed_and_the_result_survives_json(study):
    assert [(run.arm, run.seed) for run in study.runs] == [(a, s) for s in (3, 4) for a in ARMS]
    assert from_json(ExpertStudy, json.loads(json.dumps(to_json(study)))) == study
    for run in study.runs:
        assert [snapshot.step for snapshot in run.snapshots] == [0, 3, 6]
        assert run.final_bits > study.floor_bits  # lower than the grammar's own entropy is a leak
        n_layers = 0 if run.arm == DENSE else 2
        assert len(run.layers) == len(run.scores) == n_layers
        assert len(run.first_scores) == (2 if run.arm == BALANCED else 0)
        assert bool(run.capacities) == (run.arm in WITH_CAPACITY)
        assert run.snapshots[-1].saturation == (1.0,) * n_layers
        violations = tuple(layer.max_violation for layer in run.layers)
        assert run.snapshots[-1].max_violation == violations
    for run in study.runs_of(UNBALANCED):  # whose router has moved since the start
        assert max(run.snapshots[0].saturation) < 1
        assert run.snapshots[0].max_violation != run.snapshots[-1].max_violation
    corpus = make_statement_corpus(SMALL.n_statements, seq_len=SMALL.seq_len, seed=3)
    floor = StatementTask(corpus, max_valid_rows=SMALL.valid_rows).floor_nats / np.log(2)
    assert study.floor_bits == pytest.approx(floor)


def test_scores_stand_beside_controls_that_behave_as_they_must(study):
    for run in study.runs_of(HASH):
        for layer in run.scores:
            assert set(layer) == set(LABELS)
            assert layer["word"].score == pytest.approx(1)
            assert layer[BEYOND].information_bits == layer[BEYOND].null_bits == 0
    n_words = SMALL.valid_rows * SMALL.seq_len
    for run in study.runs_of(BALANCED):
        assert all(each.n_entries == n_words for layer in run.scores for each in layer.values())
        # Words are tokens by themselves, kinds belong to whole statements.
        assert run.scores[0]["word"].n_units == n_words
        assert run.scores[0]["kind"].n_units < n_words / 6
        assert run.scores != run.first_scores


def test_less_room_drops_more_and_leaves_the_model_as_it_was(study):
    for arm in WITH_CAPACITY:
        for run in study.runs_of(arm):
            tight, even, dropless = run.capacities
            assert tight.dropped_share >= 0.5  # half of the room can hold half of the words
            assert tight.dropped_share > even.dropped_share > dropless.dropped_share == 0
            assert (tight.factor, dropless.factor) == (0.5, None)
            assert dropless.bits_per_word == pytest.approx(run.final_bits, abs=1e-4)
    model = build_model(ARMS[BALANCED], **SIZES, seed=0).eval()
    for router in routers_of(model):
        router.capacity_factor = 0.7
    ask_with_capacity(model, torch.randint(30, (2, 9)), (0.5,))
    assert not any(module.training for module in model.modules())
    assert all(router.capacity_factor == 0.7 for router in routers_of(model))


def test_close_up_counts_every_word_and_measures_what_it_says(study):
    paths, settings = study.close_up.paths, study.settings
    n_words = settings.valid_rows * settings.seq_len
    assert sum(path.n_words for path in paths) == n_words
    stages = flow_stages(study)
    assert list(stages) == ["kind", "layer 1", "layer 2"]
    assert all(len(stage) == n_words for stage in stages.values())
    routed = study.close_up.routed
    assert routed.words[-1] == "."
    np.testing.assert_allclose(np.sum(routed.probabilities, axis=1), 1, rtol=1e-5)
    for chosen, probabilities in zip(routed.chosen, routed.probabilities, strict=True):
        assert set(chosen) == set(np.argsort(probabilities)[-settings.top_k :])

    corpus = make_statement_corpus(settings.n_statements, seq_len=settings.seq_len, seed=3)
    sizes = {size: getattr(settings, size, len(corpus.vocabulary)) for size in SIZES}
    model = build_model(ARMS[BALANCED], **sizes, seed=3)
    config = TrainingConfig(
        steps=settings.steps,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        seed=3,
        device="cpu",
        progress=False,
    )
    Trainer(model, StatementTask(corpus, max_valid_rows=1), config).train()
    rows = corpus.valid[: settings.valid_rows]
    with torch.no_grad(), record_experts(model) as outputs:
        model(rows[:1, :-1])
    start = corpus.labels.position[0].tolist().index(0, 1)
    of_last_layer = list(outputs.values())[-1].routing.probabilities[start]
    np.testing.assert_allclose(routed.probabilities[0], of_last_layer, atol=1e-5)

    profiles = np.zeros((4, 8))
    for path in paths:
        profiles[path.experts[-1], study.close_up.kinds.index(path.kind)] += path.n_words
    profiles /= profiles.sum(0)
    lengths = np.sqrt((profiles**2).sum(1))
    cosines = profiles @ profiles.T / np.outer(lengths, lengths)
    np.testing.assert_allclose(study.close_up.similarity, cosines, rtol=1e-9)

    def bits_of_kind(kind):
        with torch.no_grad():
            logits = model(rows[:, :-1]).flatten(0, 1)
        losses = F.cross_entropy(logits, rows[:, 1:].flatten(), reduction="none")
        return float(losses[corpus.labels.kind[: len(rows)].flatten() == kind].mean() / np.log(2))

    layer = [module for module in model.modules() if isinstance(module, MoELayer)][1]
    intact = bits_of_kind(5)
    with without_expert(layer, 2):
        without = bits_of_kind(5)
    assert study.close_up.added_bits[1][2][5] == pytest.approx(without - intact, abs=1e-6)
    assert np.shape(study.close_up.errors_bits) == np.shape(study.close_up.added_bits) == (2, 4, 8)
    assert 0 < np.min(study.close_up.errors_bits) < np.max(np.abs(study.close_up.added_bits))


def test_figures_show_every_arm_and_every_label(study):
    def texts(figure):
        return {
            text.get_text()
            for ax in figure.axes
            for text in (*ax.get_yticklabels(), *(ax.get_legend().texts if ax.get_legend() else ()))
        }

    assert {ARMS[arm].label for arm in ARMS} <= texts(draw_balance(study))
    assert {ARMS[arm].label for arm in (*BALANCING, HASH)} <= texts(draw_routing(study))
    assert {ARMS[arm].label for arm in WITH_CAPACITY} <= texts(draw_capacity(study))
    assert set(LABELS) <= texts(draw_specialization(study))
    assert {f"without {expert}" for expert in range(4)} <= texts(draw_close_up(study))
    assert len(draw_flow(study).axes) == 1
    assert "layer 2: expert 3" in flow_page(study)


@pytest.mark.parametrize("describe", DESCRIPTIONS)
def test_descriptions_are_finished_text(study, describe):
    text = describe(study)
    assert text
    assert not re.search(r"\bnan\b|\{|\}|None", text)


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (0.2, "adds to it, +0.200"),
        (-0.2, "takes from it, -0.200"),
        (1e-5, "is not shown, +0.000"),  # above zero, but within what the seeds differ
        (-1e-5, "is not shown, -0.000"),
    ],
)
def test_verdict_on_specialization_follows_from_the_numbers(study, gain, verdict):
    runs = []
    for run in study.runs:
        score = 0.3 if run.arm in (BALANCED, FROZEN) else 0.9
        scores = tuple(
            {**layer, BEYOND: dataclasses.replace(layer[BEYOND], score=score + 0.01 * run.seed)}
            for layer in run.scores
        )
        if run.arm == BALANCED:
            # The seeds differ by more than the gain, which is therefore looked at pair by pair.
            scores = tuple(
                {
                    **layer,
                    BEYOND: dataclasses.replace(
                        layer[BEYOND], score=layer[BEYOND].score + gain + 1e-4 * run.seed - 35e-5
                    ),
                }
                for layer in scores
            )
        runs.append(dataclasses.replace(run, scores=scores))
    changed = dataclasses.replace(study, runs=tuple(runs))
    for describe in (describe_specialization, summarise_specialization):
        assert verdict in describe(changed)
    # Without a balance loss, 0.9 beside the frozen router's 0.3.
    assert "without a balance loss, which the frozen router has not either, +0.600" in (
        summarise_specialization(changed)
    )


@pytest.mark.parametrize(
    ("violation", "bits", "verdict"),
    [
        (-0.5, 0.2, "evens out the load of layer 2; it costs 0.200 bits per word"),
        (-0.5, -0.2, "evens out the load of layer 2; it gains 0.200 bits per word"),
        (0.5, 0.0, "is not shown to even out any load; a difference in bits per word is not shown"),
    ],
)
def test_verdict_on_balance_follows_from_the_numbers(study, violation, bits, verdict):
    def changed(run, more_violation, more_bits):
        noise = 1e-4 * (run.seed - 3.5)
        first, second = run.layers
        layers = (
            dataclasses.replace(first, max_violation=1.0),
            dataclasses.replace(second, max_violation=1.0 + more_violation + noise),
        )
        last = dataclasses.replace(run.snapshots[-1], bits_per_word=3 + more_bits + noise)
        return dataclasses.replace(run, layers=layers, snapshots=(*run.snapshots[:-1], last))

    amounts = {UNBALANCED: (0.0, 0.0), "bias": (violation, bits)}
    runs = [changed(run, *amounts[run.arm]) for run in study.runs if run.arm in amounts]
    for run in runs:  # the noise is the same in both, so without this there would be no spread
        if run.arm == "bias" and run.seed == 4:
            runs[runs.index(run)] = changed(run, violation + 2e-4, bits + 2e-4)
    others = [run for run in study.runs if run.arm not in amounts]
    text = describe_balance(dataclasses.replace(study, runs=(*runs, *others)))
    assert f"*{ARMS['bias'].label}* {verdict}" in text


def test_saturation_is_told_as_it_was_measured(study):
    snapshots = [run.snapshots[0] for run in study.runs_of(BALANCED)]  # a quarter is nearest to 0
    share = np.mean([share for snapshot in snapshots for share in snapshot.saturation])
    by_chance = np.mean([share for each in snapshots for share in each.saturation_by_chance])
    told = re.search(r"After (\d) of 6 steps, (\d+)% .* against (\d+)%", describe_balance(study))
    steps, stand, chance = map(int, told.groups())
    assert steps == 0
    assert (stand, chance) == (round(100 * share), round(100 * by_chance))


def test_few_seeds_are_called_too_few(study):
    assert "2 seeds are too few" in describe_routing(study)
    enough = dataclasses.replace(study, settings=dataclasses.replace(SMALL, n_seeds=5))
    assert "too few" not in describe_routing(enough)


def test_intervals_are_those_of_the_seeds(study):
    intervals = specialization_intervals(study, layer=1)
    scores = study.scores_of(BALANCED, "kind", 1)
    interval = intervals[ARMS[BALANCED].label]["kind"]
    assert interval.estimate == pytest.approx(np.mean(scores))
    half = 12.7062 * np.std(scores, ddof=1) / np.sqrt(2)  # Student's t with one degree of freedom
    assert interval.high - interval.estimate == pytest.approx(half, rel=1e-4)
    before = study.scores_of(BALANCED, "kind", 1, trained=False)
    assert intervals[UNTRAINED]["kind"].estimate == pytest.approx(np.mean(before))
    gap = bits_beyond(study, HASH, UNBALANCED)
    pairs = zip(study.runs_of(HASH), study.runs_of(UNBALANCED), strict=True)
    assert gap.estimate == pytest.approx(np.mean([a.final_bits - b.final_bits for a, b in pairs]))
