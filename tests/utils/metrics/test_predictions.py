"""Probabilities are understood in both shapes, and refused by row where they are none."""

import numpy as np
import pytest

from sparse_transformers.utils.metrics.predictions import (
    check_numbers,
    check_probabilities,
    encode_predictions,
    encode_truth,
)

BINARY = ("false", "true")
THREE = ("a", "b", "c")


def test_one_column_of_two_is_enough():
    expected = [[0.75, 0.25], [0.0, 1.0]]

    np.testing.assert_allclose(check_probabilities([0.25, 1], 2, BINARY), expected)
    np.testing.assert_allclose(check_probabilities(expected, 2, BINARY), expected)


def test_confusion_counts_pairs_and_follows_a_choice_of_rows():
    predictions = encode_predictions(
        ["a", "a", "b", "c"], ["a", "b", "b", "a"], np.eye(4, 3)[[0] * 4]
    )

    assert predictions.classes == THREE
    assert predictions.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    half = predictions.take(predictions.truth == 0)
    assert half.confusion.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert half.probabilities is not None
    assert half.probabilities.shape == (2, 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_softmax_in_any_precision_is_accepted(dtype):
    logits = np.random.default_rng(0).normal(size=(500, 6)).astype(dtype)
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True, dtype=dtype)

    checked = check_probabilities(probabilities, 500, tuple(range(6)))

    assert checked.dtype == np.float64


def test_rounding_beyond_the_limits_is_cut_off():
    assert check_probabilities([1 + 1e-7, -1e-7], 2, BINARY)[:, 1].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("y_prob", "classes", "message"),
    [
        ([0.5, float("nan")], BINARY, "y_prob must be finite, got nan in row 1"),
        ([[0.5, 0.5], [float("inf"), 0]], BINARY, "y_prob must be finite, got inf in row 1"),
        ([0.5, 1.2], BINARY, r"y_prob must be from 0 to 1, got 1\.2 in row 1"),
        ([[0.5, 0.5], [1.2, -0.2]], BINARY, r"y_prob must be from 0 to 1, got 1\.2 in row 1"),
        ([0.5, -0.1], BINARY, r"y_prob must be from 0 to 1, got -0\.1 in row 1"),
        ([[0.5, 0.5], [0.5, 0.4]], BINARY, r"y_prob must sum to 1 in each row, got 0\.9 in row 1"),
        ([0.5], BINARY, r"y_prob must have shape \(2, 2\) or \(2,\), .*, got \(1,\)"),
        ([0.5, 0.5], THREE, r"y_prob must have shape \(2, 3\), a column for each of 'a', 'b', 'c'"),
        (np.full((2, 2), 0.5), THREE, r"got \(2, 2\)"),
        (np.full((2, 3), 1 / 3), BINARY, r"got \(2, 3\)"),
        (0.5, BINARY, r"got \(\)"),
        (["often", "never"], BINARY, "y_prob must hold numbers"),
        ([[0.5, 0.5], [1.0]], BINARY, "y_prob must hold numbers"),
    ],
)
def test_what_is_no_probability_is_refused(y_prob, classes, message):
    with pytest.raises(ValueError, match=message):
        check_probabilities(y_prob, 2, classes)


def test_number_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match="difficulty must be finite, got inf in row 2"):
        check_numbers("difficulty", [0, 1, float("inf")])
    with pytest.raises(ValueError, match="difficulty must be finite, got nan in row 0"):
        check_numbers("difficulty", float("nan"))


def test_columns_that_no_labels_explain_are_refused():
    with pytest.raises(ValueError, match=r"y_prob must have shape \(3, 2\) or \(3,\)"):
        encode_truth([0, 1, 0], np.full((3, 3), 1 / 3))
    with pytest.raises(ValueError, match=r"y_prob must have shape \(3, 3\)"):
        encode_truth(["a", "b", "c"], np.full((3, 4), 0.25))


def test_labels_explain_a_column_whose_class_does_not_occur():
    truth, probabilities = encode_truth(["a", "c"], np.eye(3)[:2], ["a", "b", "c"])

    assert truth.tolist() == [0, 2]
    assert probabilities.shape == (2, 3)
