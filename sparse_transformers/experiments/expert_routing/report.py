"""The expert experiment in words: every verdict follows from the numbers."""

from collections.abc import Callable, Iterable

import numpy as np

from sparse_transformers.experiments.expert_routing.records import ExpertRun, ExpertStudy
from sparse_transformers.experiments.expert_routing.variants import (
    ARMS,
    BALANCING,
    DENSE,
    FROZEN,
    HASH,
    UNBALANCED,
)
from sparse_transformers.interpretability.routing_statistics import LayerStatistics
from sparse_transformers.utils.metrics.significance import Interval, mean_interval
from sparse_transformers.utils.report import NO_VALUE, bullets, join, number, percent, prose, table

ENOUGH_SEEDS = 5
BEYOND = "kind given word, position"
"""What needs content other than the word: the label that the verdict on specialization rests on."""


def describe_routing(study: ExpertStudy) -> str:
    """What was trained, and how the routers share out the words."""
    settings = study.settings
    dense, experts = (study.runs_of(arm)[0] for arm in (DENSE, study.watched_arm))
    rows = [
        (
            ARMS[arm].label,
            *(
                number(_mean_of(study, arm, statistic), 2)
                for statistic in (
                    lambda layer: layer.max_violation,
                    lambda layer: layer.coefficient_of_variation,
                    lambda layer: layer.normalised_entropy,
                    lambda layer: layer.dead_experts,
                    lambda layer: layer.normalised_router_entropy,
                    lambda layer: layer.margin,
                    lambda layer: layer.repeat_rate,
                    lambda layer: layer.repeat_rate_by_chance,
                )
            ),
        )
        for arm in study.arms
        if study.runs_of(arm)[0].layers
    ]
    headers = (
        "router",
        "maximal violation",
        "variation",
        "load entropy",
        "dead experts",
        "router entropy",
        "margin",
        "repeats",
        "by chance",
    )
    return "\n\n".join(
        [
            prose(f"""
            Language models of {settings.n_layers} layers learn {study.n_words} words in synthetic
            statements of eight kinds about four domains, drawn independently of each other.
            In every layer {settings.num_experts} experts take the place of the feed-forward part,
            and each word is read by {settings.top_k} of them: {experts.n_active_parameters:,} of
            {experts.n_parameters:,} weights meet a word. The dense model has
            {dense.n_parameters:,}. Every model was trained for {settings.steps} steps with
            {settings.n_seeds} seeds; all numbers are of held-out statements."""),
            prose("""
            *Maximal violation* is how much more than its share the busiest expert reads; 0 is
            even. *Load entropy* is 1 for an even load, *router entropy* 1 for a router that
            prefers no expert, *margin* the lead of the likeliest expert. *Repeats* is how often two
            neighbouring words have the same first choice, beside what chance gives. Means over
            layers and seeds."""),
            table(headers, rows),
            *_hints_only(study),
        ]
    )


def describe_specialization(study: ExpertStudy) -> str:
    """What experts know of what they read, and how much of that they have learned."""
    n_layers = study.settings.n_layers
    return "\n\n".join(
        [
            prose(f"""
            How much does the first choice of a word tell about the word, its place in the
            statement, the kind and the domain of the statement? 0 is what shuffled classes give, 1
            all there is to know. Tokens of a statement are no independent draws, so the classes of
            whole statements are shuffled. *Given word, position* is what an expert tells about the
            kind beyond the word that it reads and where that stands: it needs the words before.
            Nobody can tell more of the kind than the
            {study.kind_bits:.2f} of 3 bits that the words so far hold, on average.
            Intervals are 95% over {study.settings.n_seeds} seeds; whiskers longer than the figure
            are cut at its frame."""),
            bullets(
                [
                    sentence
                    for layer in range(n_layers)
                    for sentence in (_word_verdict(study, layer), _beyond_verdict(study, layer))
                ]
                + [_every_way_to_learn(study)]
            ),
            prose("""
            **Limits.** The frozen router is the hardest control: the rest of its model learns, and
            hidden states that carry the kind bring it to any router, learned or not. What
            a score says is that choices and classes go together, not that an expert holds the
            knowledge; see what happens without it below."""),
        ]
    )


def describe_balance(study: ExpertStudy) -> str:
    """What balances the load, and at what cost."""
    return "\n\n".join(
        [
            prose(f"""
            Without any balancing, routers may send most words to few experts. The balance loss
            pushes them apart by gradient, noise by trying near ties both ways, and the bias without
            any gradient. What does balance cost? One who knows the grammar needs
            {study.floor_bits:.3f} bits per word; no model can expect less. Differences are paired
            by seed, with their 95% interval; the bands in the figure reach from the lowest to the
            highest seed."""),
            table(*_balance_table(study)),
            bullets(
                [
                    *(_balance_verdict(study, arm) for arm in BALANCING if arm != UNBALANCED),
                    _dense_verdict(study),
                    _saturation(study),
                ]
            ),
        ]
    )


def describe_capacity(study: ExpertStudy) -> str:
    """How much is turned away where experts have room for so many words only."""
    arms = [arm for arm in study.arms if study.runs_of(arm)[0].capacities]
    points = study.runs_of(arms[0])[0].capacities
    rows = [
        (
            "dropless" if point.factor is None else f"{point.factor:g}",
            *(
                f"{_mean(run.capacities[nth].dropped_share for run in study.runs_of(arm)):.1%}, "
                f"{_mean(run.capacities[nth].bits_per_word for run in study.runs_of(arm)):.3f}"
                for arm in arms
            ),
        )
        for nth, point in enumerate(points)
    ]
    return "\n\n".join(
        [
            prose(f"""
            With a capacity factor c, an expert takes c times its even share of a sequence of
            {study.settings.seq_len} words, first come, first served, and the rest passes the layer
            by. The models were trained dropless, and are asked again with less room: dropped share
            of the assignments, and bits per word."""),
            table(("capacity factor", *(ARMS[arm].label for arm in arms)), rows),
        ]
    )


def describe_close_up(study: ExpertStudy) -> str:
    """What the experts of one model are good for."""
    kinds, bits = study.close_up.kinds, np.array(study.close_up.added_bits[-1])
    errors = np.array(study.close_up.errors_bits[-1])
    needed = int(bits.mean(1).argmax())
    choosy = int((bits.max(1) - bits.min(1)).argmax())
    return "\n\n".join(
        [
            prose(f"""
            The first model with {ARMS[study.watched_arm].label}: one expert of the last layer is
            switched off at a time, and nothing takes its place. On the left is what a word then
            costs more, by the kind of its statement, with standard errors of {errors.min():.3f} to
            {errors.max():.3f} bits over statements; on the right how alike the kinds are that two
            experts read (1: the same mixture)."""),
            bullets(
                [
                    f"Missed most: expert {needed}, {bits[needed].mean():.2f} bits per word on "
                    f"average over the kinds. Missed least: expert {int(bits.mean(1).argmin())}, "
                    f"{bits.mean(1).min():.2f} bits.",
                    f"The largest difference between kinds: expert {choosy}, whose loss costs "
                    f"*{kinds[bits[choosy].argmax()]}* statements {bits[choosy].max():.2f} bits "
                    f"per word and *{kinds[bits[choosy].argmin()]}* statements "
                    f"{bits[choosy].min():.2f}.",
                ]
            ),
        ]
    )


def describe_flow(study: ExpertStudy) -> str:
    """How to read the flow."""
    return prose(f"""
    Each line is a share of the held-out words: from the kind of their statement to their first
    choice in layer 1, and on to that in the next layer. Experts for kinds would show as thick lines
    out of one kind. The model is the one above, {ARMS[study.watched_arm].label}.""")


def summarise_specialization(study: ExpertStudy) -> str:
    """What was found about specialization, in two sentences."""
    last = study.settings.n_layers - 1
    word = score_over_seeds(study, study.watched_arm, "word", 0)
    trained = score_over_seeds(study, study.watched_arm, BEYOND, last)
    frozen = score_over_seeds(study, FROZEN, BEYOND, last)
    before = score_over_seeds(study, study.watched_arm, BEYOND, last, trained=False)
    first = score_over_seeds(study, study.watched_arm, "word", 0, trained=False)
    gap = _learned(study, study.watched_arm, last)
    return prose(f"""
    Experts specialise in *words* first: in layer 1 the chosen expert tells {percent(word.estimate)}
    of what it could tell about the word, where an untrained router already tells
    {percent(first.estimate)} and a hash of the word all of it. Beyond the word and its position,
    the experts of layer {last + 1} tell {percent(trained.estimate)} of what there is to know about
    the kind of the statement, against {percent(before.estimate)} before training,
    {percent(frozen.estimate)} with a router that never learned, and 0 for a hash or for shuffled
    classes: {_gap_in_words(gap)}; without a balance loss, which the frozen router has not either,
    {_signed(_learned(study, UNBALANCED, last))}.""")


def summarise_balance(study: ExpertStudy) -> str:
    """What each way to balance does, and what it costs."""
    introduction = prose(f"""
        What balance costs, over {study.settings.n_seeds} seeds. *Violation* is how much more than
        its even share the busiest expert reads; one who knows the grammar needs
        {study.floor_bits:.3f} bits per word.""")
    return f"{introduction}\n\n{table(*_balance_table(study))}"


def _hints_only(study: ExpertStudy) -> list[str]:
    """A warning where a lucky pair of runs could pass for a finding."""
    n_seeds = study.settings.n_seeds
    if n_seeds >= ENOUGH_SEEDS:
        return []
    return [
        f"**{n_seeds} seeds are too few to rest a claim on: all verdicts below are hints.** "
        f"The preset *full* has {ENOUGH_SEEDS}."
    ]


def score_over_seeds(
    study: ExpertStudy, arm: str, label: str, layer: int, *, trained: bool = True
) -> Interval:
    """The specialization of one layer over the seeds."""
    return mean_interval(study.scores_of(arm, label, layer, trained=trained))


def bits_beyond(study: ExpertStudy, arm: str, other: str) -> Interval:
    """By how much an arm's final loss is above that of another one, paired by seed."""
    pairs = zip(study.runs_of(arm), study.runs_of(other), strict=True)
    return mean_interval([one.final_bits - two.final_bits for one, two in pairs])


def run_has_experts(run: ExpertRun) -> bool:
    """Whether there is any routing to speak of."""
    return bool(run.layers)


def _balance_table(study: ExpertStudy) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headers and rows: quality and load of every arm."""
    rows = []
    for arm in study.arms:
        runs = study.runs_of(arm)
        violations = [
            number(float(np.mean([run.layers[layer].max_violation for run in runs])), 2)
            if run_has_experts(runs[0])
            else NO_VALUE
            for layer in range(study.settings.n_layers)
        ]
        difference = NO_VALUE if arm == UNBALANCED else _signed(bits_beyond(study, arm, UNBALANCED))
        rows.append(
            (
                ARMS[arm].label,
                f"{np.mean([run.final_bits for run in runs]):.3f}",
                difference,
                *violations,
            )
        )
    headers = (
        "model",
        "bits per word",
        "beside no balancing",
        *(f"violation, layer {layer + 1}" for layer in range(study.settings.n_layers)),
    )
    return headers, rows


def _learned(study: ExpertStudy, arm: str, layer: int) -> Interval:
    """What a learned router tells beyond the word more than a frozen one, paired by seed."""
    pairs = zip(
        study.scores_of(arm, BEYOND, layer), study.scores_of(FROZEN, BEYOND, layer), strict=True
    )
    return mean_interval([learned - frozen for learned, frozen in pairs])


def _every_way_to_learn(study: ExpertStudy) -> str:
    """The same gain for every way to balance."""
    last = study.settings.n_layers - 1
    gains = [f"{_signed(_learned(study, arm, last))} ({ARMS[arm].label})" for arm in BALANCING]
    return (
        f"The same gain in layer {last + 1} for each way to balance: {join(gains)}. The frozen "
        f"router has no balance loss, so *{ARMS[UNBALANCED].label}* differs from it in nothing "
        "but learning."
    )


def _word_verdict(study: ExpertStudy, layer: int) -> str:
    trained = score_over_seeds(study, study.watched_arm, "word", layer)
    before = score_over_seeds(study, study.watched_arm, "word", layer, trained=False)
    frozen = score_over_seeds(study, FROZEN, "word", layer)
    return (
        f"**Word, layer {layer + 1}:** {trained} after training; before it {before}, with a frozen "
        f"router {frozen}, by a hash of the word 1 by construction."
    )


def _beyond_verdict(study: ExpertStudy, layer: int) -> str:
    trained = score_over_seeds(study, study.watched_arm, BEYOND, layer)
    before = score_over_seeds(study, study.watched_arm, BEYOND, layer, trained=False)
    frozen = score_over_seeds(study, FROZEN, BEYOND, layer)
    hashed = score_over_seeds(study, HASH, BEYOND, layer)
    return (
        f"**Kind given word and position, layer {layer + 1}:** {trained} after training; before it "
        f"{before}, with a frozen router {frozen}, by a hash {hashed.estimate:.3f}. "
        f"{_gap_in_words(_learned(study, study.watched_arm, layer)).capitalize()}."
    )


def _gap_in_words(gap: Interval) -> str:
    limits = f"{gap.estimate:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}] beside the frozen router"
    if gap.low > 0:
        return f"learning to route adds to it, {limits}"
    if gap.high < 0:
        return f"learning to route takes from it, {limits}"
    return f"that learning to route adds to it is not shown, {limits}"


def _balance_verdict(study: ExpertStudy, arm: str) -> str:
    gaps = [
        mean_interval(
            [
                one.layers[layer].max_violation - two.layers[layer].max_violation
                for one, two in zip(study.runs_of(arm), study.runs_of(UNBALANCED), strict=True)
            ]
        )
        for layer in range(study.settings.n_layers)
    ]
    better = [f"layer {layer + 1}" for layer, gap in enumerate(gaps) if gap.high < 0]
    bits = bits_beyond(study, arm, UNBALANCED)
    cost = "costs" if bits.low > 0 else "gains" if bits.high < 0 else ""
    quality = (
        f"it {cost} {abs(bits.estimate):.3f} bits per word"
        if cost
        else "a difference in bits per word is not shown"
    )
    load = (
        f"evens out the load of {join(better)}" if better else "is not shown to even out any load"
    )
    return f"*{ARMS[arm].label}* {load}; {quality}."


def _dense_verdict(study: ExpertStudy) -> str:
    gap = bits_beyond(study, study.watched_arm, DENSE)
    if gap.high < 0:
        verdict = "predicts better than"
    elif gap.low > 0:
        verdict = "predicts worse than"
    else:
        verdict = "is not shown to differ from"
    return (
        f"The model with experts ({ARMS[study.watched_arm].label}) {verdict} the dense one with as "
        f"many active weights, but for the router's: {_signed(gap)} bits per word."
    )


def _saturation(study: ExpertStudy) -> str:
    runs = study.runs_of(study.watched_arm)
    snapshots = runs[0].snapshots
    quarter = snapshots[-1].step / 4
    nth = min(range(len(snapshots)), key=lambda place: abs(snapshots[place].step - quarter))
    now = [run.snapshots[nth] for run in runs]
    stand = _mean(share for snapshot in now for share in snapshot.saturation)
    by_chance = _mean(share for snapshot in now for share in snapshot.saturation_by_chance)
    return (
        f"After {snapshots[nth].step} of {snapshots[-1].step} steps, {percent(stand)} of the final "
        f"choices stand already, against {percent(by_chance)} by chance "
        f"({ARMS[study.watched_arm].label})."
    )


def _mean_of(
    study: ExpertStudy, arm: str, statistic: Callable[[LayerStatistics], float | None]
) -> float:
    layers: list[LayerStatistics] = [layer for run in study.runs_of(arm) for layer in run.layers]
    values = [statistic(layer) for layer in layers]
    return _mean(value for value in values if value is not None)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _signed(gap: Interval) -> str:
    return f"{gap.estimate:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"


def findings(result: object) -> list[str]:
    """To be written."""
    return []
