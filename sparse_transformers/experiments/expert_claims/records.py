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
        claims: which claims, and the encoder that the others are made from: its transformer.
        num_experts: how many experts there are.
        top_k: how many of them process a token; each is 1 / `top_k` as wide as the dense twin.
        n_seeds: of each encoder.
        folds: members of the ensemble of each seed, whose mean judges.

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
class EncoderSize:
    """How many weights each member of an encoder's ensemble has.

    Attributes:
        total: all of them but those of the embedding of words.
        active: those of `total` that one token meets, the router's included.
        router: those of the routers.
        embedding: those of the embedding; as many in every encoder.
    """

    total: int
    active: int
    router: int
    embedding: int


@dataclass(frozen=True)
class ExpertUse:
    """What one router does with the words of the held-out rows; see `LayerStatistics`.

    Attributes:
        load: the share of each expert in all assignments.
        max_violation: of the load: 0 if it is even.
        dead_experts: how many experts process nothing.
        normalised_router_entropy: of one word, on average: 1 if the router prefers no expert.
    """

    load: tuple[float, ...]
    max_violation: float
    dead_experts: int
    normalised_router_entropy: float


@dataclass(frozen=True)
class SeedScores:
    """One score of a judge on the held-out rows.

    Attributes:
        mean: over rows and seeds.
        of_seeds: with each seed; empty for a judge that has none.
        lead: how much higher the encoder with experts scores on the same rows, with the same seeds;
            None for itself, and for the best possible judge.
    """

    mean: Interval
    of_seeds: tuple[float, ...] = ()
    lead: PairedDifference | None = None


@dataclass(frozen=True)
class ClaimJudge:
    """An encoder, or what to hold the encoders against.

    Attributes:
        name: `EXPERTS`, `TWIN`, `WIDE`, `MAJORITY` or `BAYES`.
        accuracy: share of rows whose most probable class is the true one.
        loss_bits: mean cross-entropy of the calibrated probabilities; lower is better.
        size: of an encoder; None for others.
        seconds: to train all folds, with each seed.
        uses: what every layer with experts of every member does with the held-out rows.
    """

    name: str
    accuracy: SeedScores
    loss_bits: SeedScores
    size: EncoderSize | None = None
    seconds: tuple[float, ...] = ()
    uses: tuple[ExpertUse, ...] = ()


@dataclass(frozen=True)
class ExpertClaimsCorpus:
    """All judges of one data set.

    Attributes:
        name: of the data set.
        n_train: rows to learn from.
        n_valid: held-out rows.
        n_classes: how many verdicts there are.
        group: the column whose values are resampled together.
        n_groups: how many values it has in the held-out rows.
        judges: the encoders, the majority class, and the Bayes classifier where it is known.
    """

    name: str
    n_train: int
    n_valid: int
    n_classes: int
    group: str
    n_groups: int
    judges: tuple[ClaimJudge, ...]

    @property
    def by_name(self) -> dict[str, ClaimJudge]:
        """The judges by their names."""
        return {judge.name: judge for judge in self.judges}


@dataclass(frozen=True)
class ExpertClaims:
    """All data sets."""

    settings: ExpertClaimsSettings
    corpora: tuple[ExpertClaimsCorpus, ...]
