"""Comparisons of encoders with numbers made up by hand."""

from sparse_transformers.experiments.expert_claims.records import (
    EXPERTS,
    TWIN,
    WIDE,
    ClaimJudge,
    EncoderSize,
    ExpertClaims,
    ExpertClaimsCorpus,
    ExpertClaimsSettings,
    ExpertUse,
    SeedScores,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import (
    BAYES,
    MAJORITY,
    ClaimEvaluationSettings,
)
from sparse_transformers.utils.metrics.significance import Interval, PairedDifference

SIZES = {
    EXPERTS: EncoderSize(total=4100, active=1100, router=100, embedding=7000),
    TWIN: EncoderSize(total=1000, active=1000, router=0, embedding=7000),
    WIDE: EncoderSize(total=4000, active=4000, router=0, embedding=7000),
}
ACCURACIES = {EXPERTS: 0.5, TWIN: 0.45, WIDE: 0.55}
LOSSES = {EXPERTS: 1.8, TWIN: 1.9, WIDE: 1.7}
USES = (
    ExpertUse((0.5, 0.25, 0.25, 0.0), 1.0, 1, 0.9),
    ExpertUse((0.4, 0.2, 0.2, 0.2), 0.6, 0, 0.8),
    ExpertUse((0.3, 0.3, 0.2, 0.2), 0.2, 0, 0.7),
)
NO_GAP = (0.0, -0.1, 0.1, 0.9)
"""A difference, its limits, and its p-value."""


def made_up_corpus(
    *,
    name: str = "claims",
    ceiling: bool = False,
    accuracy: dict[str, tuple[float, float, float, float]] | None = None,
    loss: dict[str, tuple[float, float, float, float]] | None = None,
) -> ExpertClaimsCorpus:
    """Two seeds of every encoder; differences that are not named are none."""

    def scores(
        value: float, spread: float, lead: tuple[float, float, float, float] | None
    ) -> SeedScores:
        paired = None
        if lead is not None:
            estimate, low, high, p_value = lead
            paired = PairedDifference(0.5, 0.5 - estimate, Interval(estimate, low, high), p_value)
        of_seeds = (value - spread, value + spread) if spread else ()
        return SeedScores(Interval(value, value - 0.1, value + 0.1), of_seeds, paired)

    def encoder(name: str) -> ClaimJudge:
        is_compared = name != EXPERTS
        return ClaimJudge(
            name,
            scores(
                ACCURACIES[name],
                0.02,
                (accuracy or {}).get(name, NO_GAP) if is_compared else None,
            ),
            scores(LOSSES[name], 0.03, (loss or {}).get(name, NO_GAP) if is_compared else None),
            size=SIZES[name],
            seconds=(2.0, 4.0),
            uses=USES if name == EXPERTS else (),
        )

    judges = [encoder(name) for name in (EXPERTS, TWIN, WIDE)]
    judges.append(
        ClaimJudge(
            MAJORITY,
            scores(0.25, 0, (accuracy or {}).get(MAJORITY, NO_GAP)),
            scores(2.2, 0, (loss or {}).get(MAJORITY, NO_GAP)),
        )
    )
    if ceiling:
        judges.append(ClaimJudge(BAYES, scores(0.6, 0, None), scores(1.5, 0, None)))
    return ExpertClaimsCorpus(
        name=name,
        n_train=1234,
        n_valid=321,
        n_classes=6,
        group="speaker",
        n_groups=99,
        judges=tuple(judges),
    )


def made_up_claims(*corpora: ExpertClaimsCorpus, **settings: int) -> ExpertClaims:
    """All these data sets, or one."""
    claims = ClaimEvaluationSettings(n_resamples=321)
    chosen = ExpertClaimsSettings(claims, num_experts=4, **{"n_seeds": 2, "folds": 5, **settings})
    return ExpertClaims(chosen, corpora or (made_up_corpus(),))
