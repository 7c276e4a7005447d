import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from sparse_transformers.demos.expert_router import ExpertRouter, expert_names
from sparse_transformers.models.experts.routers import TopKRouter

DIM, EXPERTS, TOP_K = 12, 5, 2


@pytest.fixture
def trained():
    """A router with known weights, as if out of a trained model."""
    router = TopKRouter(DIM, EXPERTS, TOP_K)
    weight = np.random.default_rng(0).normal(size=(EXPERTS, DIM))
    with torch.no_grad():
        router.gate.weight.copy_(torch.from_numpy(weight))
    return router


@pytest.fixture
def vectors():
    return np.random.default_rng(1).normal(size=(40, DIM))


def probabilities_of(router, vectors, temperature=1.0):
    weight = router.gate.weight.detach().double().numpy()
    return softmax(vectors @ weight.T / temperature, axis=-1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_route_is_the_softmax_of_the_router_s_logits(trained, vectors, temperature):
    router = ExpertRouter(EXPERTS, DIM, TOP_K, router=trained)
    for vector in vectors[:5]:
        probabilities = probabilities_of(trained, vector, temperature)
        best = np.argsort(-probabilities)[:TOP_K]
        routed = router.route(vector, temperature)
        assert routed.all_probs == pytest.approx(probabilities, abs=1e-6)
        assert routed.top_k_indices == tuple(best)
        chosen = probabilities[best] / probabilities[best].sum()
        assert routed.top_k_probs == pytest.approx(chosen, abs=1e-6)
        assert routed.selected_experts == tuple(f"expert {expert}" for expert in best)
        assert routed.routing_entropy == pytest.approx(entropy(probabilities), abs=1e-5)
        distance = ((probabilities - 1 / EXPERTS) ** 2).sum()
        assert routed.load_balance_loss == pytest.approx(distance, abs=1e-6)


def test_gates_of_the_layer_are_the_top_k_probabilities(trained, vectors):
    choice = trained.choose(torch.from_numpy(vectors[:1]).float(), None)
    routed = ExpertRouter(EXPERTS, DIM, TOP_K, router=trained).route(vectors[0])
    assert routed.top_k_indices == tuple(choice.experts[0].tolist())
    assert routed.top_k_probs == pytest.approx(choice.gates[0].tolist(), abs=1e-6)


def test_extreme_temperatures_are_sure_or_have_no_preference(trained, vectors):
    router = ExpertRouter(EXPERTS, DIM, TOP_K, router=trained)
    sure, indifferent = (router.route(vectors[0], temperature) for temperature in (1e-310, 1e9))
    assert max(sure.all_probs) == 1
    assert sure.routing_entropy == 0
    assert indifferent.routing_entropy == pytest.approx(np.log(EXPERTS))
    assert indifferent.load_balance_loss == pytest.approx(0)
    assert sure.top_k_indices == indifferent.top_k_indices


def test_tensors_and_lists_are_vectors_too(trained, vectors):
    router = ExpertRouter(EXPERTS, DIM, TOP_K, router=trained)
    vector = vectors[0].astype(np.float32)
    as_tensor = torch.from_numpy(vector).to(torch.bfloat16).requires_grad_()
    assert router.route(vector) == router.route(vector.tolist())
    assert router.route(as_tensor) == router.route(as_tensor.tolist())


def test_result_says_whether_the_router_is_trained(trained, vectors):
    untrained = ExpertRouter(EXPERTS, DIM).route(vectors[0])
    routed = ExpertRouter(EXPERTS, DIM, TOP_K, router=trained).route(vectors[0])
    assert (untrained.trained, routed.trained) == (False, True)
    assert "by an untrained router" in str(untrained)
    assert "by a trained router" in str(routed)
    first, second = routed.selected_experts
    shares = routed.top_k_probs
    assert str(routed).startswith(f"{first} ({shares[0]:.2f}), {second} ({shares[1]:.2f})")


def test_untrained_router_is_a_function_of_its_seed():
    state = torch.random.get_rng_state()
    vector = np.ones(768)
    routed = ExpertRouter(8).route(vector)
    assert routed == ExpertRouter(8, seed=0).route(vector) != ExpertRouter(8, seed=1).route(vector)
    assert len(routed.all_probs) == 8
    assert len(routed.top_k_indices) == 2
    assert torch.equal(state, torch.random.get_rng_state())


def test_routing_patterns_are_means_over_the_vectors_of_a_type(trained, vectors):
    router = ExpertRouter(EXPERTS, DIM, TOP_K, router=trained)
    inputs = {"first": vectors[:30], "second": torch.from_numpy(vectors[30:])}
    table = router.analyze_routing_patterns(inputs)
    assert list(table["input_type"].unique()) == ["first", "second"]
    for kind, rows in (("first", vectors[:30]), ("second", vectors[30:])):
        part = table[table["input_type"] == kind]
        routed = [router.route(row) for row in rows]
        assert list(part["expert_idx"]) == list(range(EXPERTS))
        assert tuple(part["expert_name"]) == expert_names(EXPERTS)
        means = np.mean([each.all_probs for each in routed], axis=0)
        np.testing.assert_allclose(part["routing_prob"], means, atol=1e-6)
        chosen = [[e in each.top_k_indices for e in range(EXPERTS)] for each in routed]
        np.testing.assert_allclose(part["selected_share"], np.mean(chosen, axis=0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.route(np.ones(DIM + 1)), r"vector must hold 12 numbers, got shape \(13,\)"),
        (lambda r: r.route(np.ones((2, DIM))), r"vector must hold 12 numbers, got shape \(2, 12\)"),
        (lambda r: r.route(3.0), r"vector must hold 12 numbers, got shape \(\)"),
        (lambda r: r.route([np.nan] * DIM), "vector must be finite"),
        (lambda r: r.route([np.inf] * DIM), "vector must be finite"),
        (lambda r: r.route(np.ones(DIM), 0.0), "temperature must be above 0, got 0.0"),
        (lambda r: r.route(np.ones(DIM), float("nan")), "temperature must be above 0, got nan"),
        (lambda r: r.analyze_routing_patterns({}), "inputs must hold the vectors of at least one"),
        (
            lambda r: r.analyze_routing_patterns({"a": np.ones((0, DIM))}),
            r"inputs\['a'\] must hold vectors x 12 numbers, got shape \(0, 12\)",
        ),
        (
            lambda r: r.analyze_routing_patterns({"a": np.ones(DIM)}),
            r"inputs\['a'\] must hold vectors x 12 numbers, got shape \(12,\)",
        ),
        (lambda r: ExpertRouter(0), "num_experts must be a whole number of at least 1"),
        (lambda r: ExpertRouter(4, 0), "d_model must be a whole number of at least 1"),
        (lambda r: ExpertRouter(4, 8, 5), "top_k must be at most num_experts"),
        (
            lambda r: ExpertRouter(4, DIM, 2, router=TopKRouter(DIM, 5, 2)),
            r"of \(4, 12, 2\), got \(5, 12, 2\)",
        ),
        (
            lambda r: ExpertRouter(5, DIM, 2, router=TopKRouter(DIM, 5, 1)),
            r"of \(5, 12, 2\), got \(5, 12, 1\)",
        ),
    ],
)
def test_what_cannot_be_routed_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(ExpertRouter(EXPERTS, DIM))
