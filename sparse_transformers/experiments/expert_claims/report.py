"""Claim classifiers with and without experts in words: every verdict follows from the numbers."""

from statistics import median

from sparse_transformers.experiments.expert_claims.records import (
    EXPERTS,
    TWIN,
    WIDE,
    ClaimReference,
    ExpertClaims,
    ExpertClaimsArm,
    ExpertClaimsCorpus,
    ExpertDifference,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import BAYES, MAJORITY
from sparse_transformers.utils.metrics.significance import PairedDifference
from sparse_transformers.utils.report import NO_VALUE, bullets, number, percent, prose, table


def describe_expert_claims(claims: ExpertClaims) -> str:
    """What was compared, how each encoder judges, and what follows."""
    settings = claims.settings
    parts = [
        prose(f"""
        An encoder reads claims and says how true they are. In its feed-forward part it has
        {settings.num_experts} experts, {settings.top_k} for each token. Its *dense twin* has one
        network as wide as {settings.top_k} experts, so that a token meets equally many weights, but
        for those of the router; the *wide dense* encoder has one as wide as all experts, so equally
        many weights in all. All three read the same training rows in the same order, and
        {settings.folds} members trained on different folds judge together, calibrated on the rows
        that they had not learned from."""),
        prose(f"""
        Means are over {_seeds(settings.n_seeds)}. Intervals are 95%, from
        {settings.claims.n_resamples} resamples of whole groups of held-out rows and, independently,
        of the seeds: a difference must outlast both to be called one. Only the text of a claim is
        read, no metadata."""),
    ]
    for corpus in claims.corpora:
        parts += [f"**{corpus.name}**", _about(corpus), _table(corpus), _verdicts(corpus)]
    return "\n\n".join(parts)


def summarise_expert_claims(claims: ExpertClaims) -> str:
    """The comparison with the dense twin alone, a sentence for every data set."""
    return bullets(
        [f"*{corpus.name}.* {_compare(corpus.difference(TWIN))}" for corpus in claims.corpora]
    )


def _about(corpus: ExpertClaimsCorpus) -> str:
    return prose(f"""
    {corpus.n_train:,} rows to learn from, {corpus.n_valid:,} held out, {corpus.n_classes} verdicts;
    resampled by {corpus.group} ({corpus.n_groups:,} of them). The embedding of words, the same
    {corpus.arm(TWIN).size.embedding:,} weights in every encoder, is not counted below.""")


def _table(corpus: ExpertClaimsCorpus) -> str:
    headers = ("", "weights", "met by a token", "accuracy", "bits per claim", "seconds")
    rows = [
        (
            arm.name,
            f"{arm.size.total:,}",
            f"{arm.size.active:,}",
            str(arm.accuracy),
            str(arm.loss_bits),
            number(median(arm.seconds), 2),
        )
        for arm in corpus.arms
    ]
    rows += [
        (each.name, NO_VALUE, NO_VALUE, str(each.accuracy), str(each.loss_bits), NO_VALUE)
        for each in corpus.references
    ]
    return table(headers, rows)


def _verdicts(corpus: ExpertClaimsCorpus) -> str:
    return bullets(
        [
            *(_compare(corpus.difference(other)) for other in (TWIN, WIDE, MAJORITY)),
            *_nothing_learned(corpus),
            *_ceiling(corpus),
            _balance(corpus.arm(EXPERTS)),
        ]
    )


def _compare(difference: ExpertDifference) -> str:
    """Whether the encoder with experts judges better than another judge, beyond chance."""
    accuracy, loss = difference.accuracy, difference.loss_bits
    return prose(f"""
    Beside the *{difference.other}*, the encoder with experts is
    {_word(accuracy, more="more accurate", less="less accurate", alike="accuracy")}
    ({_numbers(accuracy, 100, ".1f", "points")}) and
    {_word(loss, more="worse in loss", less="better in loss", alike="loss")}
    ({_numbers(loss, 1, ".3f", "bits per claim")}).""")


def _word(difference: PairedDifference, *, more: str, less: str, alike: str) -> str:
    gap = difference.difference
    if gap.low <= 0 <= gap.high:
        return f"not distinguishable in {alike}"
    return more if gap.estimate > 0 else less


def _numbers(difference: PairedDifference, scale: float, digits: str, unit: str) -> str:
    gap = difference.difference
    estimate, low, high = (
        f"{scale * each:+{digits}}" for each in (gap.estimate, gap.low, gap.high)
    )
    return f"{estimate} {unit}; {low} to {high}, p = {difference.p_value:.3f}"


def _nothing_learned(corpus: ExpertClaimsCorpus) -> list[str]:
    if corpus.difference(MAJORITY).loss_bits.difference.high < 0:
        return []
    return [
        "The encoder with experts has not learned more than how frequent the verdicts are, so "
        "there is little in which encoders could differ."
    ]


def _ceiling(corpus: ExpertClaimsCorpus) -> list[str]:
    return [
        f"The best possible judge, who knows how the claims were made, is right in "
        f"{percent(best.accuracy.estimate)} of these. In loss, the encoder with experts is "
        f"{_above(EXPERTS, corpus, best)} bits per claim above it, the dense twin "
        f"{_above(TWIN, corpus, best)}."
        for best in corpus.references
        if best.name == BAYES
    ]


def _above(name: str, corpus: ExpertClaimsCorpus, best: ClaimReference) -> str:
    return f"{corpus.arm(name).loss_bits.estimate - best.loss_bits.estimate:.3f}"


def _balance(arm: ExpertClaimsArm) -> str:
    uses = arm.uses
    violations = [use.max_violation for use in uses]
    entropy = sum(use.normalised_router_entropy for use in uses) / len(uses)
    dead = sum(use.dead_experts for use in uses)
    n_experts = sum(len(use.load) for use in uses)
    return (
        f"Of the held-out rows, the busiest expert of a router reads {1 + median(violations):.1f} "
        f"times its even share (the median of {len(uses)} routers; {1 + max(violations):.1f} times "
        f"at most), and {dead} of {n_experts} experts read nothing. The entropy of what a router "
        f"thinks of a token is {entropy:.1%} of the most possible, which a router without any "
        "preference has."
    )


def _seeds(n_seeds: int) -> str:
    return "the one seed" if n_seeds == 1 else f"{n_seeds} seeds"


def findings(result: object) -> list[str]:
    """To be written."""
    return []
