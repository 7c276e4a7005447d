"""Balance is what scipy says of the counts."""

import numpy as np
import pytest
from scipy.stats import chisquare

from sparse_transformers.utils.analysis.label_balance import analyze_label_distribution


def labels(**counts: int) -> list[str]:
    return [name for name, count in counts.items() for _ in range(count)]


def test_counts_shares_and_chi_square():
    found = analyze_label_distribution(labels(half=30, true=50, false=20))
    assert found.label_counts == {"false": 20, "half": 30, "true": 50}
    assert list(found.label_counts) == ["false", "half", "true"]
    assert found.label_proportions["true"] == 0.5
    assert (found.most_common_label, found.least_common_label) == ("true", "false")
    assert found.balance_ratio == 0.4
    expected = chisquare([20, 30, 50])
    assert found.imbalance_severity == pytest.approx(expected.statistic)
    assert found.imbalance_p_value == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(
    ("smaller", "called"),
    [
        (100, "Well-balanced"),
        (81, "Well-balanced"),
        (80, "Moderately balanced"),
        (51, "Moderately balanced"),
        (50, "Highly imbalanced"),
        (1, "Highly imbalanced"),
    ],
)
def test_balance_is_called_by_its_ratio(smaller, called):
    assert analyze_label_distribution(labels(a=100, b=smaller)).balance_class == called


def test_order_is_kept_and_missing_labels_are_left_out():
    found = analyze_label_distribution([True, False, None, np.nan, "", True], ["True", "False"])
    assert list(found.label_counts.items()) == [("True", 2), ("False", 1)]


def test_one_label_is_balanced_with_itself():
    found = analyze_label_distribution(["a", "a"])
    assert (found.balance_ratio, found.imbalance_p_value) == (1, 1)


def test_labels_that_cannot_be_counted_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        analyze_label_distribution([None, ""])
    with pytest.raises(ValueError, match=r"labels must be among a, got \['b'\]"):
        analyze_label_distribution(["a", "b"], ["a"])
