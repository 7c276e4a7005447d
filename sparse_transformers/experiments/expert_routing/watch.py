"""How held-out rows are routed: during training, after it, and with experts limited or missing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sparse_transformers.demos.statements import StatementCorpus, StatementTask
from sparse_transformers.experiments.expert_routing.records import (
    BEYOND,
    CapacityPoint,
    CloseUp,
    RoutedStatement,
    RoutingSnapshot,
    TokenPath,
)
from sparse_transformers.interpretability.expert_ablation import expert_losses
from sparse_transformers.interpretability.routing_statistics import (
    LayerStatistics,
    RoutingStatistics,
    saturation,
    saturation_by_chance,
)
from sparse_transformers.models.experts.layer import MoEOutput, record_experts
from sparse_transformers.models.experts.router import TokenChoiceRouter
from sparse_transformers.models.experts.routing import Routing
from sparse_transformers.training.task import Evaluation, nats_to_bits
from sparse_transformers.utils.datasets.statement_kinds import STATEMENT_KINDS
from sparse_transformers.utils.metrics.experts.focus import expert_class_table
from sparse_transformers.utils.metrics.experts.specialization import Specialization, specialization
from sparse_transformers.utils.metrics.experts.specialization_analyzer import (
    ExpertSpecializationAnalyzer,
)

Routings = dict[str, Routing]
"""By name of the layer."""

POSITION_EDGES = (1, 2, 3, 4, 6, 8, 10)
"""Positions in a statement are classes of their own up to the fourth word, then in twos."""


class RecordingTask(StatementTask):
    """A `StatementTask` that keeps the routing of all its validations.

    Attributes:
        routings: of all validation rows as one batch; one entry for each validation.
    """

    def __init__(self, corpus: StatementCorpus, *, max_valid_rows: int) -> None:
        super().__init__(corpus, max_valid_rows=max_valid_rows)
        self.routings: list[Routings] = []

    def evaluate(self, model: nn.Module, *, batch_size: int) -> Evaluation:
        with record_experts(model) as outputs:
            evaluation = super().evaluate(model, batch_size=self.max_valid_rows)
        self.routings.append(routings_of(outputs))
        return evaluation


def take_snapshots(
    evaluations: Mapping[int, Evaluation], routings: Sequence[Routings]
) -> tuple[RoutingSnapshot, ...]:
    """The validations of a training, and how the routers routed in each of them."""
    snapshots = []
    for (step, evaluation), now in zip(evaluations.items(), routings, strict=True):
        layers = layers_of(now)
        pairs = [(now[name], final) for name, final in routings[-1].items()]
        snapshots.append(
            RoutingSnapshot(
                step=step,
                bits_per_word=evaluation.loss_bits,
                max_violation=tuple(layer.max_violation for layer in layers),
                dead_experts=tuple(layer.dead_experts for layer in layers),
                saturation=tuple(saturation(*pair) for pair in pairs),
                saturation_by_chance=tuple(saturation_by_chance(*pair) for pair in pairs),
            )
        )
    return tuple(snapshots)


def measure_specialization(
    routings: Routings, corpus: StatementCorpus, *, n_shuffles: int, seed: int
) -> tuple[dict[str, Specialization], ...]:
    """How much the first choice of each layer tells about each of `CLASSES`."""
    n_rows = len(next(iter(routings.values())).is_token) if routings else 0
    labels = corpus.labels
    columns = (corpus.valid[:, :-1], labels.kind, labels.statement, labels.position)
    words, kinds, statements, places = (column[:n_rows].flatten().numpy() for column in columns)
    positions = np.searchsorted(POSITION_EDGES, places, side="right")
    placed_words = words * (len(POSITION_EDGES) + 1) + positions
    score = partial(specialization, n_shuffles=n_shuffles, seed=seed)
    return tuple(
        {
            "word": score(experts, words),
            "position": score(experts, positions),
            BEYOND: score(experts, kinds, given=placed_words, units=statements),
        }
        for experts in first_choices(routings)
    )


def first_choices(routings: Routings) -> tuple[NDArray[np.int64], ...]:
    """The expert that is the first choice of each word, row after row, in each layer."""
    return tuple(routing.first_choice().flatten().numpy() for routing in routings.values())


@torch.no_grad()
def limit_capacity(
    model: nn.Module, rows: Tensor, factors: Sequence[float]
) -> tuple[CapacityPoint, ...]:
    """The model's loss and dropped assignments at each capacity factor, and without a limit."""
    model = deepcopy(model).eval()
    routers = [each for each in model.modules() if isinstance(each, TokenChoiceRouter)]
    for router in routers:
        router.train()  # the only mode with a limit to the capacity
    points = []
    for factor in (*factors, None):
        for router in routers:
            router.capacity_factor = factor
        with record_experts(model) as outputs:
            logits = model(rows[:, :-1])
        nats = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        routings = routings_of(outputs).values()
        n_chosen = sum(routing.n_chosen for routing in routings)
        dropped = sum(routing.n_dropped for routing in routings) / n_chosen
        points.append(CapacityPoint(factor, dropped, nats_to_bits(float(nats))))
    return tuple(points)


def routings_of(outputs: Mapping[str, MoEOutput]) -> Routings:
    """The routing of each layer that `record_experts` collected."""
    return {name: output.routing for name, output in outputs.items()}


def layers_of(routings: Routings) -> tuple[LayerStatistics, ...]:
    """The statistics of each layer; none for a model without experts."""
    statistics = RoutingStatistics()
    statistics.update(routings)
    return tuple(statistics.compute().values()) if routings else ()


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
