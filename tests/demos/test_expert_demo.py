import json

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from sparse_transformers.demos.expert_demo_results import (
    ExpertSpecialization,
    RoutingDemonstration,
)
from sparse_transformers.demos.expert_router_demo import ExpertRouterDemo
from sparse_transformers.demos.statements import (
    StatementTask,
    encode_statements,
    make_statement_corpus,
)
from sparse_transformers.models.experts.layer import record_experts
from sparse_transformers.utils.datasets.statement_kinds import STATEMENT_KINDS, generate_statements
from sparse_transformers.utils.metrics.experts.specialization import specialization
from sparse_transformers.utils.records import from_json, to_json

EXPERTS, N = 4, 60
ARGUMENTS = {"input_dim": 16, "num_experts": EXPERTS, "seed": 3, "steps": 40}


@pytest.fixture(scope="module")
def demo():
    return ExpertRouterDemo(**ARGUMENTS)


@pytest.fixture(scope="module")
def demonstration(demo):
    return demo.demonstrate_routing(batch_size=N)


@pytest.fixture(scope="module")
def found(demo):
    return demo.analyze_expert_specialization(num_samples=N)


@pytest.fixture(scope="module")
def statements():
    return generate_statements(N, seed=4)


@pytest.fixture(scope="module")
def routings(demo, statements):
    """Each statement by itself, without padding: the oracle of what is done in one batch."""
    return [route_one(demo.model, text) for text in statements["text"]]


@torch.no_grad()
def route_one(model, text):
    with record_experts(model) as outputs:
        model(torch.tensor(encode_statements([text])))
    return next(iter(outputs.values())).routing


def choices(routings):
    return np.concatenate([routing.first_choice()[0].numpy() for routing in routings])


def units(routings):
    return np.repeat(np.arange(len(routings)), [routing.n_tokens for routing in routings])


def test_the_seed_s_call_trains_nothing_yet():
    demo = ExpertRouterDemo(input_dim=512, num_experts=8)
    assert "_trained" not in vars(demo)


def test_demonstration_is_what_the_layer_did_with_each_statement(
    demonstration, statements, routings
):
    scores = [routing.probabilities.mean(0).numpy() for routing in routings]
    np.testing.assert_allclose(demonstration.routing_scores, scores, atol=1e-5)
    loads = sum(routing.counts.numpy() for routing in routings)
    assert demonstration.expert_loads == tuple(loads)
    assert sum(loads) == 2 * sum(len(text.split()) + 1 for text in statements["text"])
    coefficient = max(0.0, 1 - loads.var() / loads.mean() ** 2)
    assert demonstration.load_balance_coefficient == pytest.approx(coefficient)
    assert demonstration.layer == "blocks.0.feed_forward"


def test_each_statement_is_given_with_the_expert_of_most_of_its_tokens(
    demonstration, statements, routings
):
    results = demonstration.routing_results
    assert [each.text for each in results] == list(statements["text"])
    assert [each.kind for each in results] == list(statements["kind"])
    assert [each.domain for each in results] == list(statements["domain"])
    for result, routing in zip(results, routings, strict=True):
        counts = np.bincount(routing.first_choice()[0], minlength=EXPERTS)
        assert result.expert_name == f"expert {counts.argmax()}"
        assert result.share == pytest.approx(counts.max() / counts.sum())


def test_profiles_count_the_first_choices(found, statements, routings):
    experts, unit = choices(routings), units(routings)
    kinds = statements["kind"].to_numpy()[unit]
    of_all = np.array([np.mean(kinds == kind) for kind in STATEMENT_KINDS])
    assert [each.expert_name for each in found.experts] == [f"expert {e}" for e in range(EXPERTS)]
    for expert, profile in enumerate(found.experts):
        own = kinds[experts == expert]
        shares = np.array([np.mean(own == kind) for kind in STATEMENT_KINDS])
        assert profile.total_assignments == len(own) > 0
        assert profile.type_distribution == pytest.approx(
            dict(zip(STATEMENT_KINDS, shares, strict=True))
        )
        assert profile.type_distribution[profile.dominant_type] == pytest.approx(shares.max())
        assert profile.specialization_score == pytest.approx(1 - entropy(shares) / entropy(of_all))
        assert 0 < profile.shuffled_score < 1
        assert 0 < profile.p_value <= 1


def test_profiles_of_all_routers_add_up_to_their_information(found, statements):
    lengths = statements["text"].str.split().str.len() + 1
    kinds = lengths.groupby(statements["kind"]).sum()
    for name, profiles in {"trained": found.experts, **found.control_experts}.items():
        tokens = np.array([each.total_assignments for each in profiles])
        scores = np.array([each.specialization_score for each in profiles])
        shuffled = np.array([each.shuffled_score for each in profiles])
        about = found.about_kind[name]
        assert tokens.sum() == lengths.sum() == about.n_entries
        share = about.information_bits / entropy(kinds, base=2)
        assert (tokens * scores).sum() / tokens.sum() == pytest.approx(share)
        by_chance = about.null_bits / entropy(kinds, base=2)
        # Not quite equal: kinds shuffled among longer and shorter statements get other shares.
        assert (tokens * shuffled).sum() / tokens.sum() == pytest.approx(by_chance, rel=0.05)


def test_information_is_measured_on_first_choices_with_statements_as_units(
    found, statements, routings
):
    unit = units(routings)
    kinds = statements["kind"].to_numpy()[unit]
    words = np.concatenate(encode_statements(statements["text"]))
    common = {"units": unit, "num_experts": EXPERTS}
    expected = specialization(choices(routings), kinds, **common)
    assert found.about_kind["trained"] == expected
    expected = specialization(choices(routings), kinds, given=words, **common)
    assert found.beyond_word["trained"] == expected
    placed = [
        f"{word} {position}"
        for text in statements["text"]
        for position, word in enumerate([*text.split(), "."])
    ]
    expected = specialization(choices(routings), kinds, given=placed, **common)
    assert found.beyond_word_and_position["trained"].information_bits == pytest.approx(
        expected.information_bits
    )
    assert found.beyond_word_and_position["trained"] != found.beyond_word["trained"]


def test_untrained_control_is_the_model_that_training_started_from(found, statements):
    untrained = ExpertRouterDemo(**ARGUMENTS)._untrained()
    experts = choices([route_one(untrained, text) for text in statements["text"]])
    tokens = [each.total_assignments for each in found.control_experts["untrained"]]
    assert tokens == list(np.bincount(experts, minlength=EXPERTS))
    corpus = make_statement_corpus(2000, seq_len=32, seed=ARGUMENTS["seed"])
    loss = StatementTask(corpus).evaluate(untrained, batch_size=4).loss_nats
    assert found.training.untrained_nats == loss
    assert found.about_kind["untrained"] != found.about_kind["trained"]


def test_hash_control_tells_something_by_the_word_and_nothing_beyond(found, statements):
    assert set(found.about_kind) == set(found.beyond_word) == {"trained", "untrained", "hash"}
    assert set(found.control_experts) == {"untrained", "hash"}
    assert found.about_kind["hash"].information_bits > 0
    for beyond in (found.beyond_word, found.beyond_word_and_position):
        assert beyond["hash"].information_bits == pytest.approx(0, abs=1e-9)
        assert beyond["hash"].score == 0


def test_model_learns_and_stays_above_the_generator(found, demonstration):
    training = found.training
    assert training == demonstration.training
    assert (training.steps, training.tokens) == (40, 40 * 4 * 32)
    assert training.untrained_nats == pytest.approx(np.log(182), abs=0.3)
    assert training.generator_nats < training.trained_nats < training.untrained_nats - 0.5
    assert found.words_bits == pytest.approx(2.3, abs=0.15)


def test_training_happens_once_and_is_a_function_of_the_seed(demo, demonstration, found):
    assert demo.model is demo.model
    again = ExpertRouterDemo(**ARGUMENTS)
    assert again.analyze_expert_specialization(N) == found
    assert again.demonstrate_routing(N) == demonstration
    other = ExpertRouterDemo(**{**ARGUMENTS, "seed": 8, "steps": 1}).demonstrate_routing(N)
    assert other.routing_results[0].text != demonstration.routing_results[0].text
    assert other.training.generator_nats != demonstration.training.generator_nats
    first, second = (
        ExpertRouterDemo(**{**ARGUMENTS, "seed": seed})._untrained().embedding.token.weight
        for seed in (3, 8)
    )
    assert not torch.equal(first, second)


def test_router_of_the_demo_is_the_trained_one(demo, statements):
    text = statements["text"][0]
    inputs = []
    layer = demo.model.get_submodule("blocks.0.feed_forward")
    hook = layer.router.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    routing = route_one(demo.model, text)
    hook.remove()
    routed = demo.router.route(inputs[0][0, 2])
    assert routed.trained
    assert routed.all_probs == pytest.approx(routing.probabilities[2].tolist(), abs=1e-6)


@pytest.mark.parametrize("capacity", [1, 5, 13])
def test_capacity_is_what_an_expert_takes_of_a_row_in_training(capacity):
    demo = ExpertRouterDemo(16, EXPERTS, capacity, steps=1)
    model = demo.model.train()
    with record_experts(model) as outputs:
        model(torch.full((2, 32), 5))  # one word: all tokens want nearly the same experts
    routing = outputs["blocks.0.feed_forward"].routing
    assert routing.assigned().sum(1).max() == capacity
    assert routing.n_dropped > 0
    model.eval()
    assert sum(demo.demonstrate_routing(3).expert_loads) == 2 * sum(
        len(text.split()) + 1 for text in generate_statements(3, seed=1)["text"]
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [(RoutingDemonstration, "demonstration"), (ExpertSpecialization, "found")],
)
def test_results_survive_json(kind, name, request):
    result = request.getfixturevalue(name)
    assert from_json(kind, json.loads(json.dumps(to_json(result)))) == result


def test_results_print_as_tables(demonstration, found):
    lines = str(demonstration).splitlines()
    assert lines[0] == "60 statements through blocks.0.feed_forward"
    assert lines[1].split() == ["expert", "tokens", "share"]
    assert [line.split()[1] for line in lines[2:6]] == list(map(str, demonstration.expert_loads))
    assert "(1 = even)" in lines[6]
    assert lines[7] == f"trained: {found.training}"

    text = str(found)
    trained = found.about_kind["trained"]
    numbers = [trained.information_bits, trained.null_bits, trained.score, trained.p_value]
    assert "trained " + " ".join(f"{each:.3f}" for each in numbers) in " ".join(text.split())
    for expert in found.experts:
        row = f"{expert.expert_name} {expert.total_assignments} {expert.dominant_type}"
        assert row in " ".join(text.split())
    assert all(name in text for name in ("untrained", "hash", "if shuffled", "beyond the word"))


def test_a_single_expert_tells_nothing():
    found = ExpertRouterDemo(8, 1, top_k=1, steps=1).analyze_expert_specialization(20)
    assert all(each.score == 0 for each in found.about_kind.values())
    (expert,) = found.experts
    assert expert.specialization_score == pytest.approx(0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_dim": 15}, "input_dim must be even, got 15"),
        ({"input_dim": 0}, "input_dim must be a whole number of at least 2"),
        ({"num_experts": 0}, "num_experts must be a whole number"),
        ({"top_k": 9}, r"top_k must be at most num_experts \(8\), got 9"),
        ({"top_k": 0}, "top_k must be a whole number"),
        ({"steps": 0}, "steps must be a whole number"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"expert_capacity": 0}, "expert_capacity must be a whole number"),
    ],
)
def test_demo_that_cannot_be_made_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ExpertRouterDemo(**arguments)


def test_too_few_statements_are_refused(demo):
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1"):
        demo.demonstrate_routing(0)
    with pytest.raises(ValueError, match="num_samples must be a whole number of at least 2"):
        demo.analyze_expert_specialization(1)
