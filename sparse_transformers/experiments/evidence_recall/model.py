"""The model that looks for evidence: how it is trained, and how its verdicts are read."""

import dataclasses
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from tqdm.auto import tqdm

from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.optimizer import make_optimizer
from sparse_transformers.utils.datasets.evidence_documents import (
    FIRST_VERDICT,
    VERDICTS,
    VOCABULARY,
    EvidenceDocuments,
    Placement,
    make_documents,
)

MOST_FACTS, MOST_CLAIMS = 32, 16
OPTIMIZER = TrainingConfig(learning_rate=3e-3, weight_decay=0.01, betas=(0.9, 0.98), progress=False)
WARMUP_STEPS = 50


@dataclass(frozen=True)
class Curriculum:
    """Short documents first: trained on long ones from the start, the model learns nothing.

    Attributes:
        lengths: tokens of facts and filler in each stage; 32 facts, or as many as fit.
        tokens_per_step: documents of a step, in tokens; at least one document, at most 64.
        good_enough_nats: the next stage begins when the running mean of the verdict loss falls
            below.
        least_steps: the shortest that a stage may take before that.
        polish_steps: how long the last stage goes on after that, with a falling learning rate.
        most_steps: the longest that one stage may take.
    """

    lengths: tuple[int, ...] = (16, 32, 64, 256, 1024)
    tokens_per_step: int = 2048
    good_enough_nats: float = 0.1
    least_steps: int = 20
    polish_steps: int = 60
    most_steps: int = 2000


@dataclass(frozen=True)
class Stage:
    """What one stage of the curriculum took.

    Attributes:
        seq_len: tokens of facts and filler.
        steps: optimiser steps.
        verdict_loss_nats: running mean of the loss at the end; a guess costs 0.69.
        finished: whether it became good enough.
    """

    seq_len: int
    steps: int
    verdict_loss_nats: float
    finished: bool


def make_evidence(
    n_documents: int, seq_len: int, generator: torch.Generator, placement: Placement = "uniform"
) -> EvidenceDocuments:
    """Documents with as many facts and claims as the experiment has, or as fit."""
    return make_documents(
        n_documents,
        seq_len,
        n_facts=min(MOST_FACTS, seq_len // 2),
        n_claims=min(MOST_CLAIMS, seq_len // 2),
        generator=generator,
        placement=placement,
    )


def new_model(seed: int) -> SparseTransformer:
    """Two layers, width 64, four heads, dense attention.

    Keys look one token back, so that "the city that follows this name" takes one layer. Half of
    each head's dimensions turn with the position: enough to find the token just before, and the
    rest compares contents alike at every distance.
    """
    config = SparseTransformerConfig(
        vocab_size=len(VOCABULARY),
        d_model=64,
        n_heads=4,
        n_layers=2,
        attention="dense",
        rotary_fraction=0.5,
        token_shift=True,
    )
    return SparseTransformer(config, seed=seed)


def with_attention(model: SparseTransformer, **changes: object) -> SparseTransformer:
    """A copy of the model with the same weights, and other `attention` or `selector`."""
    config = dataclasses.replace(model.config, **changes)  # type: ignore[arg-type]
    changed = SparseTransformer(config)
    changed.load_state_dict(model.state_dict())
    return changed.eval()


def train_on_documents(
    model: SparseTransformer,
    curriculum: Curriculum,
    *,
    seed: int,
    progress: bool = False,
) -> tuple[list[Stage], float]:
    """Trains the model stage by stage, and leaves it in evaluation mode.

    Returns:
        What each stage took, and the seconds of all.
    """
    started = time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    optimizer = make_optimizer(model.train(), OPTIMIZER)
    stages: list[Stage] = []
    for seq_len in curriculum.lengths:
        is_last = seq_len == curriculum.lengths[-1]
        polish = curriculum.polish_steps if is_last else 0
        mean_loss, step, left = 1.0, 0, None
        with tqdm(desc=f"{seq_len:,} tokens", unit="step", disable=not progress) as bar:
            while step < curriculum.most_steps and left != 0:
                warm = min(1.0, (step + 1) / WARMUP_STEPS) if not stages else 1.0
                cooling = 1.0 if left is None else left / polish
                for group in optimizer.param_groups:
                    group["lr"] = OPTIMIZER.learning_rate * warm * cooling
                n_documents = max(1, min(64, curriculum.tokens_per_step // seq_len))
                documents = make_evidence(n_documents, seq_len, generator)
                loss = _train_step(model, documents, optimizer)
                step += 1
                mean_loss += 0.1 * (loss - mean_loss)
                if left is not None:
                    left -= 1
                elif step >= curriculum.least_steps and mean_loss < curriculum.good_enough_nats:
                    left = polish
                bar.set_postfix_str(f"verdict loss {mean_loss:.3f}", refresh=False)
                bar.update()
        stages.append(Stage(seq_len, step, mean_loss, left is not None))
    model.eval()
    return stages, time.perf_counter() - started


@torch.no_grad()
def verdict_logits_of(
    model: SparseTransformer, documents: EvidenceDocuments
) -> Float[Tensor, "documents claims 2"]:
    """Logits of "false" and "true" for every claim, one document at a time."""
    return torch.cat([_predict(model, document)[1] for document in documents.one_by_one()])


def _train_step(
    model: SparseTransformer, documents: EvidenceDocuments, optimizer: torch.optim.Optimizer
) -> float:
    city_logits, verdict_logits = _predict(model, documents)
    # The verdict alone is no teacher: half of the claims cost nothing to a guess. Naming the city
    # where the claim names the person says what to look for.
    city_loss = F.cross_entropy(city_logits.flatten(0, 1), documents.cities.flatten())
    verdict_loss = F.cross_entropy(verdict_logits.flatten(0, 1), documents.is_true.long().flatten())
    optimizer.zero_grad()
    (city_loss + verdict_loss).backward()
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return verdict_loss.item()


def _predict(
    model: SparseTransformer, documents: EvidenceDocuments
) -> tuple[Float[Tensor, "documents claims vocab"], Float[Tensor, "documents claims 2"]]:
    """Logits of the true city at each claim's name, and of the verdict at its end."""
    hidden = model.hidden_states(documents.input_ids)
    words = model.embedding.token.weight
    city_logits = hidden[:, documents.name_positions] @ words.T
    verdict_logits = hidden[:, documents.verdict_positions] @ words[FIRST_VERDICT:].T
    assert verdict_logits.shape[-1] == len(VERDICTS)
    return city_logits, verdict_logits
