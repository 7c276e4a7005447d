"""Statistics of routing against loops over tokens in plain Python, and against closed forms."""

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_transformers.interpretability.routing_statistics import (
    LayerStatistics,
    RoutingStatistics,
    saturation,
    saturation_by_chance,
)
from sparse_transformers.models.experts.layer import MoELayer, record_experts
from sparse_transformers.models.experts.routers import ExpertChoiceRouter, SoftMoERouter, TopKRouter
from sparse_transformers.models.experts.routing import Routing
from sparse_transformers.utils.records import from_json, to_json

PADDING = None
SEEDS = st.integers(0, 2**16)


def routing(experts, num_experts, *, probabilities=None, n_dropped=0):
    """The routing in which each token of each sequence is read by the experts listed for it.

    The first one has the largest gate. PADDING stands for no token, an empty list for a token
    that no expert reads.
    """
    everyone = [token for sequence in experts for token in sequence]
    assignments = sorted(
        (expert, token, 1 / (1 + rank))
        for token, listed in enumerate(everyone)
        for rank, expert in enumerate(listed or [])
    )
    if probabilities is None:
        probabilities = [[float(t is not PADDING) / num_experts] * num_experts for t in everyone]
    return Routing(
        tokens=torch.tensor([token for _, token, _ in assignments], dtype=torch.long),
        experts=torch.tensor([expert for expert, _, _ in assignments], dtype=torch.long),
        gates=torch.tensor([gate for *_, gate in assignments]),
        probabilities=torch.as_tensor(probabilities, dtype=torch.float32).view(-1, num_experts),
        is_token=torch.tensor([[t is not PADDING for t in sequence] for sequence in experts]),
        n_chosen=len(assignments) + n_dropped,
    )


def compute(*routings):
    statistics = RoutingStatistics()
    for each in routings:
        statistics.update({"layer": each})
    return statistics.compute()["layer"]


def routed(seed, *, batch=3, seq=7, num_experts=5, top_k=2, capacity_factor=None, padded=True):
    """What a random router does with random tokens."""
    generator = torch.Generator().manual_seed(seed)
    router = TopKRouter(6, num_experts, top_k, capacity_factor=capacity_factor)
    with torch.no_grad():
        router.gate.weight.normal_(generator=generator)
    hidden = torch.randn(batch, seq, 6, generator=generator)
    is_token = torch.rand(batch, seq, generator=generator) < 0.8
    is_token[0, :2] = True
    return router(hidden, is_token if padded else torch.ones_like(is_token))


def by_loops(routings):
    """All statistics, with one loop over the tokens and no tensor operations."""
    num_experts = routings[0].num_experts
    reads = [0] * num_experts
    together = [[0] * num_experts for _ in range(num_experts)]
    firsts = [0] * num_experts
    n_tokens = n_pairs = n_repeats = 0
    entropies, margins = [], []
    for each in routings:
        experts_of = {}
        triples = zip(each.tokens.tolist(), each.experts.tolist(), each.gates.tolist(), strict=True)
        for token, expert, gate in triples:
            experts_of.setdefault(token, []).append((gate, expert))
        for sequence in range(each.is_token.shape[0]):
            previous = None
            for position in range(each.is_token.shape[1]):
                token = sequence * each.is_token.shape[1] + position
                first = None
                if each.is_token[sequence, position]:
                    n_tokens += 1
                    p = each.probabilities[token].tolist()
                    entropies.append(-sum(x * math.log(x) for x in p if x > 0))
                    p.sort()
                    margins.append(p[-1] - p[-2])
                    experts = [expert for _, expert in experts_of.get(token, [])]
                    for expert in experts:
                        reads[expert] += 1
                        for other in experts:
                            together[expert][other] += 1
                    if experts:
                        first = max(experts_of[token])[1]
                        firsts[first] += 1
                if first is not None and previous is not None:
                    n_pairs += 1
                    n_repeats += first == previous
                previous = first
    n_chosen = sum(each.n_chosen for each in routings)
    mean = sum(reads) / num_experts
    variance = sum((count - mean) ** 2 for count in reads) / num_experts
    shares = [count / sum(reads) for count in reads]
    router_entropy = sum(entropies) / n_tokens
    return {
        "n_tokens": n_tokens,
        "load": shares,
        "coefficient_of_variation": math.sqrt(variance) / mean,
        "max_violation": (max(reads) - mean) / mean,
        "normalised_entropy": -sum(s * math.log(s) for s in shares if s) / math.log(num_experts),
        "dead_experts": reads.count(0),
        "dropped_share": (n_chosen - sum(reads)) / n_chosen,
        "router_entropy": router_entropy,
        "normalised_router_entropy": router_entropy / math.log(num_experts),
        "margin": sum(margins) / n_tokens,
        "co_activation": [
            [pair / count for pair in row] if count else [None] * num_experts
            for row, count in zip(together, reads, strict=True)
        ],
        "repeat_rate": n_repeats / n_pairs if n_pairs else None,
        "repeat_rate_by_chance": sum((count / sum(firsts)) ** 2 for count in firsts),
    }


def assert_alike(statistics, expected):
    found = to_json(statistics)
    rows = zip(found.pop("co_activation"), expected.pop("co_activation"), strict=True)
    for row, expected_row in rows:
        assert row == (expected_row if None in expected_row else pytest.approx(expected_row))
    assert found == {name: pytest.approx(value, abs=1e-6) for name, value in expected.items()}


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([None, 0.5, 1.0]), st.integers(1, 3), st.integers(2, 6))
def test_statistics_equal_a_loop_over_the_tokens(seed, capacity_factor, top_k, num_experts):
    options = {"top_k": min(top_k, num_experts), "num_experts": num_experts}
    batches = [routed(seed + n, capacity_factor=capacity_factor, **options) for n in range(2)]
    assert_alike(compute(*batches), by_loops(batches))


@pytest.mark.parametrize("router", [ExpertChoiceRouter(6, 4, 1), SoftMoERouter(6, 4)])
def test_statistics_of_routers_that_see_all_equal_a_loop_over_the_tokens(router):
    generator = torch.Generator().manual_seed(0)
    is_token = torch.rand(4, 9, generator=generator) < 0.7
    each = router(torch.randn(4, 9, 6, generator=generator), is_token)
    assert_alike(compute(each), by_loops([each]))


def test_even_load():
    statistics = compute(routing([[[0], [1]], [[2], [3]]], 4))
    assert statistics.load == (0.25,) * 4
    assert (statistics.coefficient_of_variation, statistics.max_violation) == (0, 0)
    assert statistics.normalised_entropy == pytest.approx(1)
    assert statistics.dead_experts == 0
    assert (statistics.repeat_rate, statistics.repeat_rate_by_chance) == (0, 0.25)


def test_collapse():
    statistics = compute(routing([[[2], [2], [2]]], 4))
    assert statistics.load == (0, 0, 1, 0)
    assert statistics.coefficient_of_variation == pytest.approx(math.sqrt(3))
    assert statistics.max_violation == pytest.approx(3)
    assert (statistics.normalised_entropy, statistics.dead_experts) == (0, 3)
    assert (statistics.repeat_rate, statistics.repeat_rate_by_chance) == (1, 1)


@pytest.mark.parametrize(
    ("probabilities", "entropy", "margin"),
    [
        ([0.25, 0.25, 0.25, 0.25], math.log(4), 0.0),
        ([0.0, 1.0, 0.0, 0.0], 0.0, 1.0),
        ([0.5, 0.0, 0.0, 0.5], math.log(2), 0.0),
        ([0.1, 0.7, 0.2, 0.0], None, 0.5),
    ],
)
def test_entropy_and_margin_of_the_router(probabilities, entropy, margin):
    padding = [0.0] * 4
    experts = [[[0], [0], PADDING]]
    each = routing(experts, 4, probabilities=[probabilities, probabilities, padding])
    statistics = compute(each)
    assert statistics.margin == pytest.approx(margin)
    if entropy is not None:
        assert statistics.router_entropy == pytest.approx(entropy)
        assert statistics.normalised_router_entropy == pytest.approx(entropy / math.log(4))


def test_co_activation_is_a_share_of_the_row_and_counts_all_pairs():
    statistics = compute(routing([[[0, 1, 2], [0, 2], [0], [2, 0]]], 4))
    assert statistics.co_activation == (
        (1.0, 0.25, 0.75, 0.0),
        (1.0, 1.0, 1.0, 0.0),
        (1.0, pytest.approx(1 / 3), 1.0, 0.0),
        (None, None, None, None),
    )


@pytest.mark.parametrize(
    ("experts", "rate"),
    [
        ([[[0], [0]], [[0], [1]]], 1 / 2),  # and not 2 / 3: from sequence to sequence is no pair
        ([[[0], PADDING, [0]]], None),  # nor is it across padding
        ([[[0], [], [0]]], None),  # nor across a token that was dropped
        ([[PADDING, [1], [1]]], 1.0),
        ([[[0, 1], [1, 0]]], 0.0),  # the same experts, another first choice
        ([[[0, 1], [0, 2]]], 1.0),
        ([[[0]], [[0]]], None),
    ],
)
def test_repeats_are_counted_on_neighbours_only(experts, rate):
    assert compute(routing(experts, 3)).repeat_rate == rate


def test_dropped_share_is_of_what_was_chosen():
    assert compute(routing([[[0], [1], []]], 2, n_dropped=1)).dropped_share == pytest.approx(1 / 3)
    layer = routed(0, seq=40, capacity_factor=0.25, padded=False)
    assert compute(layer).dropped_share == layer.n_dropped / layer.n_chosen > 0.5


def test_token_that_no_expert_reads_counts_for_the_router_but_for_no_expert():
    probabilities = [[1.0, 0.0], [0.5, 0.5]]
    each = routing([[[0], []]], 2, probabilities=probabilities, n_dropped=1)
    statistics = compute(each)
    assert statistics.n_tokens == 2
    assert statistics.load == (1, 0)
    assert statistics.router_entropy == pytest.approx(math.log(2) / 2)
    assert statistics.repeat_rate_by_chance == 1


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 4), st.integers(0, 5))
def test_batches_add_up_to_one_big_batch(seed, size, padding):
    torch.manual_seed(seed)
    layer = MoELayer(6, 4, {"name": "top_k", "top_k": 2, "capacity_factor": 0.8}, d_ff=4)
    hidden, mask = torch.randn(4, 7, 6), torch.rand(4, 7) < 0.8
    mask[:, 0] = True
    at_once, in_parts = RoutingStatistics(), RoutingStatistics()
    at_once.update({"layer": layer(hidden, mask)})
    for start in range(0, 4, size):
        part = slice(start, start + size)
        longer = torch.cat([hidden[part], torch.ones(len(hidden[part]), padding, 6)], dim=1)
        is_token = torch.nn.functional.pad(mask[part], (0, padding))
        in_parts.update({"layer": layer(longer, is_token)})
    assert_alike(in_parts.compute()["layer"], to_json(at_once.compute()["layer"]))


def test_layers_of_a_model_are_recorded_by_name():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 6), MoELayer(6, 3, d_ff=4))
    statistics = RoutingStatistics()
    for _ in range(2):
        with record_experts(model) as outputs:
            model(torch.randn(2, 5, 6))
        statistics.update(outputs)
    (layer,) = statistics.compute().items()
    assert (layer[0], layer[1].n_tokens) == ("1", 20)


def test_layers_stay_apart():
    statistics = RoutingStatistics()
    statistics.update({"a": routing([[[0], [0]]], 2), "b": routing([[[1], [2]]], 3)})
    layers = statistics.compute()
    assert {name: layer.load for name, layer in layers.items()} == {"a": (1, 0), "b": (0, 0.5, 0.5)}


def test_batch_without_tokens_changes_nothing():
    some, none = routing([[[0], [1]]], 2), routing([[PADDING, PADDING]], 2)
    empty = TopKRouter(6, 2)(torch.zeros(0, 3, 6), torch.zeros(0, 3, dtype=torch.bool))
    assert compute(none, some, empty) == compute(some)


def test_one_expert_is_even_and_sure():
    statistics = compute(routing([[[0], [0]]], 1))
    assert (statistics.normalised_entropy, statistics.max_violation) == (1, 0)
    assert (statistics.router_entropy, statistics.normalised_router_entropy) == (0, 0)
    assert statistics.margin == 1


def test_statistics_do_not_hold_the_graph_and_are_plain_values():
    layer = MoELayer(6, 3, d_ff=4)
    output = layer(torch.randn(1, 4, 6))
    statistics = compute(output)
    assert output.routing.gates.requires_grad
    assert from_json(LayerStatistics, to_json(statistics)) == statistics
    assert {type(value) for value in to_json(statistics).values()} <= {int, float, list}


def test_no_batches_or_no_tokens_are_an_error():
    with pytest.raises(ValueError, match="at least one layer: call update"):
        RoutingStatistics().compute()
    with pytest.raises(ValueError, match="layer 'layer' must have read at least one token"):
        compute(routing([[PADDING]], 2))


def test_another_number_of_experts_is_an_error():
    with pytest.raises(ValueError, match="layer 'layer' must have 2 experts as before, got 3"):
        compute(routing([[[0]]], 2), routing([[[0]]], 3))


def test_router_that_gives_nan_is_an_error():
    with pytest.raises(ValueError, match="probabilities of layer 'layer' must be finite"):
        compute(routing([[[0]]], 2, probabilities=[[math.nan, 0.5]]))


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_the_same_routing_is_saturated(seed):
    assert saturation(routed(seed), routed(seed)) == 1


def test_saturation_is_the_share_of_the_final_experts():
    earlier = routing([[[0, 1], [0, 1], [2, 3], PADDING]], 4)
    final = routing([[[1, 0], [1, 2], [0, 1], PADDING]], 4)
    assert saturation(earlier, final) == pytest.approx((1 + 1 / 2 + 0) / 3)


def test_saturation_leaves_out_what_nobody_reads_at_the_end():
    assert saturation(routing([[[0], [1]]], 2), routing([[[0], []]], 2)) == 1
    assert saturation(routing([[[], [1]]], 2), routing([[[0], [1]]], 2)) == 0.5


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_saturation_of_independent_even_routings_is_k_of_the_experts(top_k):
    choices = [list(each) for each in combinations(range(4), top_k)]
    pairs = [(a, b) for a in choices for b in choices]
    earlier = routing([[a for a, _ in pairs]], 4)
    final = routing([[b for _, b in pairs]], 4)
    assert saturation(earlier, final) == pytest.approx(top_k / 4)
    assert saturation_by_chance(earlier, final) == pytest.approx(top_k / 4)


def test_collapsed_routers_are_saturated_by_chance():
    both = routing([[[1], [1], [1]]], 8)
    assert saturation(both, both) == saturation_by_chance(both, both) == 1


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.sampled_from([None, 0.5]))
def test_saturation_by_chance_is_the_mean_over_pairs_of_tokens(seed, capacity_factor):
    earlier = routed(seed, padded=False)
    final = routed(seed + 1, padded=False, capacity_factor=capacity_factor)
    then = [set(each.nonzero().flatten().tolist()) for each in earlier.assigned().flatten(0, 1)]
    end = [set(each.nonzero().flatten().tolist()) for each in final.assigned().flatten(0, 1)]
    read = [token for token, experts in enumerate(end) if experts]
    overlaps = [len(then[a] & end[b]) / len(end[b]) for a in read for b in read]
    expected = sum(overlaps) / len(overlaps)
    assert saturation_by_chance(earlier, final) == pytest.approx(expected)


@pytest.mark.parametrize("measure", [saturation, saturation_by_chance])
@pytest.mark.parametrize(
    ("earlier", "final", "message"),
    [
        (routing([[[0]]], 2), routing([[[0]]], 3), "earlier must have 3 experts as final has"),
        (routing([[[0]]], 2), routing([[[0], [1]]], 2), "the same batch as final"),
        (routing([[[0], PADDING]], 2), routing([[PADDING, [0]]], 2), "the same batch as final"),
        (routing([[[0]]], 2), routing([[[]]], 2), "at least one token, got none"),
    ],
)
def test_saturation_of_what_does_not_fit_is_refused(measure, earlier, final, message):
    with pytest.raises(ValueError, match=message):
        measure(earlier, final)
