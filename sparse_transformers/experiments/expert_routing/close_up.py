"""One trained model with experts, looked at closely."""

from collections import Counter
from collections.abc import Mapping

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

    without = expert_losses(model, word_losses, kinds, units=statements).ablations
    return CloseUp(
        routed=_first_statement(routings, corpus),
        paths=_paths(routings, kinds),
        kinds=STATEMENT_KINDS,
        added_bits=tuple(
            tuple(_in_bits(each.deltas) for each in without if each.layer == layer)
            for layer in routings
        ),
        errors_bits=tuple(
            tuple(_in_bits(each.standard_errors) for each in without if each.layer == layer)
            for layer in routings
        ),
        similarity=_similarity(first_choices(routings)[-1], kinds, routings),
    )


def _in_bits(nats: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(nats_to_bits(nats[kind]) for kind in STATEMENT_KINDS)


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
    """How many words of each kind go through the same first choices."""
    choices = (layer.tolist() for layer in first_choices(routings))
    counted = Counter(zip(kinds.tolist(), *choices, strict=True))
    return tuple(
        TokenPath(kind=kind, experts=tuple(experts), n_words=n_words)
        for (kind, *experts), n_words in sorted(counted.items())
    )


def _similarity(
    experts: np.ndarray, kinds: np.ndarray, routings: Routings
) -> tuple[tuple[float, ...], ...]:
    num_experts = next(iter(routings.values())).num_experts
    counts = np.array(expert_class_table(experts, kinds, num_experts=num_experts).counts)
    # Shares of each kind, or the most frequent kind would make all experts look alike.
    shares = counts / counts.sum(0)
    cosines = ExpertSpecializationAnalyzer().compute_expert_similarity(shares)
    return tuple(tuple(row) for row in cosines.tolist())
