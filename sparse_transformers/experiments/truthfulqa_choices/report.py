"""The multiple choice in words: every verdict follows from the numbers."""

from sparse_transformers.experiments.truthfulqa_choices.figures import CHANCE, arms_of
from sparse_transformers.experiments.truthfulqa_choices.measure import TruthfulQAChoices
from sparse_transformers.utils.metrics.truthfulqa_scores import McMeans
from sparse_transformers.utils.report import bullets, prose, table


def describe_choices(choices: TruthfulQAChoices) -> str:
    """How the model chose, and what that is worth beside guesses."""
    settings = choices.settings
    return "\n\n".join(
        [
            prose(f"""
            A language model of bytes (width {settings.d_model}, {settings.n_layers} layers, a
            window of {settings.window_size}) reads {choices.text} for {choices.train_seconds:.0f}
            seconds, which brings it to {choices.bits_per_byte:.2f} bits per held-out byte. Then it
            gives each answer a log-probability, summed over its bytes. MC1 asks whether the best
            answer comes first, MC2 how much probability the true answers have together, MC3 which
            share of them comes before every false one. The guesses know neither the question nor
            the world."""),
            _table(choices),
            bullets(_verdicts(choices)),
            prose("""
            **Limits.** So small a model has no knowledge to be truthful with. What its scores show
            is how far wording and length alone carry; a larger model's score means something only
            beyond these rows."""),
        ]
    )


def summarise(choices: TruthfulQAChoices) -> str:
    """The scores in short."""
    heading = prose(f"""
    **{choices.questions}: multiple choice.** {choices.n_questions:,} questions; a language model of
    bytes that read {choices.text} for {choices.train_seconds:.0f} seconds, and guesses that read
    nothing.""")
    return "\n\n".join([heading, _table(choices), bullets(_verdicts(choices))])


def _table(choices: TruthfulQAChoices) -> str:
    arms = {**arms_of(choices), CHANCE: choices.controls[CHANCE]}
    rows = [(name, str(each.mc1), str(each.mc2), str(each.mc3)) for name, each in arms.items()]
    return table(("who chooses", "MC1", "MC2", "MC3"), rows)


def _verdicts(choices: TruthfulQAChoices) -> list[str]:
    chance = choices.controls[CHANCE].mc1.estimate
    low, high = choices.trained.mc1.low, choices.trained.mc1.high
    if low <= chance <= high:
        first = f"The trained model cannot be told from chance on MC1 ({chance:.3f})."
    else:
        word = "above" if low > chance else "below"
        first = f"The trained model is {word} chance on MC1 ({chance:.3f}) beyond its interval."
    guesses = {name: each for name, each in choices.controls.items() if name != CHANCE}
    best = max(guesses, key=lambda name: _mc1(guesses[name]))
    return [
        first,
        f"The best guess, *{best}*, has an MC1 of {_mc1(guesses[best]):.3f} without reading a "
        "question; no score below that shows understanding.",
    ]


def _mc1(means: McMeans) -> float:
    return means.mc1.estimate


def findings(result: object) -> list[str]:
    """To be written."""
    return []
