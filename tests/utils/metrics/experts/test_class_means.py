"""Means agree with pandas, standard errors with textbook formulas and with simulation."""

import numpy as np
import pandas as pd
import pytest

from sparse_transformers.utils.metrics.experts.class_means import ClassMeans


def test_means_agree_with_pandas_and_are_sorted_by_class():
    generator = np.random.default_rng(0)
    classes, values = generator.choice(["d", "b", "c"], 50), generator.normal(size=50)
    found = ClassMeans(classes)
    expected = pd.Series(values).groupby(classes)
    assert list(found.means(values)) == ["b", "c", "d"]
    assert found.means(values) == pytest.approx(expected.mean().to_dict())
    assert found.standard_errors(values) == pytest.approx(expected.sem().to_dict())
    assert found.n_tokens == expected.size().to_dict()


def test_units_of_equal_size_count_like_one_value_each():
    generator = np.random.default_rng(0)
    of_unit = generator.normal(size=12)
    classes, units = np.repeat([10, 9], 30), np.repeat(np.arange(12), 5)
    found = ClassMeans(classes, units).standard_errors(of_unit[units])
    assert list(found) == ["9", "10"]
    expected = pd.Series(of_unit).groupby(np.repeat(["10", "9"], 6)).sem().to_dict()
    assert found == pytest.approx(expected)


def test_standard_errors_over_units_say_how_far_means_vary_and_those_over_tokens_do_not():
    means, of_units, of_tokens = [], [], []
    for trial in range(300):
        generator = np.random.default_rng(trial)
        lengths = generator.integers(2, 10, size=40)
        units = np.repeat(np.arange(40), lengths)
        values = generator.normal(size=40)[units] + 0.5 * generator.normal(size=len(units))
        classes = np.zeros(len(units), dtype=int)
        means.append(ClassMeans(classes).means(values)["0"])
        of_units.append(ClassMeans(classes, units).standard_errors(values)["0"])
        of_tokens.append(ClassMeans(classes).standard_errors(values)["0"])
    spread = np.std(means)  # known to 4% from 300 trials
    assert np.mean(of_units) == pytest.approx(spread, rel=0.1)
    assert np.mean(of_tokens) < 0.6 * spread


def test_a_unit_may_hold_several_classes():
    found = ClassMeans(["a", "b", "a", "b"], [0, 0, 1, 1])
    values = np.array([1.0, 5.0, 3.0, 5.0])
    assert found.means(values) == {"a": 2.0, "b": 5.0}
    assert found.standard_errors(values) == pytest.approx({"a": 1.0, "b": 0.0})


@pytest.mark.parametrize(
    ("classes", "units", "message"),
    [
        (["a", "a", "b"], None, "at least two units, .* got one for 'b'"),
        (["a", "a", "b", "b"], [0, 0, 1, 2], "at least two units, .* got one for 'a'"),
        (["a", "a"], [0], "units must have a label for each of 2 rows, got 1"),
        (["a", None], None, "classes must not miss a label"),
        (["a", 1], None, "classes must be of one type to have an order"),
    ],
)
def test_bad_labels_are_refused(classes, units, message):
    with pytest.raises(ValueError, match=message):
        ClassMeans(classes, units)
