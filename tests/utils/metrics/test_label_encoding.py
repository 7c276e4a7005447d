"""Every kind of label is understood or refused by name, and class order follows the rules."""

import numpy as np
import pandas as pd
import pytest

from sparse_transformers.utils.metrics.label_encoding import TRUTH_CLASSES, factorize, find_classes

NUMBERS = [0, 1, 1, 0]


@pytest.mark.parametrize(
    "column",
    [
        [False, True, True, False],
        [0, 1, 1, 0],
        [0.0, 1.0, 1.0, 0.0],
        ["false", "true", "True", "FALSE"],
        [False, 1, "true", np.int64(0)],
        (False, True, True, False),
        np.array([False, True, True, False]),
        np.array([0, 1, 1, 0], dtype=np.uint8),
        np.array(["false", "true", "true", "false"]),
        pd.Series([False, True, True, False], index=[7, 7, 3, 0]),
        pd.Series(["false", "true", "true", "false"], dtype="category"),
        pd.Series(["false", "true", "true", "false"], dtype="string"),
        pd.Series([0, 1, 1, 0], dtype="Int64"),
    ],
    ids=repr,
)
def test_truth_values_of_every_type_become_the_same_numbers(column):
    labels = factorize("y_true", column)

    assert find_classes([labels], None) == TRUTH_CLASSES
    assert find_classes([labels], None, "binary") == TRUTH_CLASSES
    assert labels.numbers(TRUTH_CLASSES).tolist() == NUMBERS


def test_second_of_two_labels_is_the_positive_class():
    column = factorize("y_true", ["real", "fake"])

    assert column.numbers(find_classes([column], ["fake", "real"])).tolist() == [1, 0]


def test_class_order_is_that_of_the_labels():
    column = factorize("y_true", np.array(["half", "true", "false"]))
    classes = find_classes([column], np.array(["false", "half", "true"]), "ordinal")

    assert classes == ("false", "half", "true")
    assert column.numbers(classes).tolist() == [1, 2, 0]


def test_labels_are_sorted_where_none_are_passed():
    columns = [factorize("y_true", [2, 0, 2]), factorize("y_pred", [5, 0, 1])]

    assert find_classes(columns, None) == (0, 1, 2, 5)
    assert find_classes(columns, None, "multiclass") == (0, 1, 2, 5)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([], r"y_true must be a list with a label per row, got shape \(0,\)"),
        ("true", r"got shape \(\)"),
        ([["true"], ["false"]], r"got shape \(2, 1\)"),
        (["true", None], "y_true must not miss a label, row 1 has none"),
        ([1.0, float("nan")], "row 1 has none"),
        (pd.Series([True, pd.NA], dtype="boolean"), "row 1 has none"),
        ([1, {"true"}], r"must hold strings, booleans or numbers, got \{'true'\} in row 1"),
        ([1, (1,)], r"must hold strings, booleans or numbers, got \(1,\) in row 1"),
    ],
)
def test_unusable_column_is_refused(column, message):
    with pytest.raises(ValueError, match=message):
        factorize("y_true", column)


def test_column_of_another_length_is_refused():
    with pytest.raises(ValueError, match="y_pred must have a label for each of 3 rows, got 2"):
        factorize("y_pred", [True, False], n_rows=3)


@pytest.mark.parametrize(
    ("column", "classes", "message"),
    [
        ([True, "half-true"], TRUTH_CLASSES, "must hold only True or False.* in row 1"),
        ([True, 0.5], TRUTH_CLASSES, r"must hold only True or False.*got 0\.5 in row 1"),
        ([0, 1, 2], TRUTH_CLASSES, "got 2 in row 2"),
        (["a", "b", "d"], ("a", "b", "c"), "must hold only 'a', 'b', 'c', got 'd' in row 2"),
        (["True"], ("false", "half", "true"), "got 'True' in row 0"),
    ],
)
def test_unknown_label_is_refused_with_its_row(column, classes, message):
    with pytest.raises(ValueError, match=message):
        factorize("y_true", column).numbers(classes)


@pytest.mark.parametrize(
    ("column", "labels", "task_type", "message"),
    [
        (["a", "b"], None, None, "labels must be passed, in order, for 'a', 'b' alone"),
        (["a"], None, "multiclass", "labels must be passed, in order, for 'a' alone"),
        ([0, 1], None, "multiclass", "labels must be passed"),
        (["a", 1, 2], None, None, "labels must be of one type to have an order"),
        ([0, 1], None, "ordinal", "labels must list the classes in order for an ordinal task"),
        ([0, 1], [0, 1], "ternary", "task_type must be one of binary, multiclass, ordinal"),
        ([0, 1], "true", None, "labels must be a list of labels, got the string 'true'"),
        ([0, 1], [0], None, "labels must be two or more different labels"),
        ([0, 1], [0, 1, 1], None, "labels must be two or more different labels"),
        ([0, 1], [0, None], None, "labels must be strings, booleans or numbers"),
        ([0, 1], [0, 1, 2], "binary", "labels must be two for a binary task"),
        ([0, 1], [0, 1], "multiclass", "labels must be three or more for a multiclass task"),
    ],
)
def test_classes_that_cannot_be_told_are_refused(column, labels, task_type, message):
    with pytest.raises(ValueError, match=message):
        find_classes([factorize("y_true", column)], labels, task_type)
