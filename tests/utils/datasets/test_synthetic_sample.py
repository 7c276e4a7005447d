"""The ceiling of a grouped verdict equals what the posteriors say."""

import doctest

import numpy as np
import pytest

from sparse_transformers.utils.dataset_loaders import LIAR_LABELS, LIAR_TRUTHFUL
from sparse_transformers.utils.dataset_synthesis import synthesize_liar
from sparse_transformers.utils.datasets import synthetic_sample


def test_ceiling_of_groups_is_that_of_their_summed_posteriors():
    sample = synthesize_liar(8000, seed=4)
    truthful = sample.posteriors[:, 3:].sum(axis=1)
    ceiling = sample.bayes_accuracy_of([LIAR_TRUTHFUL])
    assert ceiling == sample.bayes_accuracy_of([LIAR_TRUTHFUL, LIAR_LABELS[:3]])
    assert np.maximum(truthful, 1 - truthful).mean() == pytest.approx(ceiling, abs=0.01)
    hits = (truthful > 0.5) == sample.table["truthful"]
    four_errors = 4 * np.sqrt(ceiling * (1 - ceiling) / 8000)
    assert hits.mean() == pytest.approx(ceiling, abs=four_errors)
    assert sample.bayes_accuracy_of([[label] for label in LIAR_LABELS]) == sample.bayes_accuracy


@pytest.mark.parametrize(
    "groups", [["true"], "true", [["true"], []], [["truthful"]], [["true"], ["false", "true"]]]
)
def test_groups_that_are_none_are_refused(groups):
    with pytest.raises(ValueError, match="groups must"):
        synthesize_liar(5).bayes_accuracy_of(groups)


def test_example_of_the_documentation_is_right():
    assert doctest.testmod(synthetic_sample) == (0, 2)
