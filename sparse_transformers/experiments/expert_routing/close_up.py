"""One trained model with experts in more detail."""

from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparse_transformers.demos.statements import StatementCorpus
from sparse_transformers.experiments.expert_routing.records import (
    CloseUp,
    RoutedStatement,
    TokenPath,
)
from sparse_transformers.experiments.expert_routing.watch import (
    Routings,
    first_choices,
    routings_of,
)
from sparse_transformers.interpretability.expert_ablation import expert_losses
from sparse_transformers.models.experts.layer import record_experts
from sparse_transformers.training.task import nats_to_bits
from sparse_transformers.utils.datasets.statement_kinds import STATEMENT_KINDS
from sparse_transformers.utils.metrics.experts.focus import expert_class_table
from sparse_transformers.utils.metrics.experts.specialization_analyzer import (
    ExpertSpecializationAnalyzer,
)


def look_closer(model: nn.Module, corpus: StatementCorpus, n_rows: int) -> CloseUp:
    """Route the first validation rows once more, and then without each of the experts.

    Raises:
        ValueError: the rows do not hold statements of every kind.
    """
    rows, labels = corpus.valid[:n_rows], corpus.labels
    kinds = np.array(STATEMENT_KINDS)[labels.kind[:n_rows].flatten().numpy()]
    statements = labels.statement[:n_rows].flatten().numpy()
    with torch.no_grad(), record_experts(model) as outputs:
        model(rows[:, :-1])
    routings = routings_of(outputs)

    def word_losses(model: nn.Module) -> Tensor:
        logits = model(rows[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="none")

    ablations = expert_losses(model, word_losses, kinds, units=statements).ablations

    def in_bits(field: str) -> tuple[tuple[tuple[float, ...], ...], ...]:
        """A field of the ablations, by layer, expert and kind."""
        return tuple(
            tuple(
                tuple(nats_to_bits(getattr(each, field)[kind]) for kind in STATEMENT_KINDS)
                for each in ablations
                if each.layer == layer
            )
            for layer in routings
        )

    return CloseUp(
        routed=_first_statement(routings, corpus),
        paths=_paths(routings, kinds),
        kinds=STATEMENT_KINDS,
        added_bits=in_bits("deltas"),
        errors_bits=in_bits("standard_errors"),
        similarity=_similarity(routings, kinds),
    )


def _first_statement(routings: Routings, corpus: StatementCorpus) -> RoutedStatement:
    """The first statement that begins in the first row, in the last layer."""
    routing = list(routings.values())[-1]
    statement = corpus.labels.statement[0]
    start = int((statement != statement[0]).nonzero()[0])
    places = (statement == statement[start]).nonzero().squeeze(1).tolist()
    assigned = routing.assigned()[0]
    return RoutedStatement(
        kind=STATEMENT_KINDS[int(corpus.labels.kind[0, start])],
        words=tuple(corpus.vocabulary[token] for token in corpus.valid[0, places]),
        probabilities=tuple(tuple(row) for row in routing.probabilities[places].tolist()),
        chosen=tuple(tuple(assigned[place].nonzero().squeeze(1).tolist()) for place in places),
    )


def _paths(routings: Routings, kinds: np.ndarray) -> tuple[TokenPath, ...]:
    """How many words of each kind have the same first choices."""
    choices = (layer.tolist() for layer in first_choices(routings))
    counted = Counter(zip(kinds.tolist(), *choices, strict=True))
    return tuple(
        TokenPath(kind=kind, experts=tuple(experts), n_words=n_words)
        for (kind, *experts), n_words in sorted(counted.items())
    )


def _similarity(routings: Routings, kinds: np.ndarray) -> tuple[tuple[float, ...], ...]:
    experts, num_experts = first_choices(routings)[-1], next(iter(routings.values())).num_experts
    counts = np.array(expert_class_table(experts, kinds, num_experts=num_experts).counts)
    # Shares of each kind, or the most frequent kind would make all experts look alike.
    cosines = ExpertSpecializationAnalyzer().compute_expert_similarity(counts / counts.sum(0))
    return tuple(tuple(row) for row in cosines.tolist())
