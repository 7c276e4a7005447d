import dataclasses
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from visits import visit

from sparse_transformers.demos.statements import StatementTask, make_statement_corpus
from sparse_transformers.experiments.expert_routing import SECTION
from sparse_transformers.experiments.expert_routing.figures import (
    draw_balance,
    draw_capacity,
    draw_close_up,
    draw_flow,
    draw_routing,
    draw_specialization,
    flow_page,
    flow_stages,
    plot_statistics,
    specialization_scores,
)
from sparse_transformers.experiments.expert_routing.measure import (
    WITH_CAPACITY,
    build_model,
    study_experts,
)
from sparse_transformers.experiments.expert_routing.records import (
    BEYOND,
    CLASSES,
    ExpertStudy,
    ExpertStudySettings,
    difference,
)
from sparse_transformers.experiments.expert_routing.report import (
    describe_balance,
    describe_capacity,
    describe_close_up,
    describe_routing,
    describe_specialization,
    findings,
    highlight,
    summarise,
)
from sparse_transformers.experiments.expert_routing.variants import (
    BALANCED,
    BALANCING,
    DENSE,
    FROZEN,
    HASH,
    LABELS,
    SHUFFLED,
    UNBALANCED,
    UNTRAINED,
    VARIANTS,
)
from sparse_transformers.experiments.expert_routing.watch import limit_capacity
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
VOCABULARY = 30


@pytest.fixture(autouse=True)
def figures_closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def study() -> ExpertStudy:
    return study_experts(visit(SMALL, seed=3))


def runs_of(study, variant):
    return [run for run in study.runs if run.variant == variant]


def routers_of(model):
    return [module for module in model.modules() if isinstance(module, Router)]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_as_many_active_weights_as_the_dense_one(name):
    dense, model = (
        build_model(VARIANTS[each], SMALL, vocab_size=VOCABULARY, seed=0) for each in (DENSE, name)
    )
    routers = sum(weight.numel() for each in routers_of(model) for weight in each.parameters())
    assert model.num_active_parameters() - routers == dense.num_parameters()
    layers = [module for module in model.modules() if isinstance(module, MoELayer)]
    assert len(layers) == (0 if name == DENSE else SMALL.n_layers)


def test_only_the_frozen_router_keeps_its_weights_while_its_model_learns():
    corpus = make_statement_corpus(200, seq_len=16)
    for name in (FROZEN, UNBALANCED):
        model, first = (
            build_model(VARIANTS[name], SMALL, vocab_size=len(corpus.vocabulary), seed=1)
            for _ in range(2)
        )
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


def test_every_variant_runs_with_every_seed_and_the_result_survives_json(study):
    pairs = [(name, seed) for seed in (3, 4) for name in VARIANTS]
    assert [(run.variant, run.seed) for run in study.runs] == pairs
    assert from_json(ExpertStudy, json.loads(json.dumps(to_json(study)))) == study
    for run in study.runs:
        assert [snapshot.step for snapshot in run.snapshots] == [0, 3, 6]
        assert (
            run.snapshots[-1].bits_per_word > study.floor_bits
        )  # lower than the grammar's own entropy is a leak
        n_layers = 0 if run.variant == DENSE else 2
        assert len(run.layers) == len(run.scores) == n_layers
        assert len(run.first_scores) == (2 if run.variant == BALANCED else 0)
        assert bool(run.capacities) == (run.variant in WITH_CAPACITY)
        assert run.snapshots[-1].saturation == (1.0,) * n_layers
        violations = tuple(layer.max_violation for layer in run.layers)
        assert run.snapshots[-1].max_violation == violations
    for run in runs_of(study, UNBALANCED):  # whose router has moved since the start
        assert max(run.snapshots[0].saturation) < 1
        assert run.snapshots[0].max_violation != run.snapshots[-1].max_violation
    corpus = make_statement_corpus(SMALL.n_statements, seq_len=SMALL.seq_len, seed=3)
    floor = StatementTask(corpus, max_valid_rows=SMALL.valid_rows).floor_nats / np.log(2)
    assert study.floor_bits == pytest.approx(floor)


def test_scores_stand_beside_controls_that_behave_as_they_must(study):
    for run in runs_of(study, HASH):
        for layer in run.scores:
            assert tuple(layer) == CLASSES
            assert layer["word"].score == pytest.approx(1)
            assert layer[BEYOND].information_bits == layer[BEYOND].null_bits == 0
    n_words = SMALL.valid_rows * SMALL.seq_len
    for run in runs_of(study, BALANCED):
        assert all(each.n_entries == n_words for layer in run.scores for each in layer.values())
        # Words are tokens by themselves, kinds belong to whole statements.
        assert run.scores[0]["word"].n_units == n_words
        assert run.scores[0][BEYOND].n_units < n_words / 6
        assert run.scores != run.first_scores


def test_less_room_drops_more_and_leaves_the_model_as_it_was(study):
    for name in WITH_CAPACITY:
        for run in runs_of(study, name):
            tight, even, dropless = run.capacities
            assert tight.dropped_share >= 0.5  # half of the room can hold half of the words
            assert tight.dropped_share > even.dropped_share > dropless.dropped_share == 0
            assert (tight.factor, dropless.factor) == (0.5, None)
            assert dropless.bits_per_word == pytest.approx(
                run.snapshots[-1].bits_per_word, abs=1e-4
            )
    model = build_model(VARIANTS[BALANCED], SMALL, vocab_size=VOCABULARY, seed=0).eval()
    for router in routers_of(model):
        router.capacity_factor = 0.7
    limit_capacity(model, torch.randint(30, (2, 9)), (0.5,))
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
    model = build_model(VARIANTS[BALANCED], SMALL, vocab_size=len(corpus.vocabulary), seed=3)
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


def test_tables_hold_what_the_runs_hold(study):
    for run in study.runs:
        place = (run.variant, run.seed)
        assert study.bits()[place] == run.snapshots[-1].bits_per_word
        for layer, statistics in enumerate(run.layers):
            assert study.violations(layer)[place] == statistics.max_violation
            for classes, score in run.scores[layer].items():
                assert study.scores(classes, layer)[place] == score.score
                highs = study.scores(classes, layer, "null_high_score")
                assert highs[place] == score.null_high_score
        for layer, first in enumerate(run.first_scores):
            before = study.scores("word", layer)[UNTRAINED, run.seed]
            assert before == first["word"].score
    assert set(study.scores("word", 0).index.get_level_values(0)) == {*VARIANTS, UNTRAINED} - {
        DENSE
    }


def texts_of(figure):
    return {
        text.get_text()
        for ax in figure.axes
        for text in (*ax.get_yticklabels(), *(ax.get_legend().texts if ax.get_legend() else ()))
    }


def labels_of(names):
    return {LABELS[name] for name in names}


def test_figures_show_every_variant_and_all_classes(study):
    assert labels_of(VARIANTS) <= texts_of(draw_balance(study))
    assert labels_of((UNBALANCED, *BALANCING, HASH)) <= texts_of(draw_routing(study))
    assert labels_of(WITH_CAPACITY) <= texts_of(draw_capacity(study))
    controls = labels_of((BALANCED, UNTRAINED, FROZEN, HASH, SHUFFLED))
    assert {*CLASSES, *controls} <= texts_of(draw_specialization(study))
    assert {f"without {expert}" for expert in range(4)} <= texts_of(draw_close_up(study))
    assert len(draw_flow(study).axes) == 1
    assert "layer 2: expert 3" in flow_page(study)


def lines_of(ax, name):
    """The points of the lines in the colour that the legend gives the variant."""
    handles, labels = ax.get_legend_handles_labels()
    color = dict(zip(labels, handles, strict=True))[LABELS[name]].get_color()
    return [
        line.get_xydata()
        for line in ax.lines
        if line.get_color() == color and len(line.get_xdata())
    ]


def test_balance_is_the_mean_over_the_seeds(study):
    ax = draw_balance(study).axes[0]
    for name in (UNBALANCED, *BALANCING):
        values = np.array(
            [[each.max_violation[-1] for each in run.snapshots] for run in runs_of(study, name)]
        )
        (line,) = lines_of(ax, name)
        np.testing.assert_allclose(line, np.stack([[0, 3, 6], values.mean(0)], axis=1))


def test_quality_has_a_dot_for_each_seed_and_a_bar_at_their_mean(study):
    ax = draw_balance(study).axes[1]
    rows = [label.get_text() for label in ax.get_yticklabels()]
    assert rows == [variant.label for variant in VARIANTS.values()]
    dots = np.concatenate(
        [each.get_offsets() for each in ax.collections if len(each.get_offsets())]
    )
    means = np.concatenate([line.get_xydata() for line in ax.lines if len(line.get_xdata())])
    means = means[np.isfinite(means).all(1)]
    for place, name in enumerate(VARIANTS):
        bits = [run.snapshots[-1].bits_per_word for run in runs_of(study, name)]
        assert sorted(dots[dots[:, 1] == place, 0]) == pytest.approx(sorted(bits))
        assert means[means[:, 1] == place, 0] == pytest.approx([np.mean(bits)])


def test_capacities_are_means_over_seeds_and_no_limit_stands_apart(study):
    for ax, field in zip(
        draw_capacity(study).axes, ("dropped_share", "bits_per_word"), strict=True
    ):
        ticks = dict(
            zip([t.get_text() for t in ax.get_xticklabels()], ax.get_xticks(), strict=True)
        )
        assert list(ticks) == ["0.5", "1", "no limit"]
        border = next(line for line in ax.lines if line.get_linestyle() == ":").get_xdata()[0]
        assert 1 < border < ticks["no limit"]
        apart = ax.collections[-1].get_offsets()
        assert set(apart[:, 0]) == {ticks["no limit"]}
        unlimited = []
        for name in WITH_CAPACITY:
            values = np.array(
                [[getattr(each, field) for each in run.capacities] for run in runs_of(study, name)]
            )
            np.testing.assert_allclose(
                lines_of(ax, name)[0], np.stack([[0.5, 1], values[:, :2].mean(0)], axis=1)
            )
            unlimited += values[:, 2].tolist()
        assert sorted(apart[:, 1]) == pytest.approx(sorted(unlimited))


@pytest.mark.parametrize(
    "write",
    [
        *(part.describe for part in SECTION.parts),
        summarise,
        lambda study: "\n".join(findings(study)),
    ],
)
def test_texts_are_finished(study, write):
    text = write(study)
    assert text
    assert not re.search(r"\bnan\b|\{|\}|None", text)


def with_third_seed(study):
    """The runs, and those of the second seed once more: two seeds are too few for a verdict."""
    return (*study.runs, *(dataclasses.replace(run, seed=5) for run in study.runs if run.seed == 4))


def with_scores(study, score_of):
    """The study with other scores `BEYOND`, by variant and seed."""
    runs = []
    for run in with_third_seed(study):
        scores = tuple(
            {**layer, BEYOND: dataclasses.replace(layer[BEYOND], score=score_of(run))}
            for layer in run.scores
        )
        runs.append(dataclasses.replace(run, scores=scores))
    return dataclasses.replace(study, runs=tuple(runs))


@pytest.mark.parametrize(
    ("gain", "verdict", "spelt"),
    [
        (0.2, "Learned routing is more informative than frozen routing", "+0.200"),
        (-0.2, "Learned routing is less informative than frozen routing", "-0.200"),
        # above zero, but within what the seeds differ
        (1e-5, "between learned routing and frozen routing is not shown", "+0.000"),
        (-1e-5, "between learned routing and frozen routing is not shown", "-0.000"),
    ],
)
def test_verdict_on_specialization_follows_from_the_numbers(study, gain, verdict, spelt):
    def score(run):
        # The seeds differ by more than the gain, which is therefore looked at pair by pair.
        common = 0.302 + 0.01 * run.seed
        of_variant = {FROZEN: common, BALANCED: common + gain + 1e-4 * run.seed - 4e-4}
        return of_variant.get(run.variant, common + 0.6)

    changed = with_scores(study, score)
    assert f"{verdict}: {spelt}" in findings(changed)[0]
    assert all(f"{verdict}: {spelt}" in ax.get_title() for ax in draw_specialization(changed).axes)
    # Without a balance loss, 0.9 beside the frozen router's 0.3.
    assert "without it, the gain over frozen routing is +0.600" in findings(changed)[1]
    assert "in layer 2: +0.600" in describe_specialization(changed)
    shown = highlight(changed)
    assert shown.found.startswith(f"learned router: {0.342 + gain:.0%} [")
    assert re.fullmatch(rf"frozen router: 34% \[.*\]; gain {re.escape(spelt)} \[.*\]", shown.beside)


def with_amounts(study, amounts):
    """Other violations in layer 2 and bits per word: some variants' less those of no balancing."""

    def changed(run, more_violation, more_bits):
        noise = 1e-4 * (run.seed - 3.5)
        first, second = run.layers
        layers = (
            dataclasses.replace(first, max_violation=1.0 + 3 * noise * (run.variant == UNBALANCED)),
            dataclasses.replace(second, max_violation=1.0 + more_violation + noise),
        )
        last = dataclasses.replace(run.snapshots[-1], bits_per_word=3 + more_bits + noise)
        return dataclasses.replace(run, layers=layers, snapshots=(*run.snapshots[:-1], last))

    runs = []
    for run in with_third_seed(study):
        if run.variant == DENSE:
            runs.append(run)
            continue
        violation, bits = amounts.get(run.variant, (0.0, 0.0))
        if run.variant != UNBALANCED and run.seed == 4:
            # The noise is the same in all, so without this there would be no spread.
            violation, bits = violation + 2e-4, bits + 2e-4
        runs.append(changed(run, violation, bits))
    return dataclasses.replace(study, runs=tuple(runs))


@pytest.mark.parametrize(
    ("violation", "bits", "n_even", "n_costs"),
    [(-0.5, 0.2, 1, 1), (-0.5, -0.2, 1, 0), (0.5, 0.0, 0, 0), (0.0, 0.0, 0, 0)],
)
def test_verdict_on_balance_follows_from_the_numbers(study, violation, bits, n_even, n_costs):
    changed = with_amounts(study, {"bias": (violation, bits)})
    label = LABELS["bias"]
    row = next(line for line in summarise(changed).splitlines() if line.startswith(f"| {label} |"))
    assert f"| {bits + 1e-4:+.3f} [" in row
    star = r"\*" if violation else ""
    assert row.endswith(f"| 1.0 / {1 + violation:.1f}{'0' * (violation < 0)}{star} |")
    assert summarise(changed) in describe_balance(changed)
    balance, quality = draw_balance(changed).axes
    assert f"shown for {n_even} of 4 ways" in balance.get_title()
    assert f"shown for {n_costs} of 4 ways" in quality.get_title()


def test_cost_of_balance_is_told_of_the_main_variant(study):
    changed = with_amounts(study, {BALANCED: (-0.5, 0.2)})
    told = findings(changed)[1]
    assert re.search(r"changes the maximal violation by -0\.50 \[", told)
    assert re.search(r", the loss by \+0\.200 bits \[", told)


@pytest.mark.parametrize(
    ("bits", "verdict"),
    [(2.0, "is above that of the dense"), (4.0, "is below that of the dense"), (3.0, "not shown")],
)
def test_experts_are_compared_with_the_dense_model(study, bits, verdict):
    changed = with_amounts(study, {})
    runs = []
    for run in changed.runs:
        if run.variant == DENSE:
            last = dataclasses.replace(run.snapshots[-1], bits_per_word=bits)
            run = dataclasses.replace(run, snapshots=(*run.snapshots[:-1], last))
        runs.append(run)
    text = describe_balance(dataclasses.replace(changed, runs=tuple(runs)))
    assert re.search(rf"the loss with experts.*{verdict}", text)


def test_saturation_is_told_as_it_was_measured(study):
    snapshots = [run.snapshots[0] for run in runs_of(study, BALANCED)]  # a quarter is nearest to 0
    share = np.mean([share for snapshot in snapshots for share in snapshot.saturation])
    by_chance = np.mean([share for each in snapshots for share in each.saturation_by_chance])
    told = re.search(r"After (\d) of 6 steps, (\d+)% .* (\d+)% by chance", describe_balance(study))
    steps, stand, chance = map(int, told.groups())
    assert steps == 0
    assert (stand, chance) == (round(100 * share), round(100 * by_chance))


def test_load_is_told_as_means_over_layers_and_seeds(study):
    ax = plot_statistics(study)
    layers = [layer for run in runs_of(study, "noisy") for layer in run.layers]
    rows = [label.get_text() for label in ax.get_yticklabels()]
    drawn = np.reshape([text.get_text() for text in ax.texts], (len(rows), -1)).astype(float)
    cells = drawn[rows.index("noisy top-k")]
    fields = (
        "coefficient_of_variation",
        "normalised_entropy",
        "dead_experts",
        "normalised_router_entropy",
        "margin",
        "repeat_rate",
        "repeat_rate_by_chance",
    )
    means = [np.mean([getattr(layer, field) for layer in layers]) for field in fields]
    assert cells == pytest.approx(means, rel=0.06, abs=1e-9)
    assert "dense" not in rows
    main = runs_of(study, BALANCED)[0]
    assert (
        f"{main.n_active_parameters:,} of {main.n_parameters:,} weights are active"
        in describe_routing(study)
    )


def test_drops_are_told_at_room_for_the_even_load(study):
    points = [
        [run.capacities[1] for run in runs_of(study, name)] for name in WITH_CAPACITY
    ]  # of each variant, by seed
    dropped = [np.mean([point.dropped_share for point in each]) for each in points]
    bits = [np.mean([point.bits_per_word for point in each]) for each in points]
    shares, losses = draw_capacity(study).axes
    assert f"of 1, {min(dropped):.0%} to {max(dropped):.0%}" in shares.get_title()
    assert f"of 1: {min(bits):.2f} to {max(bits):.2f} bits" in losses.get_title()
    assert f"share of {SMALL.seq_len} words" in describe_capacity(study)


def test_ablations_are_drawn_beyond_two_standard_errors(study):
    errors = np.full((4, 8), 0.5)
    bits = np.zeros((4, 8))
    bits[2, 5], bits[2, 1], bits[0, 0], bits[1, 0] = 40.0, -30.0, 1.01, -0.99
    close_up = dataclasses.replace(
        study.close_up,
        added_bits=(*study.close_up.added_bits[:-1], tuple(map(tuple, bits.tolist()))),
        errors_bits=(*study.close_up.errors_bits[:-1], tuple(map(tuple, errors.tolist()))),
    )
    changed = dataclasses.replace(study, close_up=close_up)
    ax = draw_close_up(changed).axes[0]
    assert "up to 40.00 bits" in ax.get_title()
    drawn = np.reshape([text.get_text() for text in ax.texts], bits.shape)
    assert (drawn[2, 5], drawn[2, 1], drawn[0, 0]) == ("40.00", "-30.00", "1.01")
    assert (drawn != "").sum() == 3
    assert "0.500 to 0.500 bits" in describe_close_up(changed)


def test_few_seeds_are_called_too_few(study):
    assert "2 seeds are too few" in describe_specialization(study)
    assert findings(study)[0].startswith("2 seeds, ")
    enough = dataclasses.replace(study, settings=dataclasses.replace(SMALL, n_seeds=5))
    assert "too few" not in describe_specialization(enough)


def test_one_seed_shows_nothing(study):
    one = dataclasses.replace(
        study,
        settings=dataclasses.replace(SMALL, n_seeds=1),
        runs=tuple(run for run in study.runs if run.seed == 3),
    )
    assert "learned routing and frozen routing is not shown" in findings(one)[0]
    for part in SECTION.parts:
        part.draw(one)
        assert part.describe(one)


def test_scores_are_drawn_for_each_seed(study):
    scores, runs = specialization_scores(study, layer=1), runs_of(study, BALANCED)
    assert scores[LABELS[BALANCED]]["word"] == [run.scores[1]["word"].score for run in runs]
    before = [run.first_scores[1]["word"].score for run in runs]
    assert scores[LABELS[UNTRAINED]]["word"] == before
    highs = [run.scores[1]["word"].null_high_score for run in runs]
    assert scores[LABELS[SHUFFLED]]["word"] == highs


def test_intervals_are_those_of_the_seeds(study):
    three = dataclasses.replace(study, runs=with_third_seed(study))
    gap = difference(three.bits(), HASH, UNBALANCED)
    pairs = zip(runs_of(three, HASH), runs_of(three, UNBALANCED), strict=True)
    gaps = [one.snapshots[-1].bits_per_word - two.snapshots[-1].bits_per_word for one, two in pairs]
    assert gap.estimate == pytest.approx(np.mean(gaps))
    half = 4.3027 * np.std(gaps, ddof=1) / np.sqrt(3)  # Student's t, two degrees of freedom
    assert gap.high - gap.estimate == pytest.approx(half, rel=1e-4)


def test_two_seeds_have_no_interval(study):
    for text in (*findings(study), summarise(study), describe_specialization(study)):
        assert not re.search(r"\[[-+\d]", text)
    assert "is not shown: " in findings(study)[0]
