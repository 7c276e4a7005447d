"""How the held-out rows are routed: during training, at its end, and with limited capacity."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    RoutingSnapshot,
)
from sparse_transformers.interpretability.routing_statistics import (
    LayerStatistics,
    RoutingStatistics,
    saturation,
    saturation_by_chance,
)
from sparse_transformers.models.evaluation_mode import evaluation_mode
from sparse_transformers.models.experts.layer import MoEOutput, record_experts
from sparse_transformers.models.experts.router import TokenChoiceRouter
from sparse_transformers.models.experts.routing import Routing
from sparse_transformers.training.task import Evaluation, nats_to_bits
from sparse_transformers.utils.metrics.experts.specialization import Specialization, specialization

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
    columns = (corpus.valid[:, :-1], labels.kind, labels.domain, labels.statement, labels.position)
    words, kinds, domains, statements, places = (
        column[:n_rows].flatten().numpy() for column in columns
    )
    positions = np.searchsorted(POSITION_EDGES, places, side="right")
    placed_words = words * (len(POSITION_EDGES) + 1) + positions
    score = partial(specialization, n_shuffles=n_shuffles, seed=seed)
    of_statements = partial(score, units=statements)
    return tuple(
        {
            "word": score(experts, words),
            "position": score(experts, positions),
            "kind": of_statements(experts, kinds),
            "domain": of_statements(experts, domains),
            "domain given word": of_statements(experts, domains, given=words),
            "kind given word": of_statements(experts, kinds, given=words),
            BEYOND: of_statements(experts, kinds, given=placed_words),
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
    points = []
    for factor in (*factors, None):
        with evaluation_mode(model), _capacity(model, factor), record_experts(model) as outputs:
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


@contextmanager
def _capacity(model: nn.Module, factor: float | None) -> Iterator[None]:
    """Routers in training mode, the only one with a limit to the capacity."""
    routers = [each for each in model.modules() if isinstance(each, TokenChoiceRouter)]
    before = [router.capacity_factor for router in routers]
    try:
        for router in routers:
            router.capacity_factor = factor
            router.train()
        yield
    finally:
        for router, own in zip(routers, before, strict=True):
            router.capacity_factor = own


def layers_of(routings: Routings) -> tuple[LayerStatistics, ...]:
    """The statistics of each layer; none for a model without experts."""
    statistics = RoutingStatistics()
    statistics.update(routings)
    return tuple(statistics.compute().values()) if routings else ()
