"""What `ExpertRouterDemo` measured, as plain values that print as tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sparse_transformers.utils.metrics.experts.specialization import Specialization


@dataclass(frozen=True)
class ExpertTraining:
    """How the model was trained, and what it learned.

    Attributes:
        steps: optimiser steps.
        tokens: words that it read.
        untrained_nats: cross-entropy per word of other statements before training.
        trained_nats: the same after training.
        generator_nats: the same for one who knows the grammar; no model gets below it but by luck.
    """

    steps: int
    tokens: int
    untrained_nats: float
    trained_nats: float
    generator_nats: float

    def __str__(self) -> str:
        return (
            f"{self.steps} steps over {self.tokens:,} words: {self.untrained_nats:.2f} -> "
            f"{self.trained_nats:.2f} nats per word (at best {self.generator_nats:.2f})"
        )


@dataclass(frozen=True)
class RoutedStatement:
    """Where most of a statement's tokens went.

    Attributes:
        text: without the full stop, which is routed too.
        kind: its kind.
        domain: its domain.
        expert_name: the first choice of most of its tokens.
        share: of its tokens that chose this expert first.
    """

    text: str
    kind: str
    domain: str
    expert_name: str
    share: float


@dataclass(frozen=True)
class RoutingDemonstration:
    """How a trained layer routed statements that are none of its validation.

    Attributes:
        layer: the layer's name in the model.
        routing_results: where each statement went.
        expert_loads: assignments of tokens to each expert, top_k for each token.
        routing_scores: the router's probability of each expert (column), mean over the tokens of a
            statement (row).
        load_balance_coefficient: 1 - variance / mean² of the loads, at least 0: 1 if they are even.
        training: of the model.
    """

    layer: str
    routing_results: tuple[RoutedStatement, ...]
    expert_loads: tuple[int, ...]
    routing_scores: tuple[tuple[float, ...], ...]
    load_balance_coefficient: float
    training: ExpertTraining

    def __str__(self) -> str:
        total = sum(self.expert_loads)
        loads = (
            {"expert": expert, "tokens": load, "share": load / total}
            for expert, load in enumerate(self.expert_loads)
        )
        return "\n".join(
            [
                f"{len(self.routing_results)} statements through {self.layer}",
                _table(loads),
                f"load balance coefficient {self.load_balance_coefficient:.2f} (1 = even)",
                f"trained: {self.training}",
            ]
        )


@dataclass(frozen=True)
class ExpertProfile:
    """Which kinds of statements the tokens of one expert come from.

    Attributes:
        expert_name: its number.
        total_assignments: tokens that chose it first.
        dominant_type: the kind of most of these tokens; None without tokens.
        type_distribution: the share of each kind; all 0 without tokens.
        specialization_score: 1 - H(kind | this expert) / H(kind): 0 for an expert that reads all
            kinds as often as they occur, 1 for one that reads a single kind; 0 without tokens.
        shuffled_score: the same when the statements' kinds are shuffled, on average: what the
            expert would get for knowing nothing.
        p_value: of the hypothesis that it knows nothing.
    """

    expert_name: str
    total_assignments: int
    dominant_type: str | None
    type_distribution: dict[str, float]
    specialization_score: float
    shuffled_score: float
    p_value: float


@dataclass(frozen=True)
class ExpertSpecialization:
    """What experts tell about the kind of a statement, beside three controls.

    The controls are the same model before training, experts that are drawn for each word (hash),
    and shuffled kinds, which every `Specialization` holds as its null. Training has made experts
    specialise in so far as "trained" exceeds the other two. All have score 0 by chance.

    Attributes:
        layer: the layer's name in the model.
        experts: of the trained model.
        control_experts: those of "untrained" and "hash". Expert 3 of one router has nothing in
            common with expert 3 of another: compare the highest scores, or their means.
        about_kind: for "trained", "untrained" and "hash", what a token's expert tells of the kind.
            Words that are commoner in some kinds make any function of the word tell something.
        beyond_word: the same among tokens that are the same word. Always 0 for "hash".
        beyond_word_and_position: the same among tokens that are the same word in the same place of
            their statements. The place goes with the kind too, and takes no content to know.
        words_bits: what the words of a statement up to a token tell of the kind, mean over the
            tokens of the validation rows: the most that any router could make of them.
        training: of the model.
    """

    layer: str
    experts: tuple[ExpertProfile, ...]
    control_experts: dict[str, tuple[ExpertProfile, ...]]
    about_kind: dict[str, Specialization]
    beyond_word: dict[str, Specialization]
    beyond_word_and_position: dict[str, Specialization]
    words_bits: float
    training: ExpertTraining

    def __str__(self) -> str:
        experts = (
            {
                "expert": expert.expert_name,
                "tokens": expert.total_assignments,
                "commonest kind": expert.dominant_type or "-",
                "its share": max(expert.type_distribution.values(), default=0.0),
                "score": expert.specialization_score,
                "if shuffled": expert.shuffled_score,
                "p": expert.p_value,
            }
            for expert in self.experts
        )
        return "\n".join(
            [
                f"experts of {self.layer}, first choices",
                _table(experts),
                "",
                "what experts tell of the kind (score: 0 = chance, 1 = the most)",
                _table(_rows("by itself", self.about_kind)),
                _table(_rows("beyond the word", self.beyond_word)),
                _table(_rows("beyond word and place", self.beyond_word_and_position)),
                f"the words so far tell {self.words_bits:.2f} bits",
                f"trained: {self.training}",
            ]
        )


def _rows(what: str, routers: Mapping[str, Specialization]) -> Iterable[dict[str, Any]]:
    for name, found in routers.items():
        yield {
            what: name,
            "bits": found.information_bits,
            "if shuffled": found.null_bits,
            "score": found.score,
            "p": found.p_value,
        }


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    return pd.DataFrame(list(rows)).to_string(index=False, float_format="{:.3f}".format)
