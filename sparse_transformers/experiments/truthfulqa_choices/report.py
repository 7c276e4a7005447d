"""The multiple choice in words: every verdict follows from the numbers."""

from sparse_transformers.experiments.truthfulqa_choices.measure import (
    CHANCE,
    TRAINED,
    UNTRAINED,
    TruthfulQAChoices,
)
from sparse_transformers.utils.report import plural, prose, table
from sparse_transformers.utils.verdicts import list_by_verdict, spell


def findings(choices: TruthfulQAChoices) -> list[str]:
    """Who puts the best answer first more often than chance does, and what the best guess does."""
    mc1 = {name: means.mc1 for name, means in choices.scores.items()}
    chance = mc1.pop(CHANCE).estimate
    guesses = [name for name in mc1 if name not in (TRAINED, UNTRAINED)]
    best = max(guesses, key=lambda name: mc1[name].estimate)
    sides = list_by_verdict(
        {f"{name} ({spell(share, '{:.1%}')})": share for name, share in mc1.items()}, chance, CHANCE
    )
    return [
        f"A small language model and guesses choose among the answers to {choices.n_questions:,} "
        f"questions ({choices.questions}); chance puts the best first in {chance:.1%}. {sides}",
        f"The *{best}* is right in {mc1[best].estimate:.1%} without having read a question; no "
        "score below that shows understanding.",
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
            {choices.bits_per_byte:.2f} bits per held-out byte, and prefers answers of a high
            log-probability. MC1 asks whether the best answer comes first, MC2 how much probability
            the true answers have together, MC3 which share of them comes before every false one.
            The guesses know neither the question nor the world."""),
            summarise(choices),
            prose("""
            **Limits.** So small a model has no knowledge to be truthful with. Its scores show how
            far wording and length alone carry."""),
        ]
    )


def summarise(choices: TruthfulQAChoices) -> str:
    """All scores."""
    rows = [
        (name, str(means.mc1), str(means.mc2), str(means.mc3))
        for name, means in choices.scores.items()
    ]
    return table(("who chooses", "MC1", "MC2", "MC3"), rows)
