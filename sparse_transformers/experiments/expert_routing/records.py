"""What the expert experiment measures, as plain values."""

from dataclasses import dataclass

from sparse_transformers.interpretability.routing_statistics import LayerStatistics
from sparse_transformers.utils.metrics.experts.specialization import Specialization

LABELS = (
    "word",
    "position",
    "kind",
    "domain",
    "domain given word",
    "kind given word",
    "kind given word, position",
)
"""What an expert may have specialised in; and what it knows beyond the word itself, or beyond the
word and its position in the statement, which a causal model knows without any content."""


@dataclass(frozen=True)
class ExpertStudySettings:
    """Sizes of models and runs, the same for every arm.

    Attributes:
        n_statements: how many are written, for training and validation together.
        seq_len: words that a model reads at once.
        d_model: width of the models.
        n_heads: heads per block.
        n_layers: blocks, all with experts.
        num_experts: experts per block.
        top_k: experts per word.
        d_ff: width inside each expert.
        steps: optimiser steps of each run.
        batch_size: rows per step.
        learning_rate: the largest.
        n_snapshots: how often routing is looked at during training, besides at the start.
        valid_rows: held-out rows on which models are validated and routing is looked at.
        n_seeds: runs of each arm, which differ in weights and batches.
        capacity_factors: capacities at which the trained models are asked again.
        n_shuffles: of the classes, to see what chance gives.
    """

    n_statements: int = 4000
    seq_len: int = 64
    d_model: int = 48
    n_heads: int = 4
    n_layers: int = 2
    num_experts: int = 8
    top_k: int = 2
    d_ff: int = 48
    steps: int = 120
    batch_size: int = 16
    learning_rate: float = 5e-3
    n_snapshots: int = 10
    valid_rows: int = 64
    n_seeds: int = 2
    capacity_factors: tuple[float, ...] = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
    n_shuffles: int = 100


@dataclass(frozen=True)
class RoutingSnapshot:
    """The routers at one moment of the training; one entry of a tuple belongs to one layer.

    Attributes:
        step: optimiser steps so far.
        bits_per_word: on held-out statements.
        max_violation: how much more than its share the busiest expert reads, as a share of that.
        dead_experts: how many experts read nothing.
        saturation: the share of the final experts that words have already.
        saturation_by_chance: what it would be with the words shuffled.
    """

    step: int
    bits_per_word: float
    max_violation: tuple[float, ...]
    dead_experts: tuple[int, ...]
    saturation: tuple[float, ...]
    saturation_by_chance: tuple[float, ...]


@dataclass(frozen=True)
class CapacityPoint:
    """A trained model whose experts take only so many words of a sequence.

    Attributes:
        factor: of the capacity; None for experts that take all.
        dropped_share: of the assignments, over all layers.
        bits_per_word: with the dropped words passing the layer by.
    """

    factor: float | None
    dropped_share: float
    bits_per_word: float


@dataclass(frozen=True)
class ExpertRun:
    """One run of one arm. One entry of `layers`, `scores` and `first_scores` belongs to one layer.

    Attributes:
        arm: its name.
        seed: of weights and batches.
        n_parameters: number of weights.
        n_active_parameters: number of weights that one word meets.
        train_seconds: of training, validation not counted.
        snapshots: from the untrained model to the last step.
        layers: what the trained routers did with the validation rows.
        scores: how specialised the experts of the trained model are, by what `LABELS` names.
        first_scores: the same before the first step; empty for all arms but the watched one.
        capacities: the trained model with less room; empty for arms that were not asked.
    """

    arm: str
    seed: int
    n_parameters: int
    n_active_parameters: int
    train_seconds: float
    snapshots: tuple[RoutingSnapshot, ...]
    layers: tuple[LayerStatistics, ...]
    scores: tuple[dict[str, Specialization], ...]
    first_scores: tuple[dict[str, Specialization], ...]
    capacities: tuple[CapacityPoint, ...]

    @property
    def final_bits(self) -> float:
        """Bits per held-out word after the last step."""
        return self.snapshots[-1].bits_per_word


@dataclass(frozen=True)
class RoutedStatement:
    """One statement, and what the router of one layer thinks of its words.

    Attributes:
        kind: of the statement.
        words: in order.
        probabilities: of every expert, by word.
        chosen: the experts that read each word.
    """

    kind: str
    words: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]
    chosen: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class TokenPath:
    """Words that go the same way.

    Attributes:
        kind: of their statements.
        experts: their first choice in each layer.
        n_words: how many.
    """

    kind: str
    experts: tuple[int, ...]
    n_words: int


@dataclass(frozen=True)
class CloseUp:
    """One trained model, looked at closely.

    Attributes:
        routed: a statement, in the last layer.
        paths: of the held-out words through the layers.
        kinds: order of the kinds in `added_bits`.
        added_bits: what a word of each kind costs more if one expert is switched off; by layer,
            expert and kind.
        errors_bits: the standard error of each of these: how far it would vary with other
            statements.
        similarity: cosine between what the experts of the last layer read, by kind.
    """

    routed: RoutedStatement
    paths: tuple[TokenPath, ...]
    kinds: tuple[str, ...]
    added_bits: tuple[tuple[tuple[float, ...], ...], ...]
    errors_bits: tuple[tuple[tuple[float, ...], ...], ...]
    similarity: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ExpertStudy:
    """All runs, and a closer look at one of them.

    Attributes:
        settings: sizes.
        n_words: in the vocabulary.
        floor_bits: per held-out word, to one who knows the grammar: no model can expect less.
        kind_bits: what the words so far tell of the kind, on average: experts cannot tell more.
        watched_arm: the arm that is looked at closely, in its first run.
        runs: by arm and seed.
        close_up: of that run.
    """

    settings: ExpertStudySettings
    n_words: int
    floor_bits: float
    kind_bits: float
    watched_arm: str
    runs: tuple[ExpertRun, ...]
    close_up: CloseUp

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in the order of the runs."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))

    def runs_of(self, arm: str) -> list[ExpertRun]:
        """The runs of an arm, by seed."""
        return sorted((run for run in self.runs if run.arm == arm), key=lambda run: run.seed)

    def scores_of(self, arm: str, label: str, layer: int, *, trained: bool = True) -> list[float]:
        """How specialised an arm's experts of one layer are, by seed."""
        return [
            (run.scores if trained else run.first_scores)[layer][label].score
            for run in self.runs_of(arm)
        ]
