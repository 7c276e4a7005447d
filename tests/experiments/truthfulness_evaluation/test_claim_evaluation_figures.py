"""The figures about claims draw the numbers that were found."""

import io
from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
from claim_results import N_ROWS, THRESHOLD, made_up_evaluation, made_up_task, usual_arms
from matplotlib.container import ErrorbarContainer

from sparse_transformers.experiments.truthfulness_evaluation.figures import (
    best_baseline,
    binary_tasks,
    draw_accuracies,
    draw_confusion,
    draw_reliability,
    draw_roc,
    draw_thresholds,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import TRUTHFUL, VERDICTS

FIGURES = [draw_accuracies, draw_roc, draw_confusion, draw_reliability, draw_thresholds]
BASELINE = "TF-IDF + logistic regression, text"


def drawn(draw, *tasks):
    return draw(made_up_evaluation(*tasks))


def full_task(task, **choices):
    return made_up_task(task, usual_arms(task, **choices))


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def curves_of(ax):
    """What is drawn under each name of the legend: x and y."""
    handles, labels = ax.get_legend_handles_labels()
    lines = [each[0] if isinstance(each, ErrorbarContainer) else each for each in handles]
    curves = dict(zip(labels, lines, strict=True))
    return {
        label: (list(line.get_xdata()), list(line.get_ydata()))
        for label, line in curves.items()
        if hasattr(line, "get_xdata")
    }


@pytest.mark.parametrize("n_tasks", [1, 2, 3])
@pytest.mark.parametrize("draw", FIGURES)
def test_there_is_a_panel_for_every_task(draw, n_tasks):
    tasks = [made_up_task(TRUTHFUL, corpus=f"table {nth}") for nth in range(n_tasks)]
    figure = drawn(draw, *tasks)
    titles = [ax.get_title() for ax in figure.axes]
    assert [title.split(" (")[0] for title in titles] == [
        f"table {nth}: truthful or not" for nth in range(n_tasks)
    ]
    figure.savefig(io.BytesIO(), format="png")
    plt.close(figure)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("draw", [draw_roc, draw_thresholds])
def test_curves_are_for_two_classes(draw):
    tasks = [made_up_task(VERDICTS), made_up_task(TRUTHFUL, corpus="answers")]
    assert binary_tasks(made_up_evaluation(*tasks)) == tasks[1:]
    (ax,) = drawn(draw, *tasks).axes
    assert ax.get_title() == "answers: truthful or not"


@pytest.mark.parametrize("draw", [draw_accuracies, draw_confusion, draw_reliability])
def test_the_other_figures_are_for_verdicts_too(draw):
    assert len(drawn(draw, made_up_task(VERDICTS), made_up_task(TRUTHFUL)).axes) == 2


@pytest.mark.parametrize("task", [VERDICTS, TRUTHFUL])
def test_bars_are_accuracies_and_lines_are_references(task):
    (ax,) = drawn(draw_accuracies, full_task(task, ceiling=True, leaking=True)).axes
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "TF-IDF + logistic regression, metadata",
        BASELINE,
        "n-grams, text",
        "transformer, text",
        "transformer, text + history (leaks)",
    ]
    n_right = [31, 33, 39, 36, 54]
    assert [bar.get_width() for bar in ax.patches] == [right / N_ROWS for right in n_right]
    assert f"({N_ROWS} held-out rows)" in ax.get_title()
    upright = [line for line in ax.get_lines() if line.get_xdata()[0] == line.get_xdata()[1]]
    assert [line.get_xdata()[0] for line in upright] == [30 / N_ROWS, 48 / N_ROWS]
    assert legend_of(ax) == ["majority: 0.500", "bayes classifier: 0.800"]
    intervals = [list(line.get_xdata()) for line in ax.get_lines() if line not in upright]
    assert intervals == [[right / N_ROWS - 0.1, right / N_ROWS + 0.1] for right in n_right]


def test_bars_of_one_model_have_one_colour_and_leaks_another():
    (ax,) = drawn(draw_accuracies, full_task(TRUTHFUL, leaking=True)).axes
    metadata, text, ngrams, transformer, leak = [bar.get_facecolor() for bar in ax.patches]
    assert metadata == text
    assert len({text, ngrams, transformer, leak}) == 4


def test_no_ceiling_is_drawn_where_none_is_known():
    (ax,) = drawn(draw_accuracies, full_task(VERDICTS)).axes
    assert legend_of(ax) == ["majority: 0.500"]


@pytest.mark.parametrize("ceiling", [False, True])
def test_roc_is_of_the_main_arm_the_best_baseline_and_the_ceiling(ceiling):
    task = full_task(TRUTHFUL, ceiling=ceiling)
    (ax,) = drawn(draw_roc, task).axes
    expected = {
        "transformer, text: AUC 0.500 [0.400, 0.600]": task.main_arm,
        f"{BASELINE}: AUC 0.500 [0.400, 0.600]": BASELINE,
        **({"Bayes ceiling: AUC 0.500": "Bayes classifier, text"} if ceiling else {}),
    }
    curves = curves_of(ax)
    assert sorted(legend_of(ax)) == sorted(curves) == sorted([*expected, "chance"])
    assert curves["chance"] == ([0, 1], [0, 1])
    for label, name in expected.items():
        roc = task.arm(name).scores.binary.roc
        assert curves[label] == ([0, *roc.fpr], [0, *roc.tpr])


def test_best_baseline_neither_leaks_nor_was_cross_validated():
    task = full_task(VERDICTS, ceiling=True, leaking=True)
    assert best_baseline(task).name == BASELINE


def test_confusion_is_of_the_main_arm():
    (ax,) = drawn(draw_confusion, made_up_task(TRUTHFUL)).axes
    # Of the first 36 rows, 18 of each class are right.
    assert [text.get_text() for text in ax.texts] == ["18\n60%", "12\n40%", "12\n40%", "18\n60%"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["not truthful", "truthful"]


def test_reliability_is_of_the_main_arm():
    task = made_up_task(TRUTHFUL)
    scores = task.arm(task.main_arm).scores
    (ax,) = drawn(draw_reliability, task).axes
    bins = scores.reliability.bins
    assert curves_of(ax)[f"model: ECE {scores.calibration.error:.3f}"] == (
        [each.confidence for each in bins],
        [each.accuracy for each in bins],
    )


def test_thresholds_are_of_the_main_arm_with_the_chosen_one():
    task = made_up_task(TRUTHFUL)
    (ax,) = drawn(draw_thresholds, task).axes
    curves = curves_of(ax)
    table = task.arm(task.main_arm).scores.binary.thresholds
    assert curves["accuracy"] == (list(table.thresholds), list(table.accuracy))
    assert curves["F1"] == (list(table.thresholds), list(table.f1))
    assert curves["chosen by F1: 0.440"][0] == [THRESHOLD.threshold] * 2


def test_no_threshold_is_marked_where_none_was_chosen():
    arms = usual_arms(TRUTHFUL)
    arms[-1] = replace(arms[-1], threshold=None)
    (ax,) = drawn(draw_thresholds, made_up_task(TRUTHFUL, arms)).axes
    assert not any("chosen" in label for label in legend_of(ax))
