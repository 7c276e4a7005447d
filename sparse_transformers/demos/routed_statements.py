"""The routing of statements by a layer with experts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from torch import Tensor, nn

from sparse_transformers.demos.expert_demo_results import ExpertProfile, RoutedStatement
from sparse_transformers.demos.expert_router import expert_names
from sparse_transformers.demos.statements import encode_statements
from sparse_transformers.models.experts.layer import record_experts
from sparse_transformers.models.experts.routing import Routing
from sparse_transformers.training.padding import pad_tokens
from sparse_transformers.utils.metrics.experts.focus import expert_class_table, expert_focus


@dataclass(frozen=True, eq=False)
class RoutedStatements:
    """How the only layer with experts of a model routes statements.

    Attributes:
        statements: a table as `generate_statements` makes it.
        layer: name of the layer in the model.
        routing: the routing of all tokens, full stops included.
        input_ids: token ids, padded on the right.
        is_token: True for tokens, False for padding.
    """

    statements: pd.DataFrame
    layer: str
    routing: Routing
    input_ids: Int[Tensor, "statements seq"]
    is_token: Bool[Tensor, "statements seq"]

    @property
    def words(self) -> Int[np.ndarray, "tokens"]:
        """The id of each token; like the properties below, without padding."""
        return self.input_ids[self.is_token].numpy()

    @property
    def rows(self) -> Int[np.ndarray, "tokens"]:
        """The row of the statement of each token."""
        return self.is_token.nonzero()[:, 0].numpy()

    @property
    def placed_words(self) -> Int[np.ndarray, "tokens"]:
        """One number for each pair of a token id and a position in the statement."""
        positions = self.is_token.nonzero()[:, 1].numpy()
        return self.words * self.is_token.shape[1] + positions

    @property
    def kinds(self) -> np.ndarray:
        """The kind of the statement of each token."""
        return self.statements["kind"].to_numpy()[self.rows]

    @property
    def experts(self) -> Int[np.ndarray, "tokens"]:
        """The expert that is the first choice of each token."""
        return self.routing.first_choice()[self.is_token].numpy()

    def mean_probabilities(self) -> Float[Tensor, "statements experts"]:
        """The router's probability of each expert, averaged over the tokens of a statement."""
        of_tokens = self.routing.probabilities.view(*self.is_token.shape, -1)
        return of_tokens.sum(1) / self.is_token.sum(1, keepdim=True)

    def summaries(self) -> Iterator[RoutedStatement]:
        """The expert of most tokens of each statement."""
        names = expert_names(self.routing.num_experts)
        per_statement = np.split(self.experts, np.flatnonzero(np.diff(self.rows)) + 1)
        for statement, experts in zip(self.statements.itertuples(), per_statement, strict=True):
            counts = np.bincount(experts)
            yield RoutedStatement(
                text=statement.text,
                kind=statement.kind,
                domain=statement.domain,
                expert_name=names[counts.argmax()],
                share=float(counts.max() / counts.sum()),
            )


@torch.no_grad()
def route_statements(model: nn.Module, statements: pd.DataFrame) -> RoutedStatements:
    """Run statements through a model in which exactly one layer has experts."""
    rows = encode_statements(statements["text"])
    input_ids, is_token = pad_tokens(rows, max_tokens=max(map(len, rows)))
    with record_experts(model) as outputs:
        model(input_ids, is_token)
    ((layer, output),) = outputs.items()
    return RoutedStatements(statements, layer, output.routing, input_ids, is_token)


def expert_profiles(
    experts: ArrayLike, kinds: ArrayLike, statements: ArrayLike, *, num_experts: int
) -> tuple[ExpertProfile, ...]:
    """The kinds of the statements that each expert gets.

    Args:
        experts: the expert of each token.
        kinds: the kind of each token's statement.
        statements: the statement of each token; kinds are shuffled among statements.
        num_experts: number of experts.
    """
    table = expert_class_table(experts, kinds, num_experts=num_experts)
    focuses = expert_focus(experts, kinds, units=statements, num_experts=num_experts)
    profiles = []
    for name, counts, focus in zip(expert_names(num_experts), table.counts, focuses, strict=True):
        total = sum(counts)
        shares = {
            kind: count / total if total else 0.0
            for kind, count in zip(table.class_names, counts, strict=True)
        }
        profile = ExpertProfile(
            expert_name=name,
            total_assignments=total,
            dominant_type=max(shares, key=shares.__getitem__) if total else None,
            type_distribution=shares,
            specialization_score=focus.focus,
            shuffled_score=focus.null_focus,
            p_value=focus.p_value,
        )
        profiles.append(profile)
    return tuple(profiles)
