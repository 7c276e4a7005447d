"""A small model with experts, trained on statements, and measurements of its experts."""

from dataclasses import dataclass
from functools import cached_property, partial

import pandas as pd

from sparse_transformers.demos.expert_demo_results import (
    ExpertSpecialization,
    ExpertTraining,
    RoutingDemonstration,
)
from sparse_transformers.demos.expert_router import ExpertRouter
from sparse_transformers.demos.routed_statements import expert_profiles, route_statements
from sparse_transformers.demos.statements import StatementTask, make_statement_corpus
from sparse_transformers.models.checks import check_whole
from sparse_transformers.models.experts.routers import HashRouter, TopKRouter
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.trainer import Trainer
from sparse_transformers.utils.datasets.statement_kinds import (
    generate_statements,
    statement_words,
)
from sparse_transformers.utils.metrics.experts.load import coefficient_of_variation
from sparse_transformers.utils.metrics.experts.specialization import specialization

N_STATEMENTS, SEQ_LEN, BATCH_SIZE = 2000, 32, 4
"""With small batches, a model of width 512 learns more in a few seconds than with large ones."""


class ExpertRouterDemo:
    """Trains a small model with experts on statements of eight kinds, and measures its experts.

    The model has one layer, with attention and experts, and learns to predict the next word; the
    kinds are not given to it. It is trained once, when a method first needs it: a few seconds at
    width 512 on two cores. The results print as tables.

    >>> import sparse_transformers as st
    >>> demo = st.ExpertRouterDemo(input_dim=16, num_experts=4, steps=1)
    >>> routed = demo.demonstrate_routing(batch_size=3)
    >>> len(routed.routing_results), len(routed.expert_loads)
    (3, 4)

    Args:
        input_dim: width of the model; even.
        num_experts: number of experts.
        expert_capacity: the largest number of tokens of a row of 32 that an expert takes in
            training; further tokens skip the experts. None for no limit.
        top_k: number of experts that each token is routed to.
        seed: of the statements, the weights and the training.
        steps: optimiser steps, of 128 words each.

    Raises:
        ValueError: a size is out of range.
    """

    def __init__(
        self,
        input_dim: int = 512,
        num_experts: int = 8,
        expert_capacity: int | None = None,
        *,
        top_k: int = 2,
        seed: int = 0,
        steps: int = 200,
    ) -> None:
        check_whole(2, input_dim=input_dim)
        check_whole(1, num_experts=num_experts, top_k=top_k, steps=steps)
        check_whole(0, seed=seed)
        if input_dim % 2:
            raise ValueError(f"input_dim must be even, got {input_dim}")
        if top_k > num_experts:
            raise ValueError(f"top_k must be at most num_experts ({num_experts}), got {top_k}")
        capacity_factor = None
        if expert_capacity is not None:
            check_whole(1, expert_capacity=expert_capacity)
            capacity_factor = expert_capacity * num_experts / (top_k * SEQ_LEN)
        self.input_dim = input_dim
        self.num_experts = num_experts
        self.top_k = top_k
        self.seed = seed
        self.steps = steps
        self._router_options = {"name": "top_k", "top_k": top_k, "capacity_factor": capacity_factor}

    @property
    def model(self) -> SparseTransformer:
        """The trained model."""
        return self._trained.model

    @property
    def router(self) -> ExpertRouter:
        """The trained router, which routes vectors of one's own."""
        (router,) = (each for each in self.model.modules() if isinstance(each, TopKRouter))
        return ExpertRouter(self.num_experts, self.input_dim, self.top_k, router=router)

    def __repr__(self) -> str:
        return (
            f"ExpertRouterDemo(input_dim={self.input_dim}, num_experts={self.num_experts}, "
            f"top_k={self.top_k}, steps={self.steps}, seed={self.seed})"
        )

    def demonstrate_routing(self, batch_size: int = 100) -> RoutingDemonstration:
        """Route the tokens of new statements with the trained router.

        Args:
            batch_size: number of statements.

        Raises:
            ValueError: `batch_size` is below 1.
        """
        check_whole(1, batch_size=batch_size)
        routed = route_statements(self.model, self._new_statements(batch_size))
        loads = routed.routing.counts.numpy()
        return RoutingDemonstration(
            layer=routed.layer,
            routing_results=tuple(routed.summaries()),
            expert_loads=tuple(loads.tolist()),
            routing_scores=tuple(map(tuple, routed.mean_probabilities().tolist())),
            load_balance_coefficient=max(0.0, 1 - coefficient_of_variation(loads) ** 2),
            training=self._trained.training,
        )

    def analyze_expert_specialization(self, num_samples: int = 500) -> ExpertSpecialization:
        """Measure the information of the experts about the kinds of new statements.

        A token's expert is its first choice, and its class is the kind of its statement. The
        information is compared with that after shuffling the kinds among the statements.

        Args:
            num_samples: number of statements.

        Raises:
            ValueError: `num_samples` is below 2, or so small that all statements are of one kind.
        """
        check_whole(2, num_samples=num_samples)
        statements = self._new_statements(num_samples)
        routed = route_statements(self.model, statements)
        hashed = HashRouter(self.num_experts, vocab_size=len(statement_words()), seed=self.seed)
        experts = {
            "trained": routed.experts,
            "untrained": route_statements(self._untrained(), statements).experts,
            "hash": hashed.table[routed.words, 0].numpy(),
        }
        measure = partial(
            specialization,
            classes=routed.kinds,
            units=routed.rows,
            num_experts=self.num_experts,
        )
        profiles = {
            name: expert_profiles(choices, routed.kinds, routed.rows, num_experts=self.num_experts)
            for name, choices in experts.items()
        }
        return ExpertSpecialization(
            layer=routed.layer,
            experts=profiles.pop("trained"),
            control_experts=profiles,
            about_kind={name: measure(choices) for name, choices in experts.items()},
            beyond_word={
                name: measure(choices, given=routed.words) for name, choices in experts.items()
            },
            beyond_word_and_position={
                name: measure(choices, given=routed.placed_words)
                for name, choices in experts.items()
            },
            words_bits=self._trained.words_bits,
            training=self._trained.training,
        )

    def _new_statements(self, n: int) -> pd.DataFrame:
        """Statements from another seed than those of the training."""
        return generate_statements(n, seed=self.seed + 1)

    @cached_property
    def _trained(self) -> "_TrainedModel":
        corpus = make_statement_corpus(N_STATEMENTS, seq_len=SEQ_LEN, seed=self.seed)
        task = StatementTask(corpus)
        config = TrainingConfig(
            steps=self.steps,
            batch_size=BATCH_SIZE,
            learning_rate=min(1e-2, 1 / self.input_dim),
            warmup_fraction=0.1,
            eval_every=self.steps,
            seed=self.seed,
            device="cpu",
            progress=False,
        )
        model = self._untrained()
        result = Trainer(model, task, config).train()
        training = ExpertTraining(
            steps=result.steps,
            tokens=result.tokens,
            untrained_nats=result.evaluations[0].loss_nats,
            trained_nats=result.evaluations[result.steps].loss_nats,
            generator_nats=task.floor_nats,
        )
        return _TrainedModel(model, training, float(corpus.labels.kind_bits.mean()))

    def _untrained(self) -> SparseTransformer:
        """The model before training: the same every time."""
        config = SparseTransformerConfig(
            vocab_size=len(statement_words()),
            d_model=self.input_dim,
            n_heads=self.input_dim // 64 if self.input_dim % 64 == 0 else 1,
            n_kv_heads=1,
            n_layers=1,
            attention="dense",
            token_shift=True,
            experts={
                "num_experts": self.num_experts,
                "router": self._router_options,
                "d_ff": max(8, self.input_dim // 8),
            },
        )
        return SparseTransformer(config, seed=self.seed).eval()


@dataclass(frozen=True)
class _TrainedModel:
    model: SparseTransformer
    training: ExpertTraining
    words_bits: float
