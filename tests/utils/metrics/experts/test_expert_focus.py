"""Tables agree with pandas, focus with sums by hand, and what chance gives with enumeration."""

import itertools
import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.metrics.experts.focus import (
    ExpertClassTable,
    ExpertFocus,
    expert_class_table,
    expert_focus,
)
from sparse_transformers.utils.metrics.experts.specialization import specialization
from sparse_transformers.utils.records import from_json, to_json

ENTRIES = st.lists(
    st.tuples(st.integers(-1, 3), st.sampled_from("bac")), min_size=2, max_size=30
).filter(lambda rows: len({kind for expert, kind in rows if expert >= 0}) > 1)


def entropy(labels) -> float:
    return -sum(n / len(labels) * math.log(n / len(labels)) for n in Counter(labels).values())


def focus_by_hand(experts, classes, expert) -> float:
    own = [kind for each, kind in zip(experts, classes, strict=True) if each == expert]
    return 1 - entropy(own) / entropy(classes)


@given(ENTRIES)
def test_table_agrees_with_pandas(rows):
    experts, classes = (list(column) for column in zip(*rows, strict=True))
    table = expert_class_table(experts, classes, num_experts=5)
    expected = pd.crosstab(pd.Series(experts), pd.Series(classes))
    expected = expected.reindex(index=range(5), fill_value=0)
    assert table.class_names == tuple(expected.columns)
    assert np.array_equal(table.counts, expected.to_numpy())
    assert table.n_without_expert == experts.count(-1)


def test_table_has_a_row_up_to_the_last_expert_and_names_for_numbers():
    table = expert_class_table([3, 0, 3], [10, 9, 9])
    assert table == ExpertClassTable(("9", "10"), ((1, 0), (0, 0), (0, 0), (1, 1)), 0)


def test_classes_without_an_order_are_refused():
    with pytest.raises(
        ValueError, match="classes must be of one type to have an order, got 1, 'a'"
    ):
        expert_class_table([0, 1], [1, "a"])


@given(ENTRIES)
def test_focus_is_what_it_says_and_averages_to_the_information(rows):
    experts, classes = (list(column) for column in zip(*rows, strict=True))
    found = expert_focus(experts, classes, num_experts=5, n_shuffles=1)
    read = [(expert, kind) for expert, kind in rows if expert >= 0]
    kept, kinds = zip(*read, strict=True)
    for each in found:
        assert each.n_entries == kept.count(each.expert)
        expected = focus_by_hand(kept, kinds, each.expert) if each.n_entries else 0.0
        assert each.focus == pytest.approx(expected, abs=1e-12)
    assert [each.expert for each in found] == list(range(5))
    mean = sum(each.n_entries * each.focus for each in found) / len(kept)
    information = specialization(experts, classes, n_shuffles=1).information_bits
    assert mean * entropy(kinds) / math.log(2) == pytest.approx(information, abs=1e-12)


def test_chance_agrees_with_all_permutations_of_the_units():
    lengths, kinds = [1, 4, 2, 3, 2, 1], ["a", "a", "b", "b", "c", "c"]
    units = np.repeat(np.arange(6), lengths)
    experts = [0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 3, 3, 3]
    exact = np.array(
        [
            [
                focus_by_hand(experts, [permuted[unit] for unit in units], expert)
                for expert in (0, 1, 3)
            ]
            for permuted in itertools.permutations(kinds)
        ]
    )
    found = expert_focus(experts, np.array(kinds)[units], units=units, n_shuffles=4000)
    assert len(found) == 4
    for column, expert in enumerate((0, 1, 3)):
        each, null = found[expert], exact[:, column]
        assert each.null_focus == pytest.approx(null.mean(), abs=0.015)
        assert each.p_value == pytest.approx(np.mean(null >= null[0] - 1e-9), abs=0.025)
        assert each.null_high_focus == pytest.approx(np.quantile(null, 0.95), abs=0.03)
        expected = (each.focus - each.null_focus) / (1 - each.null_focus)
        assert each.score == pytest.approx(expected)


def test_an_expert_of_one_class_has_full_focus_and_one_of_few_tokens_no_score():
    experts = np.repeat([0, 1, 2], [30, 69, 1])
    classes = np.repeat(["a", "b", "a", "b"], [30, 30, 39, 1])
    units = np.arange(100)
    planted, mixed, single = expert_focus(experts, classes, units=units)
    assert planted.focus == planted.score == single.focus == 1.0
    assert planted.p_value == 1 / 201
    assert mixed.score < 0
    assert (single.null_focus, single.score, single.p_value) == (1.0, 0.0, 1.0)


def test_an_expert_more_mixed_than_the_whole_is_below_zero():
    experts = np.repeat([0, 1], [20, 80])
    classes = np.repeat(["a", "b", "a"], [10, 10, 80])
    assert expert_focus(experts, classes)[0].focus < 0


def test_an_expert_that_reads_nothing_has_none():
    found = expert_focus([0, 0, 2, -1], ["a", "b", "a", "b"], num_experts=4)
    assert found[1] == ExpertFocus(1, 0, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert found[3] == ExpertFocus(3, 0, 0.0, 0.0, 0.0, 0.0, 1.0)


def test_seed_and_confidence_matter_and_the_result_survives_json():
    generator = np.random.default_rng(0)
    experts, classes = generator.integers(3, size=(2, 60))
    options = {"n_shuffles": 20}
    found = expert_focus(experts, classes, **options)
    assert found == expert_focus(experts, classes, **options)
    other = expert_focus(experts, classes, seed=1, **options)
    lower = expert_focus(experts, classes, confidence=0.5, **options)
    for each, reseeded, low in zip(found, other, lower, strict=True):
        assert each.null_focus != reseeded.null_focus
        assert low.null_high_focus < each.null_high_focus
        assert from_json(ExpertFocus, to_json(each)) == each
        assert all(type(value) in (int, float) for value in to_json(each).values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_shuffles": 0}, "n_shuffles must be at least 1"),
        ({"confidence": 0}, "confidence must be between 0 and 1"),
        ({"num_experts": 1}, r"below num_experts \(1\), got 0 to 1"),
        ({"units": [0, 0, 1]}, "unit 0 has"),
        ({"classes": ["a", "a", "a"]}, "classes must be at least two"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        expert_focus(**{"experts": [0, 1, 1], "classes": ["a", "b", "a"], **arguments})
