"""Reliability and threshold figures show the numbers that they are given."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from sparse_transformers.utils.metrics.calibration import (
    CalibrationNull,
    ReliabilityBin,
    ReliabilityDiagram,
)
from sparse_transformers.utils.metrics.thresholds import choose_threshold, threshold_analysis
from sparse_transformers.utils.plots.probabilities import plot_reliability, plot_threshold_curves

DIAGRAM = ReliabilityDiagram(
    kind="positive-class",
    binning="width",
    bins=(
        ReliabilityBin(0.0, 0.5, 30, 0.3, 0.4, 0.25, 0.6),
        ReliabilityBin(0.5, 1.0, 10, 0.9, 0.7, 0.4, 0.9),
    ),
)
NULL = CalibrationNull(error=0.125, null_mean=0.05, null_high=0.09, confidence=0.95, p_value=0.01)
TRUTH, SCORES = [0, 0, 1, 0, 1, 1], [0.1, 0.2, 0.3, 0.4, 0.7, 0.9]


@pytest.fixture(autouse=True)
def figures_closed_and_defaults_unchanged():
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_reliability_shows_points_intervals_and_shares_of_rows():
    ax = plot_reliability(DIAGRAM)
    points, _, (whiskers,) = ax.containers[0].lines
    assert points.get_xydata().tolist() == [[0.3, 0.4], [0.9, 0.7]]
    ends = np.array(whiskers.get_segments())[:, :, 1]
    assert ends == pytest.approx(np.array([[0.25, 0.6], [0.4, 0.9]]))
    bars = ax.collections[0].get_segments()
    assert [bar.tolist() for bar in bars] == [[[0.3, 0], [0.3, 0.75]], [[0.9, 0], [0.9, 0.25]]]
    assert "share of the 40 rows in the bin" in legend_of(ax)
    assert "model" in legend_of(ax)


def test_reliability_says_what_a_calibrated_model_would_get():
    legend = legend_of(plot_reliability(DIAGRAM, null=NULL))
    assert "model: ECE 0.125" in legend
    assert "if calibrated: ECE 0.050, 95% below 0.090" in legend


def test_reliability_names_which_probability_it_is_about():
    top = ReliabilityDiagram("top-label", "mass", DIAGRAM.bins)
    assert plot_reliability(top).get_xlabel() == "probability of the predicted class"
    assert plot_reliability(DIAGRAM).get_xlabel() == "probability of the positive class"


def test_threshold_curves_are_the_columns_of_the_table():
    table = threshold_analysis(TRUTH, SCORES)
    ax = plot_threshold_curves(table, measures=("precision", "cost"))
    precision, cost = (container.lines[0] for container in ax.containers)
    assert precision.get_xdata() == pytest.approx(table.thresholds)
    assert precision.get_ydata()[:-1] == pytest.approx(table.precision[:-1])
    assert np.isnan(precision.get_ydata()[-1])  # nobody is called positive: no precision
    assert cost.get_ydata() == pytest.approx(table.cost)
    assert legend_of(ax) == ["precision", "mean cost"]


@pytest.mark.parametrize(
    ("criterion", "name"), [("f1", "F1"), ("recall", "precision at fixed recall")]
)
def test_chosen_threshold_is_marked(criterion, name):
    chosen = choose_threshold(TRUTH, SCORES, criterion)
    ax = plot_threshold_curves(threshold_analysis(TRUTH, SCORES), chosen=chosen)
    line = next(each for each in ax.lines if each.get_label().startswith("chosen"))
    assert line.get_xdata() == [chosen.threshold] * 2
    assert line.get_label() == f"chosen by {name}: {chosen.threshold:.3f}"


def test_unknown_measure_lists_those_there_are():
    with pytest.raises(
        ValueError, match=r"precision, recall, f1, mcc, accuracy, cost, got \['F'\]"
    ):
        plot_threshold_curves(threshold_analysis(TRUTH, SCORES), measures=["f1", "F"])


def test_plots_go_where_they_are_told():
    _, axes = plt.subplots(1, 2)
    assert plot_reliability(DIAGRAM, ax=axes[0]) is axes[0]
    table = threshold_analysis(TRUTH, SCORES)
    assert plot_threshold_curves(table, title="cut", ax=axes[1]) is axes[1]
    assert axes[1].get_title() == "cut"
    assert len(plt.get_fignums()) == 1
