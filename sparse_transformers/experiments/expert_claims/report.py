"""Claim classifiers with and without experts in words: every verdict follows from the numbers."""

import numpy as np

from sparse_transformers.experiments.expert_claims.records import (
    EXPERTS,
    TWIN,
    ClaimJudge,
    ExpertClaims,
    ExpertClaimsCorpus,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import MAJORITY
from sparse_transformers.utils.metrics.significance import PairedDifference
from sparse_transformers.utils.records import to_frame
from sparse_transformers.utils.report import NO_VALUE, bullets, number, plural, prose, table
from sparse_transformers.utils.verdicts import (
    ABOVE,
    BELOW,
    NOT_SHOWN,
    caution_about_seeds,
    compare_paired,
    in_points,
    spell,
    verdict,
)


def findings(claims: ExpertClaims) -> list[str]:
    """The encoder with experts beside its dense twin and the majority class, on every data set."""
    return [_finding(corpus, claims.settings.n_seeds) for corpus in claims.corpora]


def _finding(corpus: ExpertClaimsCorpus, n_seeds: int) -> str:
    in_accuracy = compare_paired(
        "the encoder with experts",
        "a dense twin",
        in_points(_lead(corpus, TWIN, "accuracy")),
        above="more accurate than",
        below="less accurate than",
        form="{:+.1f}",
        unit="points",
    ).removesuffix(".")
    loss = _lead(corpus, TWIN, "loss_bits")
    in_loss = {ABOVE: "worse", BELOW: "better", NOT_SHOWN: "not shown"}[verdict(loss.difference)]
    points = in_points(_lead(corpus, MAJORITY, "accuracy")).difference
    bits = _lead(corpus, MAJORITY, "loss_bits").difference
    return (
        f"{corpus.name}, {plural(n_seeds, 'seed')}: {in_accuracy}; in loss {in_loss}: "
        f"{spell(loss.difference, '{:+.3f}', 'bits')}, p = {loss.p_value:.3f}; less the majority "
        f"class {spell(points, '{:+.1f}', 'points')}, {spell(bits, '{:+.3f}', 'bits')}."
    )


def _lead(corpus: ExpertClaimsCorpus, name: str, measure: str) -> PairedDifference:
    lead: PairedDifference = getattr(corpus.by_name[name], measure).lead
    return lead


def describe_expert_claims(claims: ExpertClaims) -> str:
    """What was compared, how each encoder judges, and what follows."""
    settings = claims.settings
    parts = [
        prose(f"""
        {settings.top_k} of {settings.num_experts} experts process each token. The *dense twin* has
        one network as wide as {settings.top_k} experts, the *wide dense* encoder is as wide as
        all. Members of {settings.folds} folds judge together. Intervals:
        {settings.claims.n_resamples} resamples of groups and seeds. The *Bayes classifier*, where
        it is known, knows the rules by which the claims were made.""")
    ]
    for corpus in claims.corpora:
        parts += [_chapter(corpus), bullets([*_doubt(corpus), _balance(corpus.by_name[EXPERTS])])]
    return "\n\n".join([*parts, *caution_about_seeds(settings.n_seeds)])


def summarise(claims: ExpertClaims) -> str:
    """Sizes, times and scores, a table for each data set."""
    return "\n\n".join(_chapter(corpus) for corpus in claims.corpora)


def _chapter(corpus: ExpertClaimsCorpus) -> str:
    sizes = [judge.size for judge in corpus.judges if judge.size is not None]
    about = prose(f"""
    **{corpus.name}:** {corpus.n_train:,} training rows, {corpus.n_valid:,} held out,
    {corpus.n_classes} verdicts, {corpus.n_groups:,} groups ({corpus.group}). Weights exclude the
    embedding's {sizes[0].embedding:,}; *active* ones meet a token.""")
    headers = ["", "weights", "active", "seconds", "accuracy", "bits per claim"]
    return "\n\n".join([about, table(headers, [_row(judge) for judge in corpus.judges])])


def _row(judge: ClaimJudge) -> list[str]:
    size = judge.size
    return [
        judge.name,
        NO_VALUE if size is None else f"{size.total:,}",
        NO_VALUE if size is None else f"{size.active:,}",
        number(float(np.median(judge.seconds)), 2) if judge.seconds else NO_VALUE,
        f"{judge.accuracy.mean.estimate:.1%}",
        f"{judge.loss_bits.mean.estimate:.3f}",
    ]


def _doubt(corpus: ExpertClaimsCorpus) -> list[str]:
    if verdict(_lead(corpus, MAJORITY, "loss_bits").difference) == BELOW:
        return []
    return [
        "The encoder with experts has not been shown to learn more than how frequent the verdicts "
        "are, so there is little in which encoders could differ."
    ]


def _balance(judge: ClaimJudge) -> str:
    uses = to_frame(judge.uses)
    busiest = 1 + uses.max_violation
    return (
        f"The busiest expert processes {busiest.median():.1f} times its even share (median of "
        f"{len(uses)} routers; at most {busiest.max():.1f}); {uses.dead_experts.sum()} of "
        f"{uses.load.map(len).sum()} experts process nothing. A router's entropy is "
        f"{uses.normalised_router_entropy.mean():.1%} of the greatest."
    )
