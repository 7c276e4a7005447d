"""The multiple choice in words: every verdict follows from the numbers."""

from sparse_transformers.experiments.truthfulqa_choices.measure import (
    CHANCE,
    TRAINED,
    UNTRAINED,
    TruthfulQAChoices,
)
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.report import plural, prose, table
from sparse_transformers.utils.verdicts import list_by_verdict, spell


def findings(choices: TruthfulQAChoices) -> list[str]:
    """The trained model and the best guess beside chance."""
    mc1 = {name: means.mc1 for name, means in choices.scores.items()}
    chance = mc1.pop(CHANCE).estimate
    guesses = [name for name in mc1 if name not in (TRAINED, UNTRAINED)]
    best = max(guesses, key=lambda name: mc1[name].estimate)
    sides = list_by_verdict(
        {f"{name} ({spell(mc1[name], '{:.1%}')})": mc1[name] for name in (TRAINED, best)},
        chance,
        f"chance ({chance:.1%})",
    )
    bar = max(chance, mc1[best].estimate)
    return [
        f"The best answer first, {choices.n_questions:,} questions ({choices.questions}): {sides} "
        f"The guess has read no question: no score below {bar:.1%} shows understanding."
    ]


def describe_choices(choices: TruthfulQAChoices) -> str:
    """What was trained and asked, and every score."""
    settings = choices.settings
    return "\n\n".join(
        [
            prose(f"""
            A language model of bytes (width {settings.d_model},
            {plural(settings.n_layers, "layer")}, a window of {settings.window_size}) reads
            {choices.text} for {choices.train_seconds:.0f} seconds, which brings it to
            {choices.bits_per_byte:.2f} bits per held-out byte. MC1 asks whether the best answer
            comes first, MC2 how much probability the true answers have, MC3
            which share of them precedes every false one."""),
            summarise(choices),
            "**Limits.** So small a model has no knowledge: only wording and length count here.",
        ]
    )


def summarise(choices: TruthfulQAChoices) -> str:
    """All scores."""
    rows = [
        (name, _cell(means.mc1), _cell(means.mc2), _cell(means.mc3))
        for name, means in choices.scores.items()
    ]
    return table(("who chooses", "MC1", "MC2", "MC3"), rows)


def _cell(score: Interval) -> str:
    """A score, with its limits where it varies over the questions."""
    return spell(score) if score.low < score.high else f"{score.estimate:.3f}"
