"""The evidence experiment in words: every verdict follows from the numbers."""

import pandas as pd

from sparse_transformers.experiments.evidence_recall.measure import (
    REACHED,
    REACHES,
    SEEN,
    UNREACHED,
    EvidenceRecall,
    accuracy,
)
from sparse_transformers.experiments.section import Highlight
from sparse_transformers.utils.datasets.evidence_documents import CITIES, NAMES
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.plots.style import style_of
from sparse_transformers.utils.report import NO_VALUE, bullets, join, percent, plural, prose, table
from sparse_transformers.utils.verdicts import ABOVE, spell, verdict

CHANCE = 0.5


def findings(recall: EvidenceRecall) -> list[str]:
    """What the selection by content keeps, and what a window loses."""
    top_k, dense = (
        _percents(accuracy(_chosen(recall, attention=name))) for name in ("top_k", "dense")
    )
    where = {
        SEEN: "where it covers the fact",
        REACHED: "one window further",
        UNREACHED: "out of reach",
    }
    window = {reach: _shares(recall, reach).get("local") for reach in REACHES}
    said = [f"{_percents(share)} {where[reach]}" for reach, share in window.items() if share]
    return [
        f"With {percent(recall.density('top_k', recall.longest))} of the pairs, exact top-k gives "
        f"{top_k} right verdicts at {recall.longest:,} tokens; all pairs give {dense}.",
        f"The local window is right in {join(said)}.",
    ]


def describe_recall(recall: EvidenceRecall) -> str:
    """What was asked, what each attention costs, and how often it was right."""
    settings, rows = recall.settings, recall.frame().query("not adapted")
    shares = rows.groupby(["attention", "seq_len"])[["n_right", "n_claims"]].sum()
    cells = [
        [
            style_of(name).label,
            *(percent(recall.density(name, seq_len)) for seq_len in settings.lengths),
            *(f"{right / asked:.1%}" for right, asked in shares.loc[name].to_numpy()),
        ]
        for name in rows.attention.unique()
    ]
    headers = [f"{what} at {n:,}" for what in ("pairs", "right") for n in settings.lengths]
    return "\n\n".join(
        [
            prose(f"""
            Models ({plural(settings.n_seeds, "seed")}) learn, with dense attention, to check claims
            against facts scattered among filler: {len(NAMES)} names, {len(CITIES)} cities. A guess
            is right in 50%. Then each pattern takes the place of dense attention *with the same
            weights*; sparse ones see about as many pairs as a window of {settings.keys_per_query}
            keys. An example:"""),
            f"> {recall.example}",
            table(["attention", *headers], cells),
            prose("""
            **Limits.** Exact top-k makes all scores in order to choose among them: it saves no
            time. Facts are two tokens long, and a name is always spelt the same way."""),
        ]
    )


def describe_reach(recall: EvidenceRecall) -> str:
    """Whether accuracy follows from what the rule of each pattern lets a token see."""
    shares = {reach: _shares(recall, reach) for reach in REACHES}
    cells = [
        [
            style_of(name).label,
            percent(recall.density(name, recall.longest)),
            *(_percents(found[name]) if name in found else NO_VALUE for found in shares.values()),
        ]
        for name in _chosen(recall).attention.unique()
    ]
    return "\n\n".join(
        [
            prose(f"""
            Right verdicts at {recall.longest:,} tokens ({plural(recall.settings.n_seeds, "seed")}),
            by what the rule of each pattern says of the fact; a guess is right in 50%:"""),
            table(["attention", "pairs", *REACHES.values()], cells),
            bullets([*_relays(recall), *_losses(recall), _beyond(recall)]),
        ]
    )


def highlight(recall: EvidenceRecall) -> Highlight:
    """Top-k beside a window of as many keys."""
    top_k, window = (
        _percents(accuracy(_chosen(recall, attention=name))) for name in ("top_k", "local")
    )
    density = percent(recall.density("top_k", recall.longest))
    return Highlight(
        question=f"evidence at up to {recall.longest:,} tokens, {density} of the pairs",
        found=f"exact top-k: {top_k} right",
        beside=f"a window of as many keys: {window}",
    )


def _chosen(recall: EvidenceRecall, *, adapted: bool = False, **wanted: str) -> pd.DataFrame:
    """The verdicts at the greatest length."""
    rows = recall.frame().query(f"adapted == {adapted} and seq_len == {recall.longest}")
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    return rows


def _shares(recall: EvidenceRecall, reach: str, *, adapted: bool = False) -> dict[str, Interval]:
    """The accuracy of each attention where there are such facts."""
    rows = _chosen(recall, adapted=adapted, reach=reach)
    return {str(name): accuracy(of_name) for name, of_name in rows.groupby("attention", sort=False)}


def _relays(recall: EvidenceRecall) -> list[str]:
    """Which patterns use facts that must come by way of other tokens."""
    sentences = []
    for adapted in [False, True] if recall.settings.adaptation_steps else [False]:
        shares = _shares(recall, REACHED, adapted=adapted)
        used = [
            f"{style_of(name).label} ({_percents(share)})"
            for name, share in shares.items()
            if verdict(share, CHANCE) == ABOVE
        ]
        when = "After training on with the pattern" if adapted else "With the dense model's weights"
        sentences.append(
            f"{when}, facts that come by way of other tokens are used beyond a guess by: "
            f"{join(used)}."
        )
    return sentences


def _losses(recall: EvidenceRecall) -> list[str]:
    """Whether training on has made patterns worse at what they can see."""
    before, after = (_shares(recall, SEEN, adapted=adapted) for adapted in (False, True))
    fallen = [
        f"{style_of(name).label} (from {before[name].estimate:.1%} to {share.estimate:.1%})"
        for name, share in after.items()
        if share.high < before[name].low
    ]
    if not fallen:
        return []
    return [
        "Training on with a pattern has made verdicts worse where the fact is seen in one layer: "
        f"{join(fallen)}. The cause was not tested."
    ]


def _beyond(recall: EvidenceRecall) -> str:
    change = recall.most_change_from_beyond
    if change == 0:
        return "Replacing every token out of reach changes no verdict by a single bit."
    return (
        f"**Replacing the tokens out of reach changes a verdict's logits by up to {change:.2g}**, "
        "which must not be."
    )


def _percents(share: Interval) -> str:
    return spell(share, "{:.1%}")
