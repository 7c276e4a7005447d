"""The expert experiment in words: every verdict follows from the numbers."""

import numpy as np

from sparse_transformers.experiments.expert_routing.records import (
    BEYOND,
    ExpertStudy,
    compare_with_frozen,
    difference,
    effects_of_balancing,
)
from sparse_transformers.experiments.expert_routing.variants import (
    BALANCING,
    DENSE,
    FROZEN,
    HASH,
    LABELS,
    UNBALANCED,
    UNTRAINED,
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
    caution_about_seeds,
    compare,
    list_by_verdict,
    over_seeds,
    spell,
)

STATISTICS = {
    "coefficient_of_variation": "variation",
    "normalised_entropy": "load entropy",
    "dead_experts": "unused",
    "normalised_router_entropy": "router entropy",
    "margin": "margin",
    "repeat_rate": "repeats",
    "repeat_rate_by_chance": "by chance",
}
"""Fields of `LayerStatistics`, and their names in the table."""


def findings(study: ExpertStudy) -> list[str]:
    """What learning to route adds, and what balance costs."""
    main, last = study.main_variant, study.settings.n_layers - 1
    violations = effects_of_balancing(study.violations(last))
    bits = effects_of_balancing(study.bits())
    return [
        f"Beyond the word and its position, the choice of the expert in layer {last + 1} holds "
        f"{_beyond(study, main)} of the information about the kind of a statement "
        f"(*{LABELS[main]}*), with a frozen router {_beyond(study, FROZEN)}: "
        f"{compare_with_frozen(study, last)} Without a balance loss, which the frozen router lacks "
        f"as well, the gain is {_gain(study, UNBALANCED)}.",
        f"With *{LABELS[main]}*, the maximal violation in layer {last + 1} differs from that "
        f"without balancing by {spell(violations[LABELS[main]], '{:+.2f}')}, the loss by "
        f"{spell(bits[LABELS[main]], '{:+.3f}')} bits per word. "
        f"{list_by_verdict(bits, 0, 'the loss without balancing')}",
        *caution_about_seeds(study.settings.n_seeds),
    ]


def describe_routing(study: ExpertStudy) -> str:
    """What was trained, and how the routers spread the words."""
    settings = study.settings
    runs = {run.variant: run for run in study.runs}
    dense, main = runs[DENSE], runs[study.main_variant]
    means = study.table("layers").groupby("label", sort=False)[list(STATISTICS)].mean()
    rows = [[label, *(number(mean, 2) for mean in row)] for label, *row in means.itertuples()]
    return "\n\n".join(
        [
            prose(f"""
            Language models learn {study.n_words} words in synthetic statements of eight kinds, in
            {settings.steps} steps with {plural(settings.n_seeds, "seed")}. In each of
            {settings.n_layers} layers, each word is routed to {settings.top_k} of
            {settings.num_experts} experts: {main.n_active_parameters:,} of {main.n_parameters:,}
            weights are active. The dense model has {dense.n_parameters:,}. All numbers are of
            held-out statements; here, means over layers and seeds. Entropies are 1 for even shares;
            *margin* is the lead of the likeliest expert; *repeats* counts neighbouring words with
            the same first choice."""),
            table(["router", *STATISTICS.values()], rows),
        ]
    )


def describe_specialization(study: ExpertStudy) -> str:
    """What the first choice tells about the words, and how much of that is learned."""
    names, layers = (study.main_variant, UNTRAINED, FROZEN, HASH), range(study.settings.n_layers)
    rows = []
    for layer in layers:
        for what, classes in (("word", "word"), ("kind, beyond", BEYOND)):
            scores = study.scores(classes, layer)
            intervals = [over_seeds(scores[name].tolist()) for name in names]
            cells = [spell(interval, "{:.2f}") for interval in intervals]
            rows.append([f"{what}, layer {layer + 1}", *cells])
    gains = [f"{_gain(study, name)} ({LABELS[name]})" for name in (UNBALANCED, *BALANCING)]
    return "\n\n".join(
        [
            prose(f"""
            How much does the first choice tell about the word, and about the kind of the statement
            *beyond* word and position? 0 is what shuffled classes give (for the kind, those of
            whole statements), 1 the most there is. The words so far hold {study.kind_bits:.2f} of 3
            bits about the kind. Long whiskers are cut at the frame."""),
            table(["", *(LABELS[name] for name in names)], rows),
            bullets(
                [
                    *(
                        f"Layer {layer + 1}: {compare_with_frozen(study, layer)}"
                        for layer in layers[:-1]
                    ),
                    f"Gain over the frozen router in layer {len(layers)}: {join(gains)}.",
                ]
            ),
            prose("""
            **Limits.** Choices and classes go together; this does not show that experts hold the
            knowledge. The frozen router is a hard control, as the hidden states are learned."""),
        ]
    )


def describe_balance(study: ExpertStudy) -> str:
    """What balances the load, and at what cost."""
    sentences = [
        list_by_verdict(
            effects_of_balancing(study.violations(layer)),
            0,
            f"the violation without balancing in layer {layer + 1}",
        )
        for layer in range(study.settings.n_layers)
    ]
    gap = difference(study.bits(), study.main_variant, DENSE)
    quality = compare("the loss with experts", "that of the dense model", gap, unit="bits")
    sentences.append(f"Last step: {quality}")
    return f"{summarise(study)}\n\n{bullets([*sentences, _saturation(study)])}"


def describe_capacity(study: ExpertStudy) -> str:
    """How much is dropped where experts take a limited number of words."""
    nearest = min(study.settings.capacity_factors, key=lambda factor: abs(factor - 1))
    points = study.table("capacities").query("factor == @nearest").groupby("label", sort=False)
    found = [
        f"{label} {dropped:.1%} ({bits:.3f} bits per word)"
        for label, dropped, bits in points[["dropped_share", "bits_per_word"]].mean().itertuples()
    ]
    return prose(f"""
        With a capacity factor c, an expert takes c times its even share of a sequence of
        {study.settings.seq_len} words; the rest skips the layer. The models were trained without a
        limit. Dropped at a factor of {nearest:g}: {join(found)}.""")


def describe_close_up(study: ExpertStudy) -> str:
    """What switching off each expert costs."""
    kinds, bits = study.close_up.kinds, np.array(study.close_up.added_bits[-1])
    errors = np.array(study.close_up.errors_bits[-1])
    means, widest = bits.mean(1), bits[np.ptp(bits, axis=1).argmax()]
    return prose(f"""
        One expert of the last layer is switched off at a time (*{LABELS[study.main_variant]}*,
        first seed; standard errors {errors.min():.3f} to {errors.max():.3f} bits). A word costs
        {means.max():.2f} bits more without expert {means.argmax()}, {means.min():.2f} without
        expert {means.argmin()}. Kinds differ most without expert
        {np.ptp(bits, axis=1).argmax()}: *{kinds[widest.argmax()]}* {widest.max():.2f},
        *{kinds[widest.argmin()]}* {widest.min():.2f}.""")


def describe_flow(study: ExpertStudy) -> str:
    """How to read the flow."""
    return "Experts for kinds would show as thick lines out of one kind."


def summarise(study: ExpertStudy) -> str:
    """Quality and load of every variant as a table."""
    bits, layers = study.bits(), range(study.settings.n_layers)
    rows = []
    for name in dict.fromkeys(run.variant for run in study.runs):
        beside = NO_VALUE
        if name != UNBALANCED:
            beside = spell(difference(bits, name, UNBALANCED), "{:+.3f}")
        loads = [
            NO_VALUE if name == DENSE else number(study.violations(layer)[name].mean(), 2)
            for layer in layers
        ]
        rows.append([LABELS[name], f"{bits[name].mean():.3f}", beside, *loads])
    headers = ["model", "bits per word", f"less {LABELS[UNBALANCED]}"]
    headers += [f"violation, layer {layer + 1}" for layer in layers]
    introduction = prose(f"""
        *Violation*: the load of the busiest expert over the even share, less 1. A model that knows
        the grammar needs {study.floor_bits:.3f} bits per word. Differences are paired by seed.""")
    return f"{introduction}\n\n{table(headers, rows)}"


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
        f"chance (*{LABELS[study.main_variant]}*)."
    )
