"""Labels and scores that no measure can answer for are refused, with the offending value named."""

import numpy as np
import pandas as pd
import pytest

from sparse_transformers.utils.metrics.binary_scores import check_binary_scores

NAN = float("nan")


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, 1],
        [False, True, True],
        [0.0, 1.0, 1.0],
        np.array([0, 1, 1], dtype=np.uint8),
        pd.Series([0, 1, 1], index=[7, 8, 9]),
        pd.Series([False, True, True], dtype=object),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_labels_become_booleans(labels):
    truth, scores = check_binary_scores(labels, [1, 2, 3])
    assert truth.tolist() == [False, True, True]
    assert truth.dtype == bool
    assert scores.dtype == np.float64


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 2], [1, 2], "y_true must hold 0 and 1, or booleans, got 2"),
        (["0", "1"], [1, 2], "or booleans, got '0'"),
        ([True, None], [1, 2], "or booleans, got None"),
        ([0, NAN], [1, 2], "or booleans, got nan"),
        ([1, 1], [1, 2], "both classes, got only True"),
        ([0, 0], [1, 2], "both classes, got only False"),
        ([0, 1], [1, NAN], "finite numbers, got nan in row 1"),
        ([0, 1], [float("inf"), 1], "finite numbers, got inf in row 0"),
        ([0, 1], [[1, 2], [3, 4]], r"one axis, got shapes \(2,\) and \(2, 2\)"),
        ([0, 1], [1], r"got lengths \[2, 1\]"),
        ([], [], r"got lengths \[0, 0\]"),
    ],
)
def test_bad_input_is_refused(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        check_binary_scores(labels, scores)
