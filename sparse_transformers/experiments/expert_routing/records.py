"""What the expert experiment measures: plain values, and tidy tables of them."""

from dataclasses import dataclass

import pandas as pd

from sparse_transformers.experiments.expert_routing.variants import (
    BALANCING,
    FROZEN,
    LABELS,
    UNBALANCED,
    UNTRAINED,
)
from sparse_transformers.interpretability.routing_statistics import LayerStatistics
from sparse_transformers.utils.metrics.experts.specialization import Specialization
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.records import to_frame
from sparse_transformers.utils.verdicts import compare, over_seeds

BEYOND = "kind given word, position"
"""What the first choice tells about the kind of the statement beyond the word and its position,
which a causal model knows without any content: it takes the words before."""
CLASSES = ("word", "position", BEYOND)
"""What experts may have specialised in."""


@dataclass(frozen=True)
class ExpertStudySettings:
    """Sizes of models and runs, the same for every variant.

    Attributes:
        n_statements: how many are written, for training and validation together.
        seq_len: words in a row.
        d_model: width of the models.
        n_heads: heads per block.
        n_layers: blocks, all with experts.
        num_experts: experts per block.
        top_k: experts per word.
        d_ff: width inside each expert; the dense model has `top_k` times as much.
        steps: optimiser steps of each run.
        batch_size: rows per step.
        learning_rate: the largest.
        n_snapshots: how often routing is recorded during training, besides at the start.
        valid_rows: held-out rows, on which models are validated and routing is recorded.
        n_seeds: runs of each variant, which differ in weights and batches.
        capacity_factors: capacities at which the trained models are tested again.
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
    """The routers at one step of the training; one entry of a tuple belongs to one layer.

    Attributes:
        step: optimiser steps so far.
        bits_per_word: on held-out statements.
        max_violation: the load of the busiest expert over the even share, less 1.
        dead_experts: how many experts have no word.
        saturation: the share of the final assignments that are made already.
        saturation_by_chance: the same with the words shuffled.
    """

    step: int
    bits_per_word: float
    max_violation: tuple[float, ...]
    dead_experts: tuple[int, ...]
    saturation: tuple[float, ...]
    saturation_by_chance: tuple[float, ...]


@dataclass(frozen=True)
class CapacityPoint:
    """A trained model whose experts take a limited number of words of a sequence.

    Attributes:
        factor: of the capacity; None for no limit.
        dropped_share: of the assignments, over all layers.
        bits_per_word: where dropped words skip the layer.
    """

    factor: float | None
    dropped_share: float
    bits_per_word: float


@dataclass(frozen=True)
class ExpertRun:
    """One run. One entry of `layers`, `scores` and `first_scores` belongs to one layer.

    Attributes:
        variant: its name.
        seed: of weights and batches.
        n_parameters: number of weights.
        n_active_parameters: number of weights that are used for one word.
        train_seconds: of training, validation not counted.
        snapshots: from the untrained model to the last step.
        layers: how the trained routers routed the validation rows.
        scores: how specialised the experts of the trained model are, in each of `CLASSES`.
        first_scores: the same before the first step; for the main variant only.
        capacities: the trained model with limited capacity; empty for variants not tested so.
    """

    variant: str
    seed: int
    n_parameters: int
    n_active_parameters: int
    train_seconds: float
    snapshots: tuple[RoutingSnapshot, ...]
    layers: tuple[LayerStatistics, ...]
    scores: tuple[dict[str, Specialization], ...]
    first_scores: tuple[dict[str, Specialization], ...]
    capacities: tuple[CapacityPoint, ...]


@dataclass(frozen=True)
class RoutedStatement:
    """One statement in one layer.

    Attributes:
        kind: of the statement.
        words: in order.
        probabilities: of every expert, by word.
        chosen: the experts of each word.
    """

    kind: str
    words: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]
    chosen: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class TokenPath:
    """Words with the same first choices.

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
    """The first run of the main variant in more detail.

    Attributes:
        routed: a statement, in the last layer.
        paths: of the held-out words through the layers.
        kinds: order of the kinds in `added_bits`.
        added_bits: the loss that a word of each kind has more if one expert is switched off; by
            layer, expert and kind.
        errors_bits: the standard error of each of these over statements.
        similarity: cosine between the kinds of the words of two experts of the last layer.
    """

    routed: RoutedStatement
    paths: tuple[TokenPath, ...]
    kinds: tuple[str, ...]
    added_bits: tuple[tuple[tuple[float, ...], ...], ...]
    errors_bits: tuple[tuple[tuple[float, ...], ...], ...]
    similarity: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ExpertStudy:
    """All runs, and one of them in more detail.

    Attributes:
        settings: sizes.
        n_words: in the vocabulary.
        floor_bits: per held-out word, for a model that knows the grammar: the least to be expected.
        kind_bits: information of the words so far about the kind, on average: the most that
            experts can hold.
        main_variant: the variant that stands beside the controls.
        runs: by variant and seed.
        close_up: of the main variant's first run.
    """

    settings: ExpertStudySettings
    n_words: int
    floor_bits: float
    kind_bits: float
    main_variant: str
    runs: tuple[ExpertRun, ...]
    close_up: CloseUp

    def table(self, field: str) -> pd.DataFrame:
        """The entries of a field of all runs, with variant, label and seed.

        Args:
            field: "snapshots", "layers" or "capacities".
        """
        return pd.concat(
            to_frame(getattr(run, field)).assign(
                variant=run.variant, label=LABELS[run.variant], seed=run.seed
            )
            for run in self.runs
            if getattr(run, field)
        )

    def bits(self) -> pd.Series:
        """Bits per held-out word after the last step, by variant and seed."""
        snapshots = self.table("snapshots")
        return snapshots.groupby(["variant", "seed"])["bits_per_word"].last()

    def violations(self, layer: int) -> pd.Series:
        """The maximal violation of a layer after the last step, by variant and seed."""
        layers = self.table("layers").loc[layer]  # the index is the place in a run
        return layers.set_index(["variant", "seed"])["max_violation"]

    def scores(self, classes: str, layer: int, field: str = "score") -> pd.Series:
        """A field of each `Specialization`, by variant and seed.

        The variant `UNTRAINED` is the main one before its first step.
        """
        found = {
            (variant, run.seed): getattr(layers[layer][classes], field)
            for run in self.runs
            for variant, layers in ((run.variant, run.scores), (UNTRAINED, run.first_scores))
            if layers
        }
        return pd.Series(found)


def difference(values: pd.Series, variant: str, other: str) -> Interval:
    """By how much values (by variant and seed) of one variant exceed another's, paired by seed."""
    return over_seeds((values[variant] - values[other]).tolist())


def effects_of_balancing(values: pd.Series) -> dict[str, Interval]:
    """By how much the values of each way to balance exceed those without, by label."""
    return {LABELS[name]: difference(values, name, UNBALANCED) for name in BALANCING}


def compare_with_frozen(study: ExpertStudy, layer: int) -> str:
    """Whether learning to route adds to what the first choice tells about the kind."""
    gain = difference(study.scores(BEYOND, layer), study.main_variant, FROZEN)
    more, less = "more informative than", "less informative than"
    sentence = compare("learned routing", "frozen routing", gain, above=more, below=less)
    return sentence[0].upper() + sentence[1:]
