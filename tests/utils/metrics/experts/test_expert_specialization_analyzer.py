"""Curves are what each snapshot gives by itself; clusters are what their definition says."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.metrics.experts.focus import expert_focus
from sparse_transformers.utils.metrics.experts.specialization import specialization
from sparse_transformers.utils.metrics.experts.specialization_analyzer import (
    ExpertSpecializationAnalyzer,
    SpecializationEmergence,
)
from sparse_transformers.utils.records import from_json, to_json

ANALYZER = ExpertSpecializationAnalyzer()
KINDS = np.repeat(["a", "b", "c"], 40)
STATEMENTS = np.repeat(np.arange(30), 4)


def routing(share_by_kind, seed=0):
    generator = np.random.default_rng(seed)
    random = generator.integers(3, size=120)
    by_kind = np.repeat([0, 1, 2], 40)
    return np.where(generator.random(120) < share_by_kind, by_kind, random)


def random_similarity(seed, n_experts):
    profiles = np.random.default_rng(seed).random((n_experts, 4)) ** 3
    return ANALYZER.compute_expert_similarity(profiles)


def test_emergence_is_specialization_at_each_step_in_order():
    snapshots = {200: routing(0.9), 0: routing(0.0), 50: np.where(KINDS == "b", -1, routing(0.4))}
    options = {"n_shuffles": 40, "confidence": 0.8, "seed": 3}
    emergence = ANALYZER.analyze_specialization_emergence(snapshots, KINDS, STATEMENTS, **options)
    assert emergence.steps == (0, 50, 200)
    assert list(emergence.experts) == ["expert 0", "expert 1", "expert 2"]
    for place, step in enumerate(emergence.steps):
        assert emergence.overall[place] == specialization(
            snapshots[step], KINDS, units=STATEMENTS, **options
        )
        foci = expert_focus(snapshots[step], KINDS, units=STATEMENTS, **options)
        assert tuple(each[place] for each in emergence.experts.values()) == foci
    assert emergence.overall[0].score < 0.1 < 0.5 < emergence.overall[2].score
    assert from_json(SpecializationEmergence, to_json(emergence)) == emergence


def test_experts_have_their_names_though_some_read_nothing():
    snapshots = {0: [0, 0, 1, 1], 9: [0, 0, 0, 0]}
    kinds = ["x", "y", "x", "y"]
    named = ExpertSpecializationAnalyzer(["one", "two", "three"])
    emergence = named.analyze_specialization_emergence(snapshots, kinds)
    assert list(emergence.experts) == ["one", "two", "three"]
    assert [each.n_entries for each in emergence.experts["two"]] == [2, 0]
    assert [each.n_entries for each in emergence.experts["three"]] == [0, 0]
    numbered = ANALYZER.analyze_specialization_emergence(snapshots, kinds)
    assert list(numbered.experts) == ["expert 0", "expert 1"]


def test_snapshot_that_is_refused_is_named():
    with pytest.raises(ValueError, match="snapshot of step 7: classes must have a label for each"):
        ANALYZER.analyze_specialization_emergence({0: [0, 1], 7: [0, 1, 1]}, ["a", "b"])
    with pytest.raises(ValueError, match="snapshot of step 7: experts must be whole numbers"):
        ANALYZER.analyze_specialization_emergence({7: ["left", "right"]}, ["a", "b"])
    with pytest.raises(ValueError, match=r"snapshot of step 7: .* below num_experts \(1\)"):
        ExpertSpecializationAnalyzer(["only"]).analyze_specialization_emergence(
            {7: [0, 1]}, ["a", "b"]
        )
    with pytest.raises(ValueError, match="snapshots must hold the routing of at least one step"):
        ANALYZER.analyze_specialization_emergence({}, ["a", "b"])


def test_similarity_is_the_cosine():
    profiles = np.random.default_rng(0).normal(size=(5, 3))
    found = ANALYZER.compute_expert_similarity(profiles)
    lengths = np.linalg.norm(profiles, axis=1)
    np.testing.assert_allclose(found, profiles @ profiles.T / np.outer(lengths, lengths))
    np.testing.assert_allclose(found, ANALYZER.compute_expert_similarity(7 * profiles))


def test_an_expert_that_reads_nothing_is_like_none():
    found = ANALYZER.compute_expert_similarity(((2, 0), (0, 0), (4, 0)))
    np.testing.assert_array_equal(found, [[1, 0, 1], [0, 0, 0], [1, 0, 1]])
    assert ANALYZER.identify_expert_clusters(found) == [["expert 0", "expert 2"], ["expert 1"]]


@given(st.integers(0, 1000), st.integers(1, 9), st.sampled_from([0.3, 0.7, 0.95]))
def test_clusters_hold_only_alike_experts_and_no_two_could_be_joined(seed, n_experts, threshold):
    similarity = random_similarity(seed, n_experts)
    clusters = ANALYZER.identify_expert_clusters(similarity, threshold)
    numbers = [[int(name.removeprefix("expert ")) for name in each] for each in clusters]
    assert sorted(itertools.chain(*numbers)) == list(range(n_experts))
    assert all(each == sorted(each) for each in numbers)
    assert [each[0] for each in numbers] == sorted(each[0] for each in numbers)

    def least_alike(members):
        return min(similarity[i, j] for i, j in itertools.product(members, repeat=2))

    assert all(least_alike(each) >= threshold - 1e-9 for each in numbers)
    assert all(least_alike(a + b) < threshold for a, b in itertools.combinations(numbers, 2))


@given(st.integers(0, 1000))
def test_clusters_do_not_depend_on_the_order_of_the_experts(seed):
    similarity = random_similarity(seed, 7)
    order = np.random.default_rng(seed).permutation(7)
    names = [f"expert {number}" for number in order]
    moved = ExpertSpecializationAnalyzer(names).identify_expert_clusters(
        similarity[np.ix_(order, order)]
    )
    expected = ANALYZER.identify_expert_clusters(similarity)
    assert {frozenset(each) for each in moved} == {frozenset(each) for each in expected}


def test_a_chain_is_not_a_cluster_and_the_threshold_itself_is_enough():
    chain = np.array([[1.0, 0.8, 0.2], [0.8, 1.0, 0.75], [0.2, 0.75, 1.0]])
    assert ANALYZER.identify_expert_clusters(chain) == [["expert 0", "expert 1"], ["expert 2"]]
    assert len(ANALYZER.identify_expert_clusters(chain, threshold=0.2)) == 1
    assert len(ANALYZER.identify_expert_clusters(chain, threshold=0.8)) == 2
    assert len(ANALYZER.identify_expert_clusters(chain, threshold=0.81)) == 3


@pytest.mark.parametrize("names", [[], ["a", "a"], "ab"])
def test_bad_names_are_refused(names):
    with pytest.raises(ValueError, match="expert_names must be different names"):
        ExpertSpecializationAnalyzer(names)


@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        ([1.0, 2.0], r"profiles must be \(experts, classes\), got shape \(2,\)"),
        (np.zeros((0, 3)), "profiles must be"),
        ([[1.0, float("nan")]], "profiles must hold finite numbers"),
    ],
)
def test_bad_profiles_are_refused(profiles, message):
    with pytest.raises(ValueError, match=message):
        ANALYZER.compute_expert_similarity(profiles)


@pytest.mark.parametrize(
    ("similarity", "threshold", "message"),
    [
        (np.eye(3)[:2], 0.7, r"similarity must be \(experts, experts\), got shape \(2, 3\)"),
        (np.zeros((0, 0)), 0.7, "similarity must be"),
        ([[1.0, 0.2], [0.9, 1.0]], 0.7, "similarity must be symmetric and from -1 to 1"),
        ([[1.0, 1.2], [1.2, 1.0]], 0.7, "similarity must be symmetric and from -1 to 1"),
        ([[1.0, float("nan")], [float("nan"), 1.0]], 0.7, "similarity must be symmetric"),
        (np.eye(2), 1.1, "threshold must be from -1 to 1, got 1.1"),
        (np.eye(2), -1.1, "threshold must be from -1 to 1"),
    ],
)
def test_bad_similarity_is_refused(similarity, threshold, message):
    with pytest.raises(ValueError, match=message):
        ANALYZER.identify_expert_clusters(similarity, threshold)


def test_a_row_for_each_name_is_required():
    named = ExpertSpecializationAnalyzer(["one", "two"])
    for refused in (named.compute_expert_similarity, named.identify_expert_clusters):
        with pytest.raises(ValueError, match="a row for each of the 2 expert_names, got 3"):
            refused(np.eye(3))
