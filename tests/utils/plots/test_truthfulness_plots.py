"""The figures show the numbers that they are given, and name them in their legends."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from sparse_transformers.utils.metrics.roc import RocCurve
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.plots.truthfulness import (
    plot_confusion_matrix,
    plot_metric_bars,
    plot_roc,
)

CURVE = RocCurve(
    fpr=(0.0, 0.5, 1.0),
    tpr=(0.2, 0.8, 1.0),
    low=(0.1, 0.7, 1.0),
    high=(0.3, 0.9, 1.0),
    auc=Interval(0.7, 0.6, 0.8),
)


@pytest.fixture(autouse=True)
def figures_closed_and_defaults_unchanged():
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def line_called(ax, name):
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    handle = handles[next(label for label in handles if label.startswith(name))]
    return handle if hasattr(handle, "get_xdata") else handle.lines[0]


def test_roc_shows_curve_band_and_area():
    ax = plot_roc({"model": CURVE})
    line = line_called(ax, "model")
    assert line.get_xdata().tolist() == [0, 0, 0.5, 1]
    assert line.get_ydata().tolist() == [0, 0.2, 0.8, 1]
    corners = ax.collections[0].get_paths()[0].vertices.tolist()
    assert [0.5, 0.7] in corners
    assert [0.5, 0.9] in corners
    assert "model:\nAUC 0.700 [0.600, 0.800]" in legend_of(ax)
    assert list(line_called(ax, "chance").get_ydata()) == [0, 1]


def test_ceiling_is_drawn_without_a_band():
    ax = plot_roc({"a": CURVE, "b": CURVE}, ceiling=CURVE)
    assert len(ax.collections) == 2
    assert "Bayes classifier: AUC 0.700" in legend_of(ax)
    assert line_called(ax, "Bayes").get_linestyle() == "--"
    assert line_called(ax, "a:").get_color() != line_called(ax, "b:").get_color()


def test_confusion_matrix_writes_counts_and_shares_of_the_true_class():
    ax = plot_confusion_matrix([[30, 10], [0, 1200]], ["false", "true"])
    assert [text.get_text() for text in ax.texts] == ["30\n75%", "10\n25%", "0\n0%", "1,200\n100%"]
    assert np.array_equal(ax.collections[0].get_array(), [[0.75, 0.25], [0, 1]])
    rows = [label.get_text() for label in ax.get_yticklabels()]
    assert rows == ["false\n(n=40)", "true\n(n=1,200)"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")


def test_class_without_rows_is_hatched():
    ax = plot_confusion_matrix([[0, 0], [1, 3]], ["false", "true"])
    assert len(ax.texts) == len(ax.patches) == 2


def test_names_of_many_classes_do_not_overlap():
    names = ["pants-fire", "false", "barely-true", "half-true", "mostly-true", "true"]
    ax = plot_confusion_matrix(np.eye(6, dtype=int), names)
    ax.figure.draw_without_rendering()
    labels = ax.get_xticklabels()
    assert [label.get_text() for label in labels] == names
    assert all(label.get_rotation() == 30 for label in labels)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[1, 2]], r"must have 2 rows and columns, one per label, got \(1, 2\)"),
        ([[0, 0], [0, 0]], "at least one prediction"),
    ],
)
def test_matrix_without_sense_is_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        plot_confusion_matrix(counts, ["false", "true"])


def test_bars_show_scores_intervals_and_references():
    ax = plot_metric_bars(
        {"model": Interval(0.6, 0.5, 0.7), "metadata": Interval(0.4, 0.3, 0.5)},
        references={"majority": 0.45, "Bayes classifier": 0.8},
        title="t",
        xlabel="accuracy",
    )
    assert [bar.get_width() for bar in ax.patches] == [0.6, 0.4]
    assert [text.get_text() for text in ax.texts] == ["0.600", "0.400"]
    assert [tuple(line.get_xdata()) for line in ax.lines[:2]] == [(0.5, 0.7), (0.3, 0.5)]
    assert [line.get_xdata()[0] for line in ax.lines[2:]] == [0.45, 0.8]
    assert legend_of(ax) == ["majority: 0.450", "Bayes classifier: 0.800"]


def test_bars_without_references_have_no_legend():
    ax = plot_metric_bars({"model": Interval(0.6, 0.5, 0.7)}, title="t", xlabel="accuracy")
    assert ax.get_legend() is None


def test_plots_go_where_they_are_told():
    _, axes = plt.subplots(1, 3)
    drawn = [
        plot_roc({"model": CURVE}, title="one", ax=axes[0]),
        plot_confusion_matrix([[1]], ["true"], title="two", ax=axes[1]),
        plot_metric_bars({"a": Interval(0, 0, 0)}, title="three", xlabel="x", ax=axes[2]),
    ]
    assert drawn == list(axes)
    assert [ax.get_title() for ax in axes] == ["one", "two", "three"]
    assert len(plt.get_fignums()) == 1
