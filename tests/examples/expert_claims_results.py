"""Comparisons of encoders with numbers made up by hand."""

from sparse_transformers.experiments.expert_claims.records import (
    EXPERTS,
    TWIN,
    WIDE,
    ClaimReference,
    ExpertClaims,
    ExpertClaimsArm,
    ExpertClaimsCorpus,
    ExpertClaimsSettings,
    ExpertDifference,
    ExpertUse,
    MemberSize,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import (
    BAYES,
    MAJORITY,
    ClaimEvaluationSettings,
)
from sparse_transformers.utils.metrics.significance import Interval, PairedDifference

SIZES = {
    EXPERTS: MemberSize(total=4100, active=1100, router=100, embedding=7000),
    TWIN: MemberSize(total=1000, active=1000, router=0, embedding=7000),
    WIDE: MemberSize(total=4000, active=4000, router=0, embedding=7000),
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

    def around(value: float) -> Interval:
        return Interval(value, value - 0.1, value + 0.1)

    def paired(gap: tuple[float, float, float, float]) -> PairedDifference:
        estimate, low, high, p_value = gap
        return PairedDifference(0.5, 0.5 - estimate, Interval(estimate, low, high), p_value)

    references = [ClaimReference(MAJORITY, around(0.25), around(2.2))]
    if ceiling:
        references.append(ClaimReference(BAYES, around(0.6), around(1.5)))
    return ExpertClaimsCorpus(
        name=name,
        n_train=1234,
        n_valid=321,
        n_classes=6,
        group="speaker",
        n_groups=99,
        arms=tuple(
            ExpertClaimsArm(
                name=arm,
                size=SIZES[arm],
                accuracy=around(ACCURACIES[arm]),
                loss_bits=around(LOSSES[arm]),
                seed_accuracies=(ACCURACIES[arm] - 0.02, ACCURACIES[arm] + 0.02),
                seed_losses_bits=(LOSSES[arm] - 0.03, LOSSES[arm] + 0.03),
                seconds=(2.0, 4.0),
                uses=USES if arm == EXPERTS else (),
            )
            for arm in (EXPERTS, TWIN, WIDE)
        ),
        references=tuple(references),
        differences=tuple(
            ExpertDifference(
                other,
                paired((accuracy or {}).get(other, NO_GAP)),
                paired((loss or {}).get(other, NO_GAP)),
            )
            for other in (TWIN, WIDE, MAJORITY)
        ),
    )


def made_up_claims(*corpora: ExpertClaimsCorpus, **settings: int) -> ExpertClaims:
    """All these data sets, or one."""
    claims = ClaimEvaluationSettings(n_resamples=321)
    chosen = ExpertClaimsSettings(claims, num_experts=4, **{"n_seeds": 2, "folds": 5, **settings})
    return ExpertClaims(chosen, corpora or (made_up_corpus(),))
