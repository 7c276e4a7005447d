"""The figures of the claim evaluation."""

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparse_transformers.experiments.truthfulness_evaluation.records import (
    BAYES,
    BOTH,
    LINEAR,
    MAJORITY,
    NGRAMS,
    TRANSFORMER,
    ClaimEvaluation,
    ClaimTask,
    JudgedModel,
)
from sparse_transformers.utils.plots.base import plot_table
from sparse_transformers.utils.plots.probabilities import plot_reliability, plot_threshold_curves
from sparse_transformers.utils.plots.style import (
    COLORS,
    REFERENCE_COLOR,
    TEXT_SIZE,
    WIDTH,
    new_figure,
    new_panels,
)
from sparse_transformers.utils.plots.truthfulness import (
    plot_confusion_matrix,
    plot_metric_bars,
    plot_roc,
)
from sparse_transformers.utils.verdicts import ABOVE, BELOW, NOT_SHOWN, verdict

MODEL_COLORS = {TRANSFORMER: COLORS[0], NGRAMS: COLORS[4], BOTH: COLORS[2], LINEAR: REFERENCE_COLOR}
MODEL_COLORS |= {MAJORITY: "#DDDDDD", BAYES: "#555555"}
LEAK_COLOR = "#E3B7B0"
LEADS = {
    ABOVE: "the chosen classifier is above the best baseline",
    BELOW: "the chosen classifier is below the best baseline",
    NOT_SHOWN: "a difference to the best baseline is not shown",
}


def draw_accuracies(evaluation: ClaimEvaluation) -> Figure:
    """For each task the accuracy of every model with its interval, and further measures."""
    tasks = evaluation.tasks
    n_models = [len(task.models) for task in tasks]
    figure, rows = new_figure(
        len(tasks),
        2,
        height=sum(1.6 + 0.34 * count for count in n_models),
        width_ratios=(1, 1.2),
        height_ratios=n_models,
        squeeze=False,
    )
    for task, (bars, measures) in zip(tasks, rows, strict=True):
        plot_accuracies(task, ax=bars)
        plot_measures(task, ax=measures)
    return figure


def plot_accuracies(task: ClaimTask, *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of every model; the majority and the ceiling also as lines."""
    ax = plot_metric_bars(
        {_label(each, task): each.scores.accuracy for each in task.models},
        references={
            each.model: each.scores.accuracy.estimate
            for each in (*task.of(MAJORITY), *task.of(BAYES))
        },
        colors={
            _label(each, task): LEAK_COLOR if each.leaks else MODEL_COLORS[each.model]
            for each in task.models
        },
        title="",
        xlabel=f"share of {task.n_valid:,} held-out rows judged right",
        ax=ax,
    )
    lead = task.best_baseline.lead
    assert lead is not None
    ax.set_title(
        f"{_title(task)}: {LEADS[verdict(lead.difference)]}", loc="left", fontsize=TEXT_SIZE
    )
    ax.set_ylim(len(task.models) - 0.5, -0.5)
    ax.tick_params(labelsize=TEXT_SIZE)
    ax.xaxis.label.set_fontsize(TEXT_SIZE)
    return ax


def plot_measures(task: ClaimTask, *, ax: Axes | None = None) -> Axes:
    """Write the other measures of every model into cells, in the order of the accuracies."""
    measures = pd.DataFrame([_measures(each) for each in task.models])
    best_is_1 = [1 if column.endswith("↑") else -1 for column in measures] * measures
    shades = (best_is_1 - best_is_1.min()) / (best_is_1.max() - best_is_1.min())
    return plot_table(
        shades.fillna(0).to_numpy().tolist(),
        measures.map("{:.3f}".format, na_action="ignore").fillna("infinite").to_numpy().tolist(),
        rows=[""] * len(measures),
        columns=list(measures),
        title="",
        xlabel="darker is better in its column",
        limits=(0, 1.4),
        cmap="Blues",
        ax=ax,
    )


def draw_roc(evaluation: ClaimEvaluation) -> Figure:
    """The ROC curves of the chosen classifier and of the best baseline, with bands."""

    def plot(task: ClaimTask, ax: Axes) -> None:
        curves = {
            each.name: each.scores.binary.roc
            for each in (task.main, task.best_baseline, *task.of(BAYES))
            if each.scores.binary is not None
        }
        ceiling = curves.pop(task.of(BAYES)[0].name) if task.of(BAYES) else None
        chosen, baseline = (f"{curve.auc.estimate:.3f}" for curve in curves.values())
        title = f"{_title(task)}:\nAUC {chosen}, best baseline {baseline}"
        plot_roc(curves, ceiling=ceiling, title=title, ax=ax)

    return _draw_each(evaluation.binary_tasks, plot, height=6.2)


def draw_confusion(evaluation: ClaimEvaluation) -> Figure:
    """Which class the classifier takes for which."""

    def plot(task: ClaimTask, ax: Axes) -> None:
        scores = task.main.scores
        title = f"{_title(task)}: {scores.accuracy.estimate:.0%} right"
        plot_confusion_matrix(scores.confusion, task.classes, title=title, ax=ax)

    return _draw_each(evaluation.tasks, plot, height=4.2)


def draw_reliability(evaluation: ClaimEvaluation) -> Figure:
    """Whether a probability means what it says."""

    def plot(task: ClaimTask, ax: Axes) -> None:
        scores = task.main.scores
        found = "above" if scores.is_miscalibrated else "not shown to be above"
        title = f"{_title(task)}: calibration error\n{found} that of a calibrated model"
        plot_reliability(scores.reliability, null=scores.calibration, title=title, ax=ax)

    return _draw_each(evaluation.tasks, plot, height=5.0)


def draw_thresholds(evaluation: ClaimEvaluation) -> Figure:
    """What happens to the measures if more or fewer claims are called truthful."""

    def plot(task: ClaimTask, ax: Axes) -> None:
        main, found = task.main, "no threshold was chosen"
        assert main.scores.binary is not None
        if main.f1_at_threshold is not None:
            found = f"F1 of {main.f1_at_threshold:.3f} as chosen"
        title, thresholds = f"{_title(task)}: {found}", main.scores.binary.thresholds
        plot_threshold_curves(thresholds, chosen=main.threshold, title=title, ax=ax)
        ax.set_ylim(-0.05, 1.05)

    return _draw_each(evaluation.binary_tasks, plot, height=4.8)


def _draw_each(
    tasks: Sequence[ClaimTask], plot: Callable[[ClaimTask, Axes], None], *, height: float
) -> Figure:
    """A panel for each task, two in a row; the figure is narrower if there is one alone."""
    figure, panels = new_panels(len(tasks), height=height, columns=2)
    if len(tasks) == 1:
        figure.set_figwidth(0.7 * WIDTH)
    for task, ax in zip(tasks, panels, strict=True):
        plot(task, ax)
    return figure


def _measures(model: JudgedModel) -> dict[str, float | None]:
    """What there is beside the accuracy; whether more or less is better stands behind the name."""
    scores = model.scores
    measures: dict[str, float | None] = {"macro\nF1 ↑": scores.macro_f1.estimate}
    if scores.binary is not None:
        measures["AUC ↑"] = scores.binary.roc.auc.estimate
    if scores.ordinal is not None:
        measures["steps\noff ↓"] = scores.ordinal.mean_absolute_error.estimate
    return measures | {"nats ↓": scores.loss_nats, "calibr.\nerror ↓": scores.calibration.error}


def _label(model: JudgedModel, task: ClaimTask) -> str:
    marks = " (leaks)" * model.leaks + " (chosen)" * (model.name == task.main_model)
    return f"{model.model},\n{model.inputs}{marks}"


def _title(task: ClaimTask) -> str:
    return f"{task.corpus}, {task.task}"
