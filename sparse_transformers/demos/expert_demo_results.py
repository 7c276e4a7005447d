"""The results of `ExpertRouterDemo`: plain values that print as tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sparse_transformers.utils.html_tables import html_table
from sparse_transformers.utils.metrics.experts.specialization import Specialization


@dataclass(frozen=True)
class ExpertTraining:
    """The training of the model, and its loss before and after.

    Attributes:
        steps: optimiser steps.
        tokens: number of words trained on.
        untrained_nats: cross-entropy per word on held-out statements, before training.
        trained_nats: the same after training.
        generator_nats: the same for the exact probabilities of the grammar; no model is better,
            except by chance.
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
    """The expert that most tokens of a statement are routed to.

    Attributes:
        text: the statement without the full stop, which is a token too.
        kind: the kind of the statement.
        domain: the domain of the statement.
        expert_name: the expert that is the first choice of most tokens.
        share: share of the tokens whose first choice this expert is.
    """

    text: str
    kind: str
    domain: str
    expert_name: str
    share: float


@dataclass(frozen=True, repr=False)
class RoutingDemonstration:
    """How a trained layer routes statements that were not in its training.

    Attributes:
        layer: name of the layer in the model.
        routing_results: the expert of each statement.
        expert_loads: number of tokens assigned to each expert; each token counts top_k times.
        routing_scores: the router's probability of each expert (column), averaged over the tokens
            of a statement (row).
        load_balance_coefficient: 1 - variance / mean² of the loads, at least 0; 1 for equal loads.
        training: how the model was trained.
    """

    layer: str
    routing_results: tuple[RoutedStatement, ...]
    expert_loads: tuple[int, ...]
    routing_scores: tuple[tuple[float, ...], ...]
    load_balance_coefficient: float
    training: ExpertTraining

    def __repr__(self) -> str:
        return (
            f"RoutingDemonstration({len(self.routing_results)} statements, "
            f"{len(self.expert_loads)} experts, "
            f"load balance coefficient {self.load_balance_coefficient:.2f})"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the load of each expert."""
        total = sum(self.expert_loads)
        rows = (
            {"expert": expert, "tokens": load, "share": load / total}
            for expert, load in enumerate(self.expert_loads)
        )
        return html_table(rows, caption=repr(self))

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
    """The kinds of the statements whose tokens are routed to one expert.

    Attributes:
        expert_name: the name of the expert, which is its number.
        total_assignments: number of tokens whose first choice it is.
        dominant_type: the most frequent kind of these tokens; None without tokens.
        type_distribution: the share of each kind; all 0 without tokens.
        specialization_score: 1 - H(kind | this expert) / H(kind): 0 for an expert that gets all
            kinds as often as they occur, 1 for one that gets a single kind; 0 without tokens.
        shuffled_score: the mean score when the kinds are shuffled among the statements: that of an
            expert that is independent of the kind.
        p_value: of the hypothesis that the expert is independent of the kind.
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
    """The information of experts about the kind of a statement, with three controls.

    The controls are the same model before training ("untrained"), a random expert for each word
    ("hash"), and shuffled kinds, which each `Specialization` has as its null. Training has made the
    experts specialise as far as "trained" exceeds the other two. The score of chance is 0.

    Attributes:
        layer: name of the layer in the model.
        experts: the profiles of the trained model's experts.
        control_experts: the profiles of "untrained" and "hash". Experts with the same number have
            nothing in common across routers: compare the highest scores, or their means.
        about_kind: for "trained", "untrained" and "hash", the information of a token's expert about
            the kind. Some words are more frequent in some kinds, so any function of the word has
            some information.
        beyond_word: the same within tokens of the same word; always 0 for "hash".
        beyond_word_and_position: the same within tokens of the same word at the same position of
            their statements. The position depends on the kind, too.
        words_bits: the information of the words of a statement up to a token about the kind,
            averaged over the tokens of the validation rows: an upper bound for every router.
        training: how the model was trained.
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
