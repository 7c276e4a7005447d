"""Claim classifiers with and without experts in words: every verdict follows from the numbers."""

import numpy as np

from sparse_transformers.experiments.expert_claims.records import (
    EXPERTS,
    TWIN,
    ClaimJudge,
    ExpertClaims,
    ExpertClaimsCorpus,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import BAYES, MAJORITY
from sparse_transformers.utils.metrics.significance import PairedDifference
from sparse_transformers.utils.records import to_frame
from sparse_transformers.utils.report import NO_VALUE, bullets, number, plural, prose, table
from sparse_transformers.utils.verdicts import (
    BELOW,
    caution_about_seeds,
    compare_paired,
    in_points,
    spell,
    verdict,
)


def findings(claims: ExpertClaims) -> list[str]:
    """The encoder with experts beside its dense twin, on every data set."""
    seeds = plural(claims.settings.n_seeds, "seed")
    pair = ("the encoder with experts", "its dense twin")
    said = []
    for corpus in claims.corpora:
        accuracy, loss = corpus.by_name[TWIN].accuracy.lead, corpus.by_name[TWIN].loss_bits.lead
        assert accuracy is not None and loss is not None
        in_accuracy = compare_paired(
            *pair,
            in_points(accuracy),
            above="more accurate than",
            below="less accurate than",
            form="{:+.1f}",
            unit="points",
        )
        in_loss = compare_paired(
            *pair, loss, above="worse than", below="better than", unit="bits per claim"
        )
        said.append(f"{corpus.name}, {seeds}: {in_accuracy} In loss: {in_loss}")
    return said


def describe_expert_claims(claims: ExpertClaims) -> str:
    """What was compared, how each encoder judges, and what follows."""
    settings = claims.settings
    parts = [
        prose(f"""
        An encoder with {settings.num_experts} experts, {settings.top_k} for each token, judges
        claims by their text. Its *dense twin* has one network as wide as {settings.top_k} experts,
        so a token meets equally many weights (the router's aside); the *wide dense* encoder has one
        as wide as all experts. All learn from the same rows in the same order; {settings.folds}
        members trained on different folds judge together. Means are over
        {plural(settings.n_seeds, "seed")}; intervals are from {settings.claims.n_resamples}
        resamples of whole groups of held-out rows and, independently, of the seeds.""")
    ]
    for corpus in claims.corpora:
        parts += [_chapter(corpus), bullets([*_doubts(corpus), _balance(corpus.by_name[EXPERTS])])]
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
    headers = ["", "weights", "met by a token", "seconds", "accuracy", "experts less it, points"]
    headers += ["bits per claim", "experts less it"]
    return "\n\n".join([about, table(headers, [_row(judge) for judge in corpus.judges])])


def _row(judge: ClaimJudge) -> list[str]:
    size, accuracy, loss = judge.size, judge.accuracy, judge.loss_bits
    return [
        judge.name,
        NO_VALUE if size is None else f"{size.total:,}",
        NO_VALUE if size is None else f"{size.active:,}",
        number(float(np.median(judge.seconds)), 2) if judge.seconds else NO_VALUE,
        spell(accuracy.mean, "{:.1%}"),
        NO_VALUE if accuracy.lead is None else _lead(in_points(accuracy.lead), "{:+.1f}"),
        str(loss.mean),
        NO_VALUE if loss.lead is None else _lead(loss.lead, "{:+.3f}"),
    ]


def _lead(paired: PairedDifference, form: str) -> str:
    return f"{spell(paired.difference, form)}, p = {paired.p_value:.3f}"


def _doubts(corpus: ExpertClaimsCorpus) -> list[str]:
    """Whether anything was learned, and how far the best possible judge is."""
    said = []
    judges = corpus.by_name
    beside_majority = judges[MAJORITY].loss_bits.lead
    if beside_majority is None or verdict(beside_majority.difference) != BELOW:
        said.append(
            "The encoder with experts has not been shown to learn more than how frequent the "
            "verdicts are, so there is little in which encoders could differ."
        )
    if BAYES in judges:
        losses = {name: judge.loss_bits.mean.estimate for name, judge in judges.items()}
        said.append(
            f"The loss with experts is {losses[EXPERTS] - losses[BAYES]:.3f} bits per claim above "
            "that of the Bayes classifier, which knows how the claims were made; the loss of the "
            f"dense twin is {losses[TWIN] - losses[BAYES]:.3f} above it."
        )
    return said


def _balance(judge: ClaimJudge) -> str:
    uses = to_frame(judge.uses)
    busiest = 1 + uses.max_violation
    return (
        f"On held-out rows, the busiest expert of a router processes {busiest.median():.1f} times "
        f"its even share (the median of {len(uses)} routers; {busiest.max():.1f} times at most), "
        f"and {uses.dead_experts.sum()} of {uses.load.map(len).sum()} experts process nothing. A "
        f"router's entropy for a token is {uses.normalised_router_entropy.mean():.1%} of that of a "
        "router without any preference."
    )
