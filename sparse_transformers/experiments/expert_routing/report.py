"""The expert experiment in words: every verdict follows from the numbers."""

import numpy as np

from sparse_transformers.experiments.expert_routing.records import (
    BEYOND,
    ExpertStudy,
    compare_with_frozen,
    difference,
)
from sparse_transformers.experiments.expert_routing.variants import (
    BALANCING,
    DENSE,
    FROZEN,
    LABELS,
    UNBALANCED,
)
from sparse_transformers.experiments.section import Highlight
from sparse_transformers.utils.report import (
    NO_VALUE,
    bullets,
    join,
    number,
    percent,
    plural,
    prose,
    table,
)
from sparse_transformers.utils.verdicts import (
    NOT_SHOWN,
    caution_about_seeds,
    compare,
    over_seeds,
    spell,
    verdict,
)


def findings(study: ExpertStudy) -> list[str]:
    """What learning to route adds, and what balance costs."""
    main, last = study.main_variant, study.settings.n_layers - 1
    violation = difference(study.violations(last), main, UNBALANCED)
    bits = difference(study.bits(), main, UNBALANCED)
    return [
        f"{plural(study.settings.n_seeds, 'seed')}, layer {last + 1}: the chosen expert holds "
        f"{_beyond(study, main)} of the information about a statement's kind beyond word and "
        f"position, with a frozen router {_beyond(study, FROZEN)}. "
        f"{compare_with_frozen(study, last)}",
        f"The balance loss changes the maximal violation by {spell(violation, '{:+.2f}')}, the "
        f"loss by {spell(bits, '{:+.3f}', 'bits')}; without it, the gain over frozen routing is "
        f"{_gain(study, UNBALANCED)}.",
    ]


def describe_routing(study: ExpertStudy) -> str:
    """What was trained."""
    settings = study.settings
    runs = {run.variant: run for run in study.runs}
    dense, main = runs[DENSE], runs[study.main_variant]
    return prose(f"""
        Models learn {study.n_words} words in synthetic statements of eight kinds
        ({settings.steps} steps, {plural(settings.n_seeds, "seed")}). Each layer routes a word to
        {settings.top_k} of {settings.num_experts} experts: {main.n_active_parameters:,} of
        {main.n_parameters:,} weights are active; the dense model has {dense.n_parameters:,}. All
        numbers are of held-out statements.""")


def describe_specialization(study: ExpertStudy) -> str:
    """What the first choice tells about the words, and how much of that is learned."""
    last = study.settings.n_layers - 1
    others = [name for name in BALANCING if name != study.main_variant]
    gains = join([f"{_gain(study, name)} ({LABELS[name]})" for name in others])
    return "\n\n".join(
        [
            prose(f"""
            The words so far hold {study.kind_bits:.2f} of 3 bits about the kind. The model with
            *{LABELS[UNBALANCED]}* differs from that with a frozen router in nothing else."""),
            bullets([f"Gain over the frozen router in layer {last + 1}: {gains}."]),
            "**Limit.** This does not show that experts hold the knowledge.",
            *caution_about_seeds(study.settings.n_seeds),
        ]
    )


def describe_balance(study: ExpertStudy) -> str:
    """What balances the load, and at what cost."""
    gap = difference(study.bits(), study.main_variant, DENSE)
    quality = compare("the loss with experts", "that of the dense model", gap, unit="bits")
    return f"{summarise(study)}\n\n{bullets(['Last step: ' + quality, _saturation(study)])}"


def describe_capacity(study: ExpertStudy) -> str:
    """What a limit means."""
    return prose(f"""
        Trained without a limit. At a factor c, an expert takes c times its even share of
        {study.settings.seq_len} words; the rest skips the layer.""")


def describe_close_up(study: ExpertStudy) -> str:
    """What is switched off, and how sure the numbers are."""
    errors = np.array(study.close_up.errors_bits[-1])
    return prose(f"""
        In the last layer, with *{LABELS[study.main_variant]}* and the first seed; standard errors
        are {errors.min():.3f} to {errors.max():.3f} bits.""")


def describe_flow(study: ExpertStudy) -> str:
    """How to read the flow."""
    return "Experts for kinds would show as thick lines out of one kind."


def summarise(study: ExpertStudy) -> str:
    """Quality and load of every variant as a table."""
    bits = study.bits()
    rows = []
    for name in dict.fromkeys(run.variant for run in study.runs):
        beside = NO_VALUE
        if name != UNBALANCED:
            beside = spell(difference(bits, name, UNBALANCED), "{:+.3f}")
        rows.append([LABELS[name], f"{bits[name].mean():.3f}", beside, _violations(study, name)])
    headers = ["model", "bits per word", f"less {LABELS[UNBALANCED]}", "violation by layer"]
    introduction = prose(f"""
        *Violation*: the load of the busiest expert over the even share, less 1; with a star where
        it is shown to differ from *{LABELS[UNBALANCED]}*. The grammar's entropy is
        {study.floor_bits:.3f} bits.""")
    return f"{introduction}\n\n{table(headers, rows)}"


def _violations(study: ExpertStudy, name: str) -> str:
    """The maximal violation of each layer, with a star where balancing is shown to change it."""
    if name == DENSE:
        return NO_VALUE
    cells = []
    for layer in range(study.settings.n_layers):
        violations = study.violations(layer)
        is_shown = verdict(difference(violations, name, UNBALANCED)) != NOT_SHOWN
        cells.append(number(violations[name].mean(), 2) + r"\*" * is_shown)
    return " / ".join(cells)


def highlight(study: ExpertStudy) -> Highlight:
    """Specialization beyond word and position: learned beside frozen."""
    return Highlight(
        question="information of the chosen expert about the kind of a statement, beyond word and "
        "position",
        found=f"learned router: {_beyond(study, study.main_variant)}",
        beside=f"frozen router: {_beyond(study, FROZEN)}; gain {_gain(study, study.main_variant)}",
    )


def _beyond(study: ExpertStudy, variant: str) -> str:
    """The score `BEYOND` in the last layer."""
    scores = study.scores(BEYOND, study.settings.n_layers - 1)
    return spell(over_seeds(scores[variant].tolist()), "{:.0%}")


def _gain(study: ExpertStudy, variant: str) -> str:
    """By how much that is above the frozen router's."""
    scores = study.scores(BEYOND, study.settings.n_layers - 1)
    return spell(difference(scores, variant, FROZEN), "{:+.3f}")


def _saturation(study: ExpertStudy) -> str:
    """How many of the final assignments are made after a quarter of the training."""
    snapshots = study.table("snapshots").query("variant == @study.main_variant")
    total = snapshots.step.max()
    step = min(snapshots.step, key=lambda step: abs(step - total / 4))
    early = snapshots[snapshots.step == step]
    made, by_chance = (
        percent(float(np.mean(early[column].tolist())))
        for column in ("saturation", "saturation_by_chance")
    )
    return (
        f"After {step} of {total} steps, {made} of the final assignments are made, {by_chance} by "
        "chance."
    )
