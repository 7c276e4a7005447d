"""Associations agree with scikit-learn and scipy, and chance raises no more alarms than stated."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chi2_contingency
from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score

from sparse_transformers.utils.analysis.dataset_bias import (
    FALSE_ALARMS,
    bias_features,
    category_codes,
    measure_associations,
    text_form,
)
from sparse_transformers.utils.analysis.dataset_columns import find_columns


def measure(labels, column, **options):
    [found] = measure_associations(pd.Series(labels), {"it": pd.Series(column)}, **options)
    return found


@settings(max_examples=30)
@given(st.integers(2, 5), st.integers(2, 12), st.integers(0, 10**6))
def test_measures_agree_with_libraries(n_labels, n_values, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(n_values, size=120)
    labels = (values + rng.integers(0, 3, size=120)) % n_labels
    labels[:2], values[:2] = (0, 1), (0, 1)
    found = measure(labels.astype(str), values.astype(str), n_shuffles=9, seed=seed)

    assert found.values == len(set(values))
    ami = adjusted_mutual_info_score(labels, values)
    assert found.adjusted_mutual_information == pytest.approx(ami)

    # Both rest on the same excess over chance: one by the mean entropy, one by the label's.
    information = mutual_info_score(labels, values)
    entropies = mutual_info_score(labels, labels), mutual_info_score(values, values)
    chance = (information - ami * sum(entropies) / 2) / (1 - ami)
    expected = (information - chance) / (entropies[0] - chance)
    assert found.explained == pytest.approx(expected, abs=1e-9)

    counts = pd.crosstab(labels, values).to_numpy()
    rows, columns = counts.shape
    phi2 = chi2_contingency(counts, correction=False).statistic / 120
    phi2 = max(0, phi2 - (rows - 1) * (columns - 1) / 119)
    sides = [side - (side - 1) ** 2 / 119 for side in counts.shape]
    assert found.cramers_v == pytest.approx(min(1, np.sqrt(phi2 / (min(sides) - 1))))


def test_null_is_that_of_the_same_measure_on_shuffled_labels():
    rng = np.random.default_rng(3)
    labels, values = rng.integers(3, size=90), rng.integers(6, size=90)
    found = measure(labels.astype(str), values.astype(str), n_shuffles=199, seed=5)
    shuffler = np.random.default_rng(5)
    null = [
        measure(shuffler.permutation(labels).astype(str), values.astype(str), n_shuffles=1)
        for _ in range(199)
    ]
    explained = np.array([each.explained for each in null])
    assert found.shuffled_high == pytest.approx(np.quantile(explained, 0.95))
    assert found.p_value == (1 + np.sum(explained >= found.explained - 1e-12)) / 200


def test_column_that_is_the_label_explains_all_of_it():
    labels = ["a", "b", "b", "c"] * 20
    found = measure(labels, [each.upper() for each in labels])
    assert found.explained == pytest.approx(1)
    assert found.adjusted_mutual_information == pytest.approx(1)
    assert found.cramers_v == pytest.approx(1)
    assert found.p_value == 1 / 2000
    assert found.is_significant


def test_column_of_different_values_explains_nothing():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=200)
    values = np.arange(200)
    values[:10] = values[10:20]  # ten pairs, which happen to agree
    labels[:10] = labels[10:20]
    assert measure(labels.astype(str), values.astype(str)).explained == 0


def test_independent_columns_raise_no_more_alarms_than_stated():
    rng = np.random.default_rng(1)
    p_values, alarms, tables = [], 0, 100
    for seed in range(tables):
        labels = pd.Series(rng.choice(list("abc"), size=80, p=[0.2, 0.3, 0.5]))
        features = {
            "few": pd.Series(rng.choice(list("xyz"), size=80)),
            "many": pd.Series(rng.integers(40, size=80).astype(str)),
            "number": pd.Series(rng.normal(size=80)),
        }
        found = measure_associations(labels, features, n_shuffles=399, seed=seed)
        p_values += [each.p_value for each in found]
        alarms += any(each.is_significant for each in found)
    # Bounds that chance exceeds once in a thousand seeds.
    assert alarms <= binom.ppf(0.999, tables, FALSE_ALARMS)
    below = np.mean(np.array(p_values) <= 0.1)
    assert abs(below - 0.1) < 3.3 * np.sqrt(0.09 / len(p_values))


def test_planted_associations_are_found_and_come_first():
    rng = np.random.default_rng(2)
    labels = pd.Series(rng.choice(["yes", "no"], size=400))
    tells = labels.where(rng.random(400) < 0.7, "?")
    middle = np.where(labels == "yes", rng.normal(size=400), rng.choice([-3.0, 3.0], size=400))
    features = {
        "noise": pd.Series(rng.choice(list("abcd"), size=400)),
        "tells": tells,
        "not linear": pd.Series(middle),
    }
    found = measure_associations(labels, features)
    assert [each.column for each in found if each.is_significant] == ["tells", "not linear"]
    assert found[-1].column == "noise"


def test_p_values_are_read_together():
    labels = pd.Series(["a", "b"] * 30)
    features = {f"f{n}": pd.Series(np.roll(labels, n)) for n in range(4)}
    found = measure_associations(labels, features, n_shuffles=999)
    assert all(each.p_value == 0.001 for each in found)
    assert all(each.adjusted_p_value == 0.004 for each in found)


def test_missing_values_are_values_and_infinite_numbers_do_no_harm():
    codes = category_codes(pd.Series(["a", None, np.nan, "a", ""]))
    assert codes[0] == codes[3] != codes[1]
    numbers = category_codes(pd.Series([*range(40), np.inf, np.nan, -np.inf]))
    assert len(set(numbers)) == 11  # ten bins, and what is not a number
    assert len(set(numbers[-3:])) == 1
    assert category_codes(pd.Series([1, None, 3], dtype="Int64")).tolist() == [0, 1, 2]
    assert category_codes(pd.Series([True, False, True])).tolist() == [0, 1, 0]


def test_few_different_numbers_are_compared_as_they_are():
    assert len(set(category_codes(pd.Series([0, 1, 5, 1, 0])))) == 3


def test_form_counts_words_digits_and_negations():
    form = text_form(
        pd.Series(["No, I won’t go in 2020.", "cannot knot", None, "don't"], index=[3, 1, 4, 0])
    )
    assert form["words"].tolist() == [6, 2, 0, 1]
    assert form["digits"].tolist() == [4, 0, 0, 0]
    assert form["negations"].tolist() == [2, 1, 0, 1]
    assert form.index.tolist() == [3, 1, 4, 0]


def test_features_are_all_that_could_give_a_label_away_without_reading():
    table = pd.DataFrame(
        {
            "claim": ["one two", "three", "4 no"],
            "party": ["a", "b", "a"],
            "age": [1, 2, 3],
            "label": ["x", "y", "x"],
            "truthful": [True, False, True],
            "claim_id": [1, 2, 3],
            "split": ["train", "train", "valid"],
        }
    )
    features = bias_features(table, find_columns(table))
    assert list(features) == ["party", "age", "claim: words", "claim: digits", "claim: negations"]


def test_malformed_input_is_refused():
    labels = pd.Series(["a", "b"])
    with pytest.raises(ValueError, match="n_shuffles must be at least 1, got 0"):
        measure_associations(labels, {}, n_shuffles=0)
    with pytest.raises(ValueError, match=r"must have 2 rows like the labels, not so: \['x'\]"):
        measure_associations(labels, {"x": pd.Series(["a"])})
    assert measure_associations(labels, {}) == ()
