"""The figures about claims draw the numbers that were found."""

import io
from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
from claim_results import (
    ALIKE,
    LESS,
    MORE,
    N_ROWS,
    THRESHOLD,
    made_up_evaluation,
    made_up_task,
    usual_models,
)
from matplotlib.container import ErrorbarContainer

from sparse_transformers.experiments.truthfulness_evaluation.figures import (
    draw_accuracies,
    draw_confusion,
    draw_reliability,
    draw_roc,
    draw_thresholds,
    plot_accuracies,
    plot_measures,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import TRUTHFUL, VERDICTS

FIGURES = [draw_accuracies, draw_roc, draw_confusion, draw_reliability, draw_thresholds]
BASELINE = "TF-IDF + logistic regression, text"


def drawn(draw, *tasks):
    return draw(made_up_evaluation(*tasks))


def full_task(task, **choices):
    return made_up_task(task, usual_models(task, **choices))


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
    titles = [ax.get_title() or ax.get_title("left") for ax in figure.axes]
    assert [title.split(":")[0] for title in titles if title] == [
        f"table {nth}, truthful or not" for nth in range(n_tasks)
    ]
    figure.savefig(io.BytesIO(), format="png")
    plt.close(figure)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("draw", [draw_roc, draw_thresholds])
def test_curves_are_for_two_classes(draw):
    tasks = [made_up_task(VERDICTS), made_up_task(TRUTHFUL, corpus="answers")]
    assert made_up_evaluation(*tasks).binary_tasks == tasks[1:]
    (ax,) = drawn(draw, *tasks).axes
    assert ax.get_title().startswith("answers, truthful or not:")


@pytest.mark.parametrize("draw", [draw_accuracies, draw_confusion, draw_reliability])
def test_the_other_figures_are_for_verdicts_too(draw):
    n_panels = 4 if draw is draw_accuracies else 2
    assert len(drawn(draw, made_up_task(VERDICTS), made_up_task(TRUTHFUL)).axes) == n_panels


@pytest.mark.parametrize("task", [VERDICTS, TRUTHFUL])
def test_bars_are_accuracies_and_lines_are_references(task):
    ax = plot_accuracies(full_task(task, ceiling=True, leaking=True))
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "majority,\nnothing",
        "TF-IDF + logistic regression,\nmetadata",
        "TF-IDF + logistic regression,\ntext",
        "n-grams,\ntext",
        "transformer,\ntext (chosen)",
        "transformer,\ntext + history (leaks)",
        "Bayes classifier,\ntext",
    ]
    n_right = [30, 31, 33, 39, 36, 54, 48]
    assert [bar.get_width() for bar in ax.patches] == [right / N_ROWS for right in n_right]
    assert f"{N_ROWS} held-out rows" in ax.get_xlabel()
    upright = [line for line in ax.get_lines() if line.get_xdata()[0] == line.get_xdata()[1]]
    assert [line.get_xdata()[0] for line in upright] == [30 / N_ROWS, 48 / N_ROWS]
    assert legend_of(ax) == ["majority: 0.500", "Bayes classifier: 0.800"]
    intervals = [list(line.get_xdata()) for line in ax.get_lines() if line not in upright]
    assert intervals == [[right / N_ROWS - 0.1, right / N_ROWS + 0.1] for right in n_right]


def test_bars_of_one_model_have_one_colour_and_leaks_another():
    ax = plot_accuracies(full_task(TRUTHFUL, leaking=True))
    _, metadata, text, ngrams, transformer, leak = [bar.get_facecolor() for bar in ax.patches]
    assert metadata == text
    assert len({text, ngrams, transformer, leak}) == 4


def test_no_ceiling_is_drawn_where_none_is_known():
    ax = plot_accuracies(full_task(VERDICTS))
    assert legend_of(ax) == ["majority: 0.500"]


@pytest.mark.parametrize(
    ("lead", "said"),
    [
        (MORE, "the chosen classifier is above the best baseline"),
        (LESS, "the chosen classifier is below the best baseline"),
        (ALIKE, "a difference to the best baseline is not shown"),
        ((0.03, 0.0, 0.06, 0.06), "a difference to the best baseline is not shown"),
    ],
)
def test_title_tells_what_was_found(lead, said):
    ax = plot_accuracies(made_up_task(VERDICTS, leads={BASELINE: lead}))
    assert ax.get_title("left") == f"claims, verdicts: {said}"


def cells_of(ax, columns):
    texts = [text.get_text() for text in ax.texts]
    return [texts[start : start + columns] for start in range(0, len(texts), columns)]


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        (VERDICTS, ["macro\nF1 ↑", "steps\noff ↓", "nats ↓", "calibr.\nerror ↓"]),
        (TRUTHFUL, ["macro\nF1 ↑", "AUC ↑", "nats ↓", "calibr.\nerror ↓"]),
    ],
)
def test_cells_are_the_other_measures(task, columns):
    made_up = full_task(task, ceiling=True, leaking=True)
    ax = plot_measures(made_up)
    assert [text.get_text() for text in ax.get_xticklabels()] == columns
    cells = cells_of(ax, 4)
    for row, model in zip(cells, made_up.models, strict=True):
        scores = model.scores
        second = scores.ordinal.mean_absolute_error if scores.ordinal else scores.binary.roc.auc
        expected = (
            scores.macro_f1.estimate,
            second.estimate,
            scores.loss_nats,
            scores.calibration.error,
        )
        assert row == [f"{value:.3f}" for value in expected]
    # 36 of 60 rows are right with 0.7, 24 are wrong with 0.3; so are the classes, half each.
    if task == TRUTHFUL:
        assert cells[4][:3] == ["0.600", "0.500", "0.696"]  # -(0.6 ln 0.7 + 0.4 ln 0.3)
    else:  # 24 rows are a class too far; the last class is taken for the first.
        assert cells[4][1] == f"{(20 * 1 + 4 * 5) / 60:.3f}"


def test_darker_is_better_and_an_infinite_loss_is_worst():
    models = usual_models(TRUTHFUL)
    models[-1] = replace(models[-1], scores=replace(models[-1].scores, loss_nats=None))
    ax = plot_measures(made_up_task(TRUTHFUL, models))
    assert [row[2] == "infinite" for row in cells_of(ax, 4)] == [False] * 4 + [True]
    shades = ax.collections[0].get_array().reshape(5, 4)
    losses = [model.scores.loss_nats for model in models[:-1]]
    assert shades[losses.index(min(losses)), 2] == 1
    assert shades[losses.index(max(losses)), 2] == shades[4, 2] == 0
    assert shades[3, 0] == 1  # the highest F1


@pytest.mark.parametrize("ceiling", [False, True])
def test_roc_is_of_the_main_model_the_best_baseline_and_the_ceiling(ceiling):
    task = full_task(TRUTHFUL, ceiling=ceiling)
    (ax,) = drawn(draw_roc, task).axes
    expected = {
        "transformer, text:\nAUC 0.500 [0.400, 0.600]": task.main_model,
        f"{BASELINE}:\nAUC 0.500 [0.400, 0.600]": BASELINE,
        **({"Bayes classifier: AUC 0.500": "Bayes classifier, text"} if ceiling else {}),
    }
    curves = curves_of(ax)
    assert sorted(legend_of(ax)) == sorted(curves) == sorted([*expected, "chance"])
    assert curves["chance"] == ([0, 1], [0, 1])
    for label, name in expected.items():
        [roc] = [each.scores.binary.roc for each in task.models if each.name == name]
        assert curves[label] == ([0, *roc.fpr], [0, *roc.tpr])


def test_best_baseline_neither_leaks_nor_was_cross_validated():
    task = full_task(VERDICTS, ceiling=True, leaking=True)
    assert task.best_baseline.name == BASELINE


def test_confusion_is_of_the_main_model():
    (ax,) = drawn(draw_confusion, made_up_task(TRUTHFUL)).axes
    # Of the first 36 rows, 18 of each class are right.
    assert [text.get_text() for text in ax.texts] == ["18\n60%", "12\n40%", "12\n40%", "18\n60%"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["not truthful", "truthful"]


def test_reliability_is_of_the_main_model():
    task = made_up_task(TRUTHFUL)
    scores = task.main.scores
    (ax,) = drawn(draw_reliability, task).axes
    assert ax.get_title().startswith("claims, truthful or not: calibration error\n")
    bins = scores.reliability.bins
    assert curves_of(ax)[f"model: ECE {scores.calibration.error:.3f}"] == (
        [each.confidence for each in bins],
        [each.accuracy for each in bins],
    )


@pytest.mark.parametrize(("error", "said"), [(0.09, "above"), (0.08, "not shown to be above")])
def test_title_tells_whether_the_calibration_error_is_beyond_chance(error, said):
    task = made_up_task(TRUTHFUL)
    calibration = replace(task.main.scores.calibration, error=error, null_high=0.08)
    models = [
        replace(each, scores=replace(each.scores, calibration=calibration)) for each in task.models
    ]
    (ax,) = drawn(draw_reliability, made_up_task(TRUTHFUL, models)).axes
    assert ax.get_title().splitlines()[1] == f"{said} that of a calibrated model"


def test_thresholds_are_of_the_main_model_with_the_chosen_one():
    task = made_up_task(TRUTHFUL)
    (ax,) = drawn(draw_thresholds, task).axes
    curves = curves_of(ax)
    table = task.main.scores.binary.thresholds
    assert curves["accuracy"] == (list(table.thresholds), list(table.accuracy))
    assert curves["F1"] == (list(table.thresholds), list(table.f1))
    assert curves["chosen by F1: 0.440"][0] == [THRESHOLD.threshold] * 2


def test_no_threshold_is_marked_where_none_was_chosen():
    models = usual_models(TRUTHFUL)
    models[-1] = replace(models[-1], threshold=None)
    (ax,) = drawn(draw_thresholds, made_up_task(TRUTHFUL, models)).axes
    assert not any("chosen" in label for label in legend_of(ax))
