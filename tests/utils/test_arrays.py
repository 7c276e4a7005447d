"""Scores may be tensors of any precision, with or without gradients."""

import numpy as np
import pytest
import torch

import sparse_transformers as st
from sparse_transformers.utils.arrays import as_array
from sparse_transformers.utils.metrics.calibration import expected_calibration_error
from sparse_transformers.utils.metrics.delong import delong_interval, delong_test, roc_auc
from sparse_transformers.utils.metrics.experts.load import load_fractions
from sparse_transformers.utils.metrics.probability_scores import brier_score
from sparse_transformers.utils.metrics.roc import roc_with_band
from sparse_transformers.utils.metrics.significance import (
    bootstrap_interval,
    holm_correction,
    mean_interval,
    paired_bootstrap,
    share_interval,
)
from sparse_transformers.utils.metrics.temperature_scaling import fit_temperature
from sparse_transformers.utils.metrics.thresholds import threshold_analysis
from sparse_transformers.utils.metrics.truthfulqa_scores import truthfulqa_mc

TRUTH = [0, 1] * 20


def distance(truth, scores):
    return float(np.mean(np.abs(truth - scores)))


def columns(scores):
    """The probabilities of both classes; exact, since the scores have few digits."""
    stack = torch.stack if torch.is_tensor(scores) else np.stack
    return stack([1 - scores, scores], -1)


METRICS = {
    "roc_auc": lambda p: roc_auc(TRUTH, p),
    "roc_with_band": lambda p: roc_with_band(TRUTH, p, n_resamples=9),
    "delong_interval": lambda p: delong_interval(TRUTH, p),
    "delong_test": lambda p: delong_test(TRUTH, p, list(reversed(p))),
    "calibration": lambda p: expected_calibration_error(TRUTH, columns(p), labels=[0, 1]),
    "brier_score": lambda p: brier_score(TRUTH, p, labels=[0, 1]),
    "temperature": lambda p: fit_temperature(TRUTH, columns(p), labels=[0, 1]),
    "thresholds": lambda p: threshold_analysis(TRUTH, p, thresholds=p[:3]),
    "bootstrap_interval": lambda p: bootstrap_interval(np.mean, p, n_resamples=9),
    "paired_bootstrap": lambda p: paired_bootstrap(distance, TRUTH, p, p, n_resamples=9),
    "mean_interval": mean_interval,
    "mean_of_a_list": lambda p: mean_interval(list(p)),
    "holm_correction": holm_correction,
    "share_interval": lambda p: share_interval(p > 0.5),
    "truthfulqa": lambda p: truthfulqa_mc(list(p[:2]), p[2:5]),
    "load": load_fractions,
    "similarity": lambda p: st.ExpertSpecializationAnalyzer().compute_expert_similarity(columns(p)),
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_metrics_take_tensors_as_they_take_numbers(metric, dtype):
    numbers = np.random.default_rng(0).integers(1, 64, size=len(TRUTH)) / 64
    found = metric(torch.tensor(numbers, dtype=dtype, requires_grad=True))
    np.testing.assert_equal(found, metric(numbers))


def test_arrays_keep_their_kind():
    assert as_array(torch.tensor([1, 2])).dtype == np.int64
    assert as_array(torch.tensor([True])).dtype == np.bool_
    assert as_array(["a", 1], object).tolist() == ["a", 1]
    assert as_array([torch.tensor(1.0, requires_grad=True), 2]).tolist() == [1.0, 2.0]
