"""The figure of the multiple choice."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from sparse_transformers.experiments.truthfulqa_choices.measure import TruthfulQAChoices
from sparse_transformers.utils.metrics.truthfulqa_scores import McMeans
from sparse_transformers.utils.plots.truthfulness import plot_metric_bars

CHANCE = "chance"


def draw_choices(choices: TruthfulQAChoices) -> Figure:
    """MC1 and MC2 of the model and of the guesses, chance as a line."""
    figure, panels = plt.subplots(1, 2, figsize=(9.2, 3.4), layout="constrained")
    arms = arms_of(choices)
    chance = choices.controls[CHANCE]
    meanings = {
        "mc1": "MC1: share of questions with the best answer first",
        "mc2": "MC2: probability of the true answers",
    }
    for (measure, xlabel), ax in zip(meanings.items(), panels, strict=True):
        plot_metric_bars(
            {name: getattr(means, measure) for name, means in arms.items()},
            references={CHANCE: getattr(chance, measure).estimate},
            title=f"{choices.questions}: {choices.n_questions:,} questions",
            xlabel=xlabel,
            ax=ax,
        )
        ax.tick_params(labelsize=8)
        ax.xaxis.label.set_size(9)
    return figure


def arms_of(choices: TruthfulQAChoices) -> dict[str, McMeans]:
    """All that chose, by name, but chance itself."""
    guesses = {name: means for name, means in choices.controls.items() if name != CHANCE}
    return {
        "trained model": choices.trained,
        "untrained model": choices.untrained,
        **{f"guess: {name}": means for name, means in guesses.items()},
    }
