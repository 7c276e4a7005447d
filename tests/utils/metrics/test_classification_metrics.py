"""All metrics by name: which ones there are, that each is scikit-learn's, and why one is NaN."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from sparse_transformers.utils.metrics.calibration import (
    adaptive_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
)
from sparse_transformers.utils.metrics.classification_metrics import (
    calculate_class_wise_metrics,
    calculate_truthfulness_metrics,
    generate_confusion_matrix,
)
from sparse_transformers.utils.metrics.metric_table import UNDEFINED_WHEN, explain_undefined

seeds = st.integers(0, 10_000)
SCALE = ("pants-fire", "false", "barely-true", "half-true", "mostly-true", "true")

TWO_CLASSES = {
    "accuracy",
    "precision",
    "recall",
    "f1",
    "specificity",
    "npv",
    "mcc",
    "kappa",
    "truth_detection_rate",
    "false_alarm_rate",
}
MANY_CLASSES = {"accuracy", "precision", "recall", "f1", "macro_f1", "mcc", "kappa"}
ORDINAL = {"mean_absolute_error", "quadratic_kappa", "within_one_accuracy"}
PROBABILITIES = {
    "roc_auc",
    "brier_score",
    "negative_log_likelihood",
    "average_confidence",
    "expected_calibration_error",
    "maximum_calibration_error",
    "adaptive_calibration_error",
}
TWO_CLASS_PROBABILITIES = PROBABILITIES | {"pr_auc", "positive_class_calibration_error"}


def random_rows(n_classes, seed, n_rows=80):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(n_classes), n_rows)
    truth = np.append(np.arange(n_classes), generator.integers(n_classes, size=n_rows - n_classes))
    return truth, probabilities.argmax(axis=1), probabilities


@given(seed=seeds)
def test_binary_metrics_equal_scikit_learn(seed):
    truth, predicted, probabilities = random_rows(2, seed)
    score = probabilities[:, 1]

    metrics = calculate_truthfulness_metrics(truth, predicted, score)

    assert set(metrics) == TWO_CLASSES | TWO_CLASS_PROBABILITIES
    expected = {
        "accuracy": sk.accuracy_score(truth, predicted),
        "precision": sk.precision_score(truth, predicted),
        "recall": sk.recall_score(truth, predicted),
        "f1": sk.f1_score(truth, predicted),
        "specificity": sk.recall_score(truth, predicted, pos_label=0),
        "npv": sk.precision_score(truth, predicted, pos_label=0),
        "mcc": sk.matthews_corrcoef(truth, predicted),
        "kappa": sk.cohen_kappa_score(truth, predicted),
        "truth_detection_rate": np.mean(predicted[truth == 1]),
        "false_alarm_rate": np.mean(predicted[truth == 0]),
        "roc_auc": sk.roc_auc_score(truth, score),
        "pr_auc": sk.average_precision_score(truth, score),
        "brier_score": sk.brier_score_loss(truth, score),
        "negative_log_likelihood": sk.log_loss(truth, score),
        "average_confidence": np.mean(np.maximum(score, 1 - score)),
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)


@given(seed=seeds, n_classes=st.integers(3, 6), average=st.sampled_from(["weighted", "macro"]))
def test_multiclass_metrics_equal_scikit_learn(seed, n_classes, average):
    truth, predicted, probabilities = random_rows(n_classes, seed)
    averaged = {"average": average, "zero_division": 0.0}

    metrics = calculate_truthfulness_metrics(truth, predicted, probabilities, average)

    assert set(metrics) == MANY_CLASSES | PROBABILITIES
    expected = {
        "accuracy": sk.accuracy_score(truth, predicted),
        "precision": sk.precision_score(truth, predicted, **averaged),
        "recall": sk.recall_score(truth, predicted, **averaged),
        "f1": sk.f1_score(truth, predicted, **averaged),
        "macro_f1": sk.f1_score(truth, predicted, average="macro", zero_division=0.0),
        "mcc": sk.matthews_corrcoef(truth, predicted),
        "kappa": sk.cohen_kappa_score(truth, predicted),
        "roc_auc": sk.roc_auc_score(truth, probabilities, multi_class="ovr", average=average),
        "negative_log_likelihood": sk.log_loss(truth, probabilities),
        "average_confidence": probabilities.max(axis=1).mean(),
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)


@given(seed=seeds)
def test_ordinal_metrics_follow_the_order_of_the_labels(seed):
    truth, predicted, probabilities = random_rows(6, seed)
    names = np.array(SCALE)

    metrics = calculate_truthfulness_metrics(
        names[truth], names[predicted], probabilities, labels=SCALE, ordinal=True
    )

    assert set(metrics) == MANY_CLASSES | ORDINAL | PROBABILITIES
    assert metrics["mean_absolute_error"] == pytest.approx(np.mean(abs(truth - predicted)))
    assert metrics["within_one_accuracy"] == pytest.approx(np.mean(abs(truth - predicted) <= 1))
    assert metrics["quadratic_kappa"] == pytest.approx(
        sk.cohen_kappa_score(truth, predicted, weights="quadratic")
    )


def test_two_steps_on_a_scale_have_both_kinds_of_metrics():
    metrics = calculate_truthfulness_metrics(
        ["no", "yes"], ["no", "no"], labels=["no", "yes"], ordinal=True
    )

    assert set(metrics) == TWO_CLASSES | ORDINAL


def test_every_value_is_a_plain_float():
    truth, predicted, probabilities = random_rows(2, 0)

    metrics = calculate_truthfulness_metrics(truth, predicted, probabilities)

    assert {type(value) for value in metrics.values()} == {float}


def test_calibration_errors_are_those_their_names_say():
    truth, predicted, probabilities = random_rows(2, 0)
    score = probabilities[:, 1]

    metrics = calculate_truthfulness_metrics(truth, predicted, score)

    assert {name: value for name, value in metrics.items() if "calibration" in name} == {
        "expected_calibration_error": expected_calibration_error(truth, score),
        "maximum_calibration_error": maximum_calibration_error(truth, score),
        "adaptive_calibration_error": adaptive_calibration_error(truth, score),
        "positive_class_calibration_error": expected_calibration_error(
            truth, score, kind="positive-class"
        ),
    }


def test_both_shapes_of_binary_probabilities_give_the_same():
    truth, predicted, probabilities = random_rows(2, 0)

    one = calculate_truthfulness_metrics(truth, predicted, probabilities[:, 1])
    two = calculate_truthfulness_metrics(truth, predicted, probabilities)

    assert one == pytest.approx(two)


# What each poor data set must be unable to tell; the rest must be numbers.
NOTHING_TRUE = {"recall", "truth_detection_rate", "mcc", "roc_auc", "pr_auc"}
NOTHING_FALSE = {"specificity", "false_alarm_rate", "mcc", "roc_auc"}


@pytest.mark.parametrize(
    ("truth", "predicted", "undefined"),
    [
        ([0, 0, 0], [0, 1, 0], NOTHING_TRUE),
        ([1, 1, 1], [0, 1, 0], NOTHING_FALSE),
        ([0, 0, 0], [0, 0, 0], NOTHING_TRUE | {"precision", "f1", "kappa"}),
        ([1, 1, 1], [1, 1, 1], NOTHING_FALSE | {"npv", "kappa"}),
        ([0, 0, 0], [1, 1, 1], NOTHING_TRUE | {"npv"}),
        ([0, 1, 1], [0, 0, 0], {"precision", "mcc"}),
        ([0, 1, 1], [1, 1, 1], {"npv", "mcc"}),
        ([1], [1], NOTHING_FALSE | {"npv", "kappa"}),
    ],
)
def test_what_the_data_cannot_tell_is_nan_and_explained(truth, predicted, undefined):
    metrics = calculate_truthfulness_metrics(truth, predicted, np.full(len(truth), 0.5))

    reasons = explain_undefined(metrics)

    assert set(reasons) == undefined
    assert {name for name, value in metrics.items() if math.isnan(value)} == undefined
    assert all(reasons[name] == UNDEFINED_WHEN[name] for name in undefined)


@pytest.mark.parametrize(
    ("truth", "undefined"),
    [
        (["false"] * 3, {"mcc", "kappa", "quadratic_kappa", "roc_auc"}),
        (["false", "true", "false"], {"mcc"}),
    ],
)
def test_constant_multiclass_predictions_are_explained(truth, undefined):
    metrics = calculate_truthfulness_metrics(
        truth, ["false"] * 3, np.full((3, 6), 1 / 6), labels=SCALE, ordinal=True
    )

    assert set(explain_undefined(metrics)) == undefined


def test_repeated_inputs_add_consistency():
    metrics = calculate_truthfulness_metrics([1, 1, 0, 0], [1, 1, 0, 1], items=["a", "a", "b", "b"])

    # Agreement 1/2, by chance (3/4)² + (1/4)² = 5/8.
    assert metrics["prediction_consistency"] == pytest.approx((1 / 2 - 5 / 8) / (3 / 8))
    constant = calculate_truthfulness_metrics([1, 1], [1, 1], items=["a", "a"])
    assert "prediction_consistency" in explain_undefined(constant)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([], []), {}, "y_true must be a list with a label per row"),
        (([1, 0], [1]), {}, "y_pred must have a label for each of 2 rows, got 1"),
        (([1, None], [1, 0]), {}, "y_true must not miss a label, row 1 has none"),
        (([1, 0], [1, float("nan")]), {}, "y_pred must not miss a label, row 1 has none"),
        (([1, 0], [1, 0], [0.5, float("nan")]), {}, "y_prob must be finite, got nan in row 1"),
        (([1, 0], [1, 0], [0.5, 2.0]), {}, r"y_prob must be from 0 to 1, got 2\.0 in row 1"),
        (([1, 0], [1, 0], [[0.5, 0.6]] * 2), {}, "y_prob must sum to 1 in each row"),
        (([1, 0], [1, 0], [0.5]), {}, "y_prob must have shape"),
        ((["a", "b"], ["a", "a"]), {}, "labels must be passed, in order, for 'a', 'b' alone"),
        ((["a", "b"], ["a", "c"]), {"labels": ["a", "b"]}, "y_pred must hold only 'a', 'b'"),
        (([1, 0], [1, 0]), {"ordinal": True}, "labels must list the classes in order"),
        (([1, 0], [1, 0], None, "micro"), {}, "average must be one of weighted, macro"),
        (([1, 0], [1, 0]), {"items": ["a", "b"]}, "items must name some input twice"),
    ],
)
def test_bad_input_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        calculate_truthfulness_metrics(*arguments, **options)


def test_confusion_matrix_is_labelled():
    matrix = generate_confusion_matrix(["b", "a", "c"], ["a", "a", "c"], ["a", "b", "c", "d"])

    assert matrix.loc["b", "a"] == 1
    assert list(matrix.index) == list(matrix.columns) == ["a", "b", "c", "d"]
    assert matrix.to_numpy().tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    one_class = generate_confusion_matrix([True, True], [True, True])
    assert one_class.to_numpy().tolist() == [[0, 0], [0, 2]]


def test_class_wise_metrics_worked_by_hand():
    table = calculate_class_wise_metrics(["a", "a", "b"], ["a", "b", "d"], ["a", "b", "c", "d"])

    assert list(table.columns) == ["class", "precision", "recall", "f1_score", "support"]
    assert table["class"].tolist() == ["a", "b", "c", "d"]
    assert table["support"].tolist() == [2, 1, 0, 0]
    np.testing.assert_allclose(table["precision"], [1, 0, np.nan, 0])
    np.testing.assert_allclose(table["recall"], [0.5, 0, np.nan, np.nan])
    np.testing.assert_allclose(table["f1_score"], [2 / 3, 0, np.nan, 0])
