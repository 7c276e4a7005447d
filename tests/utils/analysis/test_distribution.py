"""A distribution is what NumPy says of the numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.analysis.distribution import distribution_of


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_fields_agree_with_numpy(values):
    found = distribution_of(iter(values))
    assert found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(np.std(values))
    assert found.median == pytest.approx(np.median(values))
    assert (found.min, found.max) == (min(values), max(values))
    for share in (5, 25, 75, 95):
        assert getattr(found, f"q{share:02}") == pytest.approx(np.percentile(values, share))


def test_no_numbers_have_no_distribution():
    assert distribution_of([]) is None


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(odd):
    with pytest.raises(ValueError, match="finite"):
        distribution_of([1.0, odd])
