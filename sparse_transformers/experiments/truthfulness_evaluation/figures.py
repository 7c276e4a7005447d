"""The figures of the claim evaluation."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparse_transformers.experiments.truthfulness_evaluation.records import (
    BAYES,
    BOTH,
    LINEAR,
    MAJORITY,
    NGRAMS,
    TRANSFORMER,
    ClaimArm,
    ClaimEvaluation,
    ClaimTask,
)
from sparse_transformers.utils.plots.probabilities import plot_reliability, plot_threshold_curves
from sparse_transformers.utils.plots.style import WIDTH
from sparse_transformers.utils.plots.truthfulness import (
    plot_confusion_matrix,
    plot_metric_bars,
    plot_roc,
)

MODEL_COLORS = {LINEAR: "#999999", NGRAMS: "#E69F00", TRANSFORMER: "#0072B2", BOTH: "#117A65"}
LEAK_COLOR = "#E3B7B0"


def draw_accuracies(evaluation: ClaimEvaluation) -> Figure:
    """The accuracy of every arm with its interval, the majority and the ceiling as lines."""
    tasks = evaluation.tasks
    most_arms = max(len(_judging(task)) for task in tasks)
    figure, rows = _panels(len(tasks), 1, panel_height=1.6 + 0.25 * most_arms)
    for task, ax in zip(tasks, rows, strict=True):
        plot_metric_bars(
            {_label(arm): arm.scores.accuracy for arm in _judging(task)},
            references={
                name.lower(): arm.scores.accuracy.estimate
                for name in (MAJORITY, BAYES)
                for arm in task.arms
                if arm.model == name
            },
            colors={_label(arm): _color(arm) for arm in _judging(task)},
            title=f"{task.corpus}: {task.task} ({task.n_valid:,} held-out rows)",
            xlabel="share of held-out rows judged right",
            ax=ax,
        )
        ax.tick_params(labelsize=8)
    return figure


def draw_roc(evaluation: ClaimEvaluation) -> Figure:
    """The ROC curve of the best-informed classifier and of the best baseline, with bands."""
    return _by_binary_task(evaluation, _plot_roc_of, panel_height=5.4)


def draw_confusion(evaluation: ClaimEvaluation) -> Figure:
    """Which class the classifier takes for which."""
    figure, panels = _panels(len(evaluation.tasks), 2, panel_height=4.2)
    for task, ax in zip(evaluation.tasks, panels, strict=True):
        plot_confusion_matrix(
            task.arm(task.main_arm).scores.confusion, task.classes, title=_title(task), ax=ax
        )
        ax.tick_params(labelsize=8)
    return figure


def draw_reliability(evaluation: ClaimEvaluation) -> Figure:
    """Whether a probability means what it says."""
    figure, panels = _panels(len(evaluation.tasks), 2, panel_height=4.2)
    for task, ax in zip(evaluation.tasks, panels, strict=True):
        scores = task.arm(task.main_arm).scores
        plot_reliability(scores.reliability, null=scores.calibration, title=_title(task), ax=ax)
    return figure


def draw_thresholds(evaluation: ClaimEvaluation) -> Figure:
    """What happens to the measures if more or fewer claims are called truthful."""
    return _by_binary_task(evaluation, _plot_thresholds_of, panel_height=4.0)


def binary_tasks(evaluation: ClaimEvaluation) -> list[ClaimTask]:
    """Those with two classes."""
    return [task for task in evaluation.tasks if len(task.classes) == 2]


def best_baseline(task: ClaimTask) -> ClaimArm:
    """The most accurate honest arm that is no transformer, nor knows the posteriors."""
    compared = [
        arm
        for arm in task.arms
        if arm.model not in (MAJORITY, BAYES) and not arm.leaks and not arm.fold_accuracies
    ]
    return max(compared, key=lambda arm: arm.scores.accuracy.estimate)


def _plot_roc_of(task: ClaimTask, ax: Axes) -> None:
    arms = [task.arm(task.main_arm), best_baseline(task)]
    ceilings = [arm for arm in task.arms if arm.model == BAYES]
    curves = {_label(arm): arm.scores.binary.roc for arm in arms if arm.scores.binary is not None}
    ceiling = ceilings[0].scores.binary if ceilings else None
    plot_roc(curves, ceiling=None if ceiling is None else ceiling.roc, title=_title(task), ax=ax)


def _plot_thresholds_of(task: ClaimTask, ax: Axes) -> None:
    main = task.arm(task.main_arm)
    assert main.scores.binary is not None
    plot_threshold_curves(
        main.scores.binary.thresholds, chosen=main.threshold, title=_title(task), ax=ax
    )
    ax.set_ylim(-0.05, 1.05)


def _by_binary_task(
    evaluation: ClaimEvaluation, plot: Callable[[ClaimTask, Axes], None], *, panel_height: float
) -> Figure:
    tasks = binary_tasks(evaluation)
    figure, panels = _panels(len(tasks), 2, panel_height=panel_height)
    for task, ax in zip(tasks, panels, strict=True):
        plot(task, ax)
    return figure


def _panels(n_panels: int, n_columns: int, *, panel_height: float) -> tuple[Figure, Sequence[Axes]]:
    """Axes for so many panels, in rows; the figure is narrower if one panel is all."""
    n_rows = -(-n_panels // n_columns)
    width = WIDTH if n_panels > 1 or n_columns == 1 else 0.6 * WIDTH
    figure, grid = plt.subplots(
        n_rows,
        min(n_columns, n_panels),
        figsize=(width, panel_height * n_rows),
        layout="constrained",
        squeeze=False,
    )
    panels = list(grid.flat)
    for unused in panels[n_panels:]:
        unused.remove()
    return figure, panels[:n_panels]


def _judging(task: ClaimTask) -> list[ClaimArm]:
    """The arms that are drawn as bars; the others are lines."""
    return [arm for arm in task.arms if arm.model not in (MAJORITY, BAYES)]


def _label(arm: ClaimArm) -> str:
    return f"{arm.name} (leaks)" if arm.leaks else arm.name


def _color(arm: ClaimArm) -> str:
    return LEAK_COLOR if arm.leaks else MODEL_COLORS[arm.model]


def _title(task: ClaimTask) -> str:
    return f"{task.corpus}: {task.task}"
