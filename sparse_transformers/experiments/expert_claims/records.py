"""What is found out about claim classifiers with and without experts: plain values."""

from dataclasses import dataclass, field

from sparse_transformers.experiments.truthfulness_evaluation.records import ClaimEvaluationSettings
from sparse_transformers.models.checks import check_whole
from sparse_transformers.utils.metrics.significance import Interval, PairedDifference

EXPERTS, TWIN, WIDE = "experts", "dense twin", "wide dense"
"""The encoders: with experts, dense with as many active weights, dense with as many in all."""


@dataclass(frozen=True)
class ExpertClaimsSettings:
    """What to train.

    Attributes:
        claims: which claims, and the encoder that the others are made from: its transformer member.
        num_experts: how many experts there are.
        top_k: how many of them read a token; each is 1 / `top_k` as wide as the dense twin.
        n_seeds: of each encoder.
        folds: members per seed, whose mean judges.

    Raises:
        ValueError: a number is out of range.
    """

    claims: ClaimEvaluationSettings = field(default_factory=ClaimEvaluationSettings)
    num_experts: int = 8
    top_k: int = 2
    n_seeds: int = 3
    folds: int = 2

    def __post_init__(self) -> None:
        check_whole(1, num_experts=self.num_experts, top_k=self.top_k, n_seeds=self.n_seeds)
        check_whole(2, folds=self.folds)


@dataclass(frozen=True)
class MemberSize:
    """How many weights a member has, those of the embedding of words left out.

    Attributes:
        total: all of them.
        active: those that one token meets, the router's included.
        router: those of the routers.
        embedding: those left out; as many in every arm.
    """

    total: int
    active: int
    router: int
    embedding: int


@dataclass(frozen=True)
class ExpertUse:
    """What one router does with the words of the held-out rows; see `LayerStatistics`.

    Attributes:
        load: the share of each expert in all that is read.
        max_violation: of the load: 0 if it is even.
        dead_experts: how many experts read nothing.
        normalised_router_entropy: of one word, on average: 1 if the router prefers no expert.
    """

    load: tuple[float, ...]
    max_violation: float
    dead_experts: int
    normalised_router_entropy: float


@dataclass(frozen=True)
class ExpertClaimsArm:
    """One encoder, and how well it judges the held-out rows; means over the seeds.

    Attributes:
        name: `EXPERTS`, `TWIN` or `WIDE`.
        size: of each member.
        accuracy: share of rows whose most probable class is the true one.
        loss_bits: mean cross-entropy of the calibrated probabilities.
        seed_accuracies: the accuracy with each seed.
        seed_losses_bits: the loss with each seed.
        seconds: to train all folds, with each seed.
        uses: what every layer with experts of every member does with the held-out rows; empty
            without experts.
    """

    name: str
    size: MemberSize
    accuracy: Interval
    loss_bits: Interval
    seed_accuracies: tuple[float, ...]
    seed_losses_bits: tuple[float, ...]
    seconds: tuple[float, ...]
    uses: tuple[ExpertUse, ...] = ()


@dataclass(frozen=True)
class ClaimReference:
    """What to hold the encoders against: the most common class, or the best possible judge."""

    name: str
    accuracy: Interval
    loss_bits: Interval


@dataclass(frozen=True)
class ExpertDifference:
    """The encoder with experts less another judge, on the same rows; a lower loss is better."""

    other: str
    accuracy: PairedDifference
    loss_bits: PairedDifference


@dataclass(frozen=True)
class ExpertClaimsCorpus:
    """All encoders on one data set.

    Attributes:
        name: of the data set.
        n_train: rows to learn from.
        n_valid: held-out rows.
        n_classes: how many verdicts there are.
        group: the column whose values are resampled together.
        n_groups: how many values it has in the held-out rows.
        arms: the encoders.
        references: majority class, and the Bayes classifier where it is known.
        differences: from the encoder with experts to the other encoders and to the majority.
    """

    name: str
    n_train: int
    n_valid: int
    n_classes: int
    group: str
    n_groups: int
    arms: tuple[ExpertClaimsArm, ...]
    references: tuple[ClaimReference, ...]
    differences: tuple[ExpertDifference, ...]

    def arm(self, name: str) -> ExpertClaimsArm:
        """The encoder of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def difference(self, other: str) -> ExpertDifference:
        """The comparison with that judge."""
        return next(each for each in self.differences if each.other == other)


@dataclass(frozen=True)
class ExpertClaims:
    """All data sets."""

    settings: ExpertClaimsSettings
    corpora: tuple[ExpertClaimsCorpus, ...]
