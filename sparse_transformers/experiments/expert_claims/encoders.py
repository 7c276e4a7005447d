"""Encoders with experts and without, trained alike: probabilities, sizes and routing."""

import sys
import time
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from sparse_transformers.claims.classifier import ClaimClassifier
from sparse_transformers.claims.config import ClaimClassifierConfig, TransformerMember
from sparse_transformers.claims.corpora import ClaimCorpus
from sparse_transformers.claims.members import members_of
from sparse_transformers.experiments.expert_claims.records import (
    EXPERTS,
    TWIN,
    WIDE,
    EncoderSize,
    ExpertUse,
)
from sparse_transformers.interpretability.routing_statistics import RoutingStatistics
from sparse_transformers.models.experts.layer import record_experts
from sparse_transformers.models.experts.router import Router
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.training.padding import pad_tokens
from sparse_transformers.training.task import Batch

ROWS_AT_ONCE = 256
NEVER = sys.maxsize


@dataclass(frozen=True, eq=False)
class TrainedEncoder:
    """What became of an encoder with one seed.

    Attributes:
        probabilities: calibrated, of the held-out rows, (rows, classes).
        size: of each of its members.
        uses: see `ClaimJudge`.
        seconds: to train all of its members.
    """

    probabilities: NDArray[np.float64]
    size: EncoderSize
    uses: tuple[ExpertUse, ...]
    seconds: float


def encoders_from(
    transformer: TransformerMember, *, num_experts: int, top_k: int
) -> dict[str, TransformerMember]:
    """The encoder with experts, its dense twin, and the wide dense one, by name.

    Args:
        transformer: becomes the dense twin.
        num_experts: how many experts there are.
        top_k: how many of them process a token.

    Raises:
        ValueError: the width cannot be divided by `top_k`, or there are too few experts.
    """
    twin = replace(transformer, experts=None)
    with_experts = twin.with_experts(num_experts, top_k=top_k)
    wide = replace(twin, d_ff=num_experts * (twin.inner_width // top_k))
    return {EXPERTS: with_experts, TWIN: twin, WIDE: wide}


def train_encoder(
    corpus: ClaimCorpus, config: ClaimClassifierConfig, *, progress: bool = False
) -> TrainedEncoder:
    """Train members on all folds but one each, and let them judge the held-out rows together.

    No member stops early, so all see the same rows equally often; each keeps the weights that
    validated best.
    """
    classifier = ClaimClassifier(replace(config, ngrams=None, patience=NEVER))
    started = time.perf_counter()
    classifier.fit(
        corpus.train.to_dict("records"),
        corpus.train_labels,
        classes=corpus.classes,
        groups=corpus.train_groups,
        progress=progress,
    )
    seconds = time.perf_counter() - started
    rows = corpus.valid.to_dict("records")
    tokenizer = classifier.fitted.tokenizer
    ids, mask = pad_tokens([tokenizer.encode(row) for row in rows], config.max_tokens)
    batch = Batch(ids, torch.zeros(len(ids), dtype=torch.long), mask)
    members = [
        cast("SparseTransformer", each)
        for each in members_of(classifier.fitted.members, "transformer")
    ]
    return TrainedEncoder(
        probabilities=classifier.predict_proba(rows),
        size=size_of(members[0]),
        uses=tuple(use for member in members for use in expert_uses(member, batch)),
        seconds=seconds,
    )


def size_of(member: SparseTransformer) -> EncoderSize:
    """How many weights there are, and how many a token meets."""
    routers = [module for module in member.modules() if isinstance(module, Router)]
    embedding = sum(each.numel() for each in member.embedding.parameters())
    return EncoderSize(
        total=member.num_parameters() - embedding,
        active=member.num_active_parameters() - embedding,
        router=sum(each.numel() for router in routers for each in router.parameters()),
        embedding=embedding,
    )


@torch.no_grad()
def expert_uses(member: SparseTransformer, rows: Batch) -> tuple[ExpertUse, ...]:
    """What the routers of a member do with these rows, layer by layer; empty without experts."""
    statistics = RoutingStatistics()
    for part in rows.split(ROWS_AT_ONCE):
        part = part.trimmed()
        with record_experts(member) as outputs:
            member(part.input_ids, part.attention_mask)
        if not outputs:
            return ()
        statistics.update(outputs)
    return tuple(
        ExpertUse(
            layer.load,
            layer.max_violation,
            layer.dead_experts,
            layer.normalised_router_entropy,
        )
        for layer in statistics.compute().values()
    )
