"""The figure of the multiple choice."""

from matplotlib.figure import Figure

from sparse_transformers.experiments.truthfulqa_choices.measure import (
    CHANCE,
    TRAINED,
    TruthfulQAChoices,
)
from sparse_transformers.utils.plots.style import TEXT_SIZE, new_figure
from sparse_transformers.utils.plots.truthfulness import plot_metric_bars
from sparse_transformers.utils.verdicts import list_by_verdict

MEANINGS = {
    "mc1": "MC1: share of questions with the best answer first",
    "mc2": "MC2: probability of the true answers",
}


def draw_choices(choices: TruthfulQAChoices) -> Figure:
    """MC1 and MC2 of the model and of the guesses, chance as a line."""
    figure, panels = new_figure(1, 2, height=3.6)
    figure.suptitle(f"{choices.questions}: {choices.n_questions:,} questions", fontsize=10)
    for (measure, xlabel), ax in zip(MEANINGS.items(), panels, strict=True):
        scores = {name: getattr(means, measure) for name, means in choices.scores.items()}
        chance = scores.pop(CHANCE).estimate
        found = list_by_verdict({TRAINED: scores[TRAINED]}, chance, CHANCE)
        plot_metric_bars(
            scores, references={CHANCE: chance}, title=found.strip("."), xlabel=xlabel, ax=ax
        )
        ax.tick_params(labelsize=TEXT_SIZE)
        ax.xaxis.label.set_size(TEXT_SIZE)
    panels[1].set_yticklabels([])
    return figure
