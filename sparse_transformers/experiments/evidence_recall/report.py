"""The evidence experiment in words: every verdict follows from the numbers."""

from sparse_transformers.experiments.evidence_recall.documents import CITIES, NAMES
from sparse_transformers.experiments.evidence_recall.figures import REACH_LABELS, accuracy
from sparse_transformers.experiments.evidence_recall.measure import (
    REACHED,
    REACHES,
    SEEN,
    UNREACHED,
    EvidenceRecall,
)
from sparse_transformers.experiments.evidence_recall.patterns import ALWAYS_SEEN
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.plots.base import style_of
from sparse_transformers.utils.report import bullets, join, percent, prose, table

CHANCE = 0.5


def describe_recall(recall: EvidenceRecall) -> str:
    """What was asked, what each attention costs, and how often it was right."""
    settings = recall.settings
    longest = max(settings.lengths)
    seeds = "One model learns" if settings.n_seeds == 1 else f"{settings.n_seeds} models learn"
    trained = [model.train_seconds for model in recall.models]
    rows = [
        (
            style_of(name).label,
            *(percent(recall.arm(name, seq_len).density) for seq_len in settings.lengths),
            *(_share(recall, name, seq_len) for seq_len in settings.lengths),
        )
        for name in recall.arm_names
    ]
    headers = (
        "attention",
        *(f"pairs at {seq_len:,}" for seq_len in settings.lengths),
        *(f"right at {seq_len:,}" for seq_len in settings.lengths),
    )
    return "\n\n".join(
        [
            prose(f"""
            {seeds} to check claims against facts that lie scattered in a document: {len(NAMES)}
            names, {len(CITIES)} cities, filler between them. A guess is right in 50% of the claims,
            and a model that finds the fact in 100%. A short example, synthetic like the rest:"""),
            f"> {recall.example}",
            prose(f"""
            Training began with {settings.curriculum.lengths[0]} tokens and ended with
            {settings.curriculum.lengths[-1]:,}, with dense attention, and took
            {join([f"{seconds:.0f}" for seconds in trained])} seconds. Then each pattern took the
            place of dense attention, *with the same weights*. All sparse patterns see about as many
            pairs as a window of {settings.keys_per_query} keys would; the table counts them as a
            share of the causal pairs. Facts stand near and far equally often, on a logarithmic
            scale."""),
            table(headers, rows),
            bullets([_top_k_verdict(recall, longest), _far_verdict(recall, longest)]),
            prose("""
            **Limits.** Exact top-k makes all scores in order to choose among them: it attends to
            few pairs, and saves no time. Facts are two tokens long, and a name is always spelt the
            same way, which it is not in prose."""),
        ]
    )


def describe_reach(recall: EvidenceRecall) -> str:
    """Whether accuracy follows from what the rule of each pattern lets a token see."""
    settings = recall.settings
    longest = max(settings.lengths)
    states = [False, True] if settings.adaptation_steps else [False]
    parts = [
        prose(f"""
        A pattern is a rule, so whether a claim can see its fact is known before anything is
        measured. Three cases: the claim sees the fact *in one layer*; the fact can be heard *only
        by way of other tokens*, over all layers; or it is *out of reach*. The shares are of right
        verdicts at {longest:,} tokens, with the 95% interval.""")
    ]
    for adapted in states:
        if adapted:
            parts.append(
                prose(f"""
                After {settings.adaptation_steps} more steps at
                {settings.adaptation_length:,} tokens with the pattern itself:""")
            )
        rows = [
            (
                style_of(name).label,
                *(_reach_share(recall, name, longest, reach, adapted) for reach in REACHES),
            )
            for name in recall.arm_names
            if not adapted or name not in ALWAYS_SEEN
        ]
        parts.append(table(("attention", *REACH_LABELS.values()), rows))
    parts.append(
        bullets(
            [
                _window_verdict(recall, longest),
                *(_relay_verdict(recall, longest, adapted) for adapted in states),
                *_adaptation_verdict(recall, longest),
                _beyond_verdict(recall),
            ]
        )
    )
    return "\n\n".join(parts)


def summarise(recall: EvidenceRecall) -> str:
    """The findings in short: one table, and what follows from it."""
    longest = max(recall.settings.lengths)
    rows = [
        (
            style_of(name).label,
            percent(recall.arm(name, longest).density),
            *(_reach_share(recall, name, longest, reach, adapted=False) for reach in REACHES),
        )
        for name in recall.arm_names
    ]
    headers = ("attention", "pairs", *REACH_LABELS.values())
    verdicts = [_top_k_verdict(recall, seq_len) for seq_len in recall.settings.lengths]
    verdicts += [_window_verdict(recall, longest), _relay_verdict(recall, longest, adapted=False)]
    if recall.settings.adaptation_steps:
        verdicts.append(_relay_verdict(recall, longest, adapted=True))
    verdicts += _adaptation_verdict(recall, longest)
    seeds = "one seed" if len(recall.models) == 1 else f"{len(recall.models)} seeds"
    return "\n\n".join(
        [
            prose(f"""
            Right verdicts at {longest:,} tokens over {seeds}, with 95% intervals, by what the rule
            of each pattern says of the fact; a guess is right in 50%:"""),
            table(headers, rows),
            bullets([*verdicts, _beyond_verdict(recall)]),
        ]
    )


def _top_k_verdict(recall: EvidenceRecall, seq_len: int) -> str:
    arm = recall.arm("top_k", seq_len)
    right = accuracy(recall.chosen(arm="top_k", seq_len=seq_len, adapted=False))
    dense = accuracy(recall.chosen(arm="dense", seq_len=seq_len, adapted=False))
    return (
        f"The {arm.top_k} keys with the largest scores, {percent(arm.density)} of the pairs, give "
        f"{_percents(right)} right verdicts at {seq_len:,} tokens; all pairs give "
        f"{_percents(dense)}."
    )


def _far_verdict(recall: EvidenceRecall, seq_len: int) -> str:
    """Which fixed patterns are better than a guess beyond two windows."""
    far = 4 * recall.settings.keys_per_query
    better: list[str] = []
    guessing: list[str] = []
    for name in recall.arm_names:
        if name in ALWAYS_SEEN:
            continue
        chosen = [
            each
            for each in recall.chosen(arm=name, seq_len=seq_len, adapted=False)
            if each.distance >= far
        ]
        if chosen:
            above = accuracy(chosen).low > CHANCE
            (better if above else guessing).append(style_of(name).label)
    if not better and not guessing:
        return f"No fact stands {far:,} tokens away or farther."
    return (
        f"Where the fact stands {far:,} tokens away or farther, better than a guess beyond the "
        f"interval: {join(better)}; not distinguishable from a guess: {join(guessing)}."
    )


def _window_verdict(recall: EvidenceRecall, seq_len: int) -> str:
    of_local = {
        reach: recall.chosen(arm="local", seq_len=seq_len, adapted=False, reach=reach)
        for reach in REACHES
    }
    shares = {reach: accuracy(chosen) for reach, chosen in of_local.items() if chosen}
    beyond = [
        f"{_percents(shares[reach])} where it is {where}"
        for reach, where in ((REACHED, "one window further"), (UNREACHED, "out of reach"))
        if reach in shares
    ]
    inside = _percents(shares[SEEN]) if SEEN in shares else "not measured"
    rest = f", and in {join(beyond)}" if beyond else ""
    return f"The local window is right in {inside} of the claims whose fact it covers{rest}."


def _relay_verdict(recall: EvidenceRecall, seq_len: int, adapted: bool) -> str:
    relaying = []
    for name in recall.arm_names:
        chosen = recall.chosen(arm=name, seq_len=seq_len, adapted=adapted, reach=REACHED)
        if chosen and accuracy(chosen).low > CHANCE:
            relaying.append(f"{style_of(name).label} ({_percents(accuracy(chosen))})")
    when = "After training on with it" if adapted else "With the weights of the dense model"
    if not relaying:
        return (
            f"{when}, no pattern is better than a guess where a fact must come by way of other "
            "tokens: that a fact *can* be heard over two layers does not mean that it is."
        )
    return f"{when}, facts that come by way of other tokens are used by: {join(relaying)}."


def _adaptation_verdict(recall: EvidenceRecall, seq_len: int) -> list[str]:
    """Whether training on has made patterns worse at what they can see."""
    fallen = []
    for name in recall.arm_names:
        before, after = (
            recall.chosen(arm=name, seq_len=seq_len, adapted=adapted, reach=SEEN)
            for adapted in (False, True)
        )
        if before and after and accuracy(after).high < accuracy(before).low:
            fallen.append(
                f"{style_of(name).label} (from {accuracy(before).estimate:.1%} to "
                f"{accuracy(after).estimate:.1%})"
            )
    if not fallen:
        return []
    return [
        "Training on with a pattern has cost what the model could do: where the fact is seen in "
        f"one layer, fewer verdicts are right with {join(fallen)}. A likely reason, not tested "
        "here: most claims of that training cannot be answered from what the pattern shows, and "
        "answers to them teach to guess."
    ]


def _beyond_verdict(recall: EvidenceRecall) -> str:
    change = recall.most_change_from_beyond
    if change == 0:
        return (
            "Replacing every token out of reach changes no verdict by a single bit, with any "
            "pattern: what `reach` calls invisible is invisible."
        )
    return (
        f"**Replacing the tokens out of reach changes a verdict's logits by up to {change:.2g}**, "
        "which must not be."
    )


def _share(recall: EvidenceRecall, name: str, seq_len: int) -> str:
    return _percents(accuracy(recall.chosen(arm=name, seq_len=seq_len, adapted=False)))


def _reach_share(recall: EvidenceRecall, name: str, seq_len: int, reach: str, adapted: bool) -> str:
    chosen = recall.chosen(arm=name, seq_len=seq_len, reach=reach, adapted=adapted)
    if not chosen:
        return "none"
    n_claims = sum(each.n_claims for each in chosen)
    return f"{_percents(accuracy(chosen))} of {n_claims}"


def _percents(share: Interval) -> str:
    return f"{share.estimate:.1%} ({share.low:.1%} to {share.high:.1%})"
