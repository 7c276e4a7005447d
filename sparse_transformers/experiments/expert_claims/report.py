"""Claim classifiers with and without experts in words: every verdict follows from the numbers."""

import numpy as np

from sparse_transformers.experiments.expert_claims.records import (
    EXPERTS,
    TWIN,
    WIDE,
    ClaimJudge,
    ExpertClaims,
    ExpertClaimsCorpus,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import BAYES, MAJORITY
from sparse_transformers.utils.records import to_frame
from sparse_transformers.utils.report import (
    NO_VALUE,
    bullets,
    number,
    percent,
    plural,
    prose,
    table,
)
from sparse_transformers.utils.verdicts import (
    BELOW,
    caution_about_seeds,
    compare_paired,
    spell,
    verdict,
)


def findings(claims: ExpertClaims) -> list[str]:
    """The encoder with experts beside its dense twin, on every data set."""
    seeds = plural(claims.settings.n_seeds, "seed")
    return [
        f"{corpus.name} ({seeds}): {' '.join(_lead(corpus, TWIN))}" for corpus in claims.corpora
    ]


def describe_expert_claims(claims: ExpertClaims) -> str:
    """What was compared, how each encoder judges, and what follows."""
    settings = claims.settings
    parts = [
        prose(f"""
        An encoder reads the text of a claim, no metadata, and says how true it is. In its
        feed-forward part it has {settings.num_experts} experts, {settings.top_k} for each token.
        Its *dense twin* has one network as wide as {settings.top_k} experts, so a token meets
        equally many weights (the router's aside); the *wide dense* encoder has one as wide as all
        experts, so equally many weights in all. All learn from the same rows in the same order;
        {settings.folds} members trained on different folds judge together."""),
        prose(f"""
        Means are over {plural(settings.n_seeds, "seed")}; intervals are from
        {settings.claims.n_resamples} resamples of whole groups of held-out rows and, independently,
        of the seeds."""),
    ]
    for corpus in claims.corpora:
        said = [*_lead(corpus, WIDE), *_lead(corpus, MAJORITY), *_nothing_learned(corpus)]
        said += [*_ceiling(corpus), _balance(corpus.by_name[EXPERTS])]
        parts += [_chapter(corpus), bullets(said)]
    return "\n\n".join([*parts, *caution_about_seeds(settings.n_seeds)])


def summarise(claims: ExpertClaims) -> str:
    """Every score, a table for each data set."""
    return "\n\n".join(_chapter(corpus) for corpus in claims.corpora)


def _chapter(corpus: ExpertClaimsCorpus) -> str:
    twin = corpus.by_name[TWIN].size
    assert twin is not None
    about = prose(f"""
    **{corpus.name}:** {corpus.n_train:,} rows to learn from, {corpus.n_valid:,} held out,
    {corpus.n_classes} verdicts; resampled by {corpus.group} ({corpus.n_groups:,} of them). Not
    counted: the embedding of words, {twin.embedding:,} weights in every encoder.""")
    headers = ("", "weights", "met by a token", "accuracy", "bits per claim", "seconds")
    rows = [
        (
            judge.name,
            *(("–", "–") if size is None else (f"{size.total:,}", f"{size.active:,}")),
            spell(judge.accuracy.mean, "{:.1%}"),
            str(judge.loss_bits.mean),
            number(float(np.median(judge.seconds)), 2) if judge.seconds else NO_VALUE,
        )
        for judge in corpus.judges
        for size in [judge.size]
    ]
    return "\n\n".join([about, table(headers, rows)])


def _lead(corpus: ExpertClaimsCorpus, other: str) -> list[str]:
    """Whether the encoder with experts differs from another judge, in accuracy and in loss."""
    judge = corpus.by_name[other]
    assert judge.accuracy.lead is not None and judge.loss_bits.lead is not None
    return [
        compare_paired(
            "the accuracy with experts",
            f"that of the *{other}*",
            judge.accuracy.lead,
            form="{:+.1f}",
            unit="points",
            scale=100,
        ),
        compare_paired(
            "the loss with experts",
            f"that of the *{other}*",
            judge.loss_bits.lead,
            unit="bits per claim",
        ),
    ]


def _nothing_learned(corpus: ExpertClaimsCorpus) -> list[str]:
    lead = corpus.by_name[MAJORITY].loss_bits.lead
    if lead is not None and verdict(lead.difference) == BELOW:
        return []
    return [
        "The encoder with experts has not learned more than how frequent the verdicts are, so "
        "there is little in which encoders could differ."
    ]


def _ceiling(corpus: ExpertClaimsCorpus) -> list[str]:
    if BAYES not in corpus.by_name:
        return []
    losses = {name: judge.loss_bits.mean.estimate for name, judge in corpus.by_name.items()}
    above = {name: f"{loss - losses[BAYES]:.3f}" for name, loss in losses.items()}
    accuracy = percent(corpus.by_name[BAYES].accuracy.mean.estimate)
    return [
        f"The Bayes classifier, which knows how the claims were made, is right in {accuracy}. The "
        f"loss with experts is {above[EXPERTS]} bits per claim above its loss, that of the dense "
        f"twin {above[TWIN]}."
    ]


def _balance(judge: ClaimJudge) -> str:
    uses = to_frame(judge.uses)
    busiest = 1 + uses.max_violation
    return (
        f"On held-out rows, the busiest expert of a router processes {busiest.median():.1f} times "
        f"its even share (the median of {len(uses)} routers; {busiest.max():.1f} times at most), "
        f"and {uses.dead_experts.sum()} of {uses.load.map(len).sum()} experts process nothing. A "
        f"router's entropy for a token is {uses.normalised_router_entropy.mean():.1%} of the most "
        "possible, which a router without any preference has."
    )
