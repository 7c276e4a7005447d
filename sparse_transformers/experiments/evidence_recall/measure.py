"""Can a model with a sparse pattern still find evidence that stands far away?

One dense model learns to check claims against facts. Then its attention is replaced, weights
unchanged, by patterns that all see about equally many pairs, and every claim is sorted by what the
rule of the pattern predicts: is the fact seen within one layer, within all layers, or not at all?
"""

import math
from dataclasses import dataclass, field, replace

import pandas as pd
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from sparse_transformers.experiments.evidence_recall.model import (
    MOST_CLAIMS,
    Curriculum,
    Stage,
    make_evidence,
    new_model,
    train_on_documents,
    verdict_logits_of,
    with_attention,
)
from sparse_transformers.experiments.evidence_recall.patterns import (
    ALWAYS_SEEN,
    ATTENTIONS,
    EvidenceAttention,
    evidence_attention,
)
from sparse_transformers.experiments.section import Visit
from sparse_transformers.models.pattern_base import AttentionPattern
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.utils.datasets.evidence_documents import (
    VOCABULARY,
    EvidenceDocuments,
    make_documents,
    read_aloud,
)
from sparse_transformers.utils.metrics.significance import Interval, wilson_interval
from sparse_transformers.utils.records import to_frame

SEEN, REACHED, UNREACHED = "one layer", "all layers", "out of reach"
REACHES = {
    SEEN: "fact seen in one layer",
    REACHED: "only by way of other tokens",
    UNREACHED: "out of reach",
}
"""What the rule predicts of a fact, and how figures and tables call it."""


@dataclass(frozen=True)
class EvidenceRecallSettings:
    """What to train and to ask.

    Attributes:
        curriculum: of the dense model.
        lengths: tokens of facts and filler to test at.
        keys_per_query: how many keys a query of every sparse attention sees, about.
        n_documents: for each length and seed; 16 claims each.
        n_seeds: models, each with weights, training documents and test documents of its own.
        adaptation_steps: how long the dense model trains on with each pattern before it is tested
            again; 0 for not at all.
        adaptation_length: tokens of facts and filler in that training.
    """

    curriculum: Curriculum = field(default_factory=Curriculum)
    lengths: tuple[int, ...] = (256, 1024)
    keys_per_query: int = 64
    n_documents: int = 20
    n_seeds: int = 1
    adaptation_steps: int = 0
    adaptation_length: int = 1024


@dataclass(frozen=True)
class TrainedModel:
    """How the dense model of one seed was trained."""

    seed: int
    stages: tuple[Stage, ...]
    train_seconds: float


@dataclass(frozen=True)
class Verdicts:
    """How many verdicts were right.

    Attributes:
        attention: one of `ATTENTIONS`.
        seq_len: tokens of facts and filler.
        seed: of model and documents.
        adapted: whether the model was trained on with this attention.
        reach: one of `REACHES`.
        distance: the fact stands at least so many tokens before the verdict, and less than twice
            as many.
        n_claims: how many claims.
        n_right: how many verdicts were right.
    """

    attention: str
    seq_len: int
    seed: int
    adapted: bool
    reach: str
    distance: int
    n_claims: int
    n_right: int


@dataclass(frozen=True)
class EvidenceRecall:
    """All that was trained and asked.

    Attributes:
        settings: as given.
        models: the dense model of each seed.
        attentions: what each costs at each length.
        verdicts: by attention, length, seed, reach and distance.
        most_change_from_beyond: the largest change of a verdict's logits, over all attentions, when
            every token out of reach was replaced.
        example: a short document, read aloud.
    """

    settings: EvidenceRecallSettings
    models: tuple[TrainedModel, ...]
    attentions: tuple[EvidenceAttention, ...]
    verdicts: tuple[Verdicts, ...]
    most_change_from_beyond: float
    example: str

    @property
    def longest(self) -> int:
        """The greatest length, in tokens of facts and filler."""
        return max(self.settings.lengths)

    def frame(self) -> pd.DataFrame:
        """The verdicts as a tidy table."""
        return to_frame(self.verdicts)

    def density(self, name: str, seq_len: int) -> float:
        """Which share of the causal pairs an attention attends to."""
        [found] = [each for each in self.attentions if (each.name, each.seq_len) == (name, seq_len)]
        return found.density


def accuracy(verdicts: pd.DataFrame) -> Interval:
    """The share of right verdicts, with its Wilson interval."""
    return wilson_interval(int(verdicts.n_right.sum()), int(verdicts.n_claims.sum()))


def measure_evidence_recall(visit: Visit) -> EvidenceRecall:
    """Train a dense model for each seed, and ask it with every attention."""
    settings = visit.settings
    models: list[TrainedModel] = []
    verdicts: list[Verdicts] = []
    change = 0.0
    attentions = {
        (name, seq_len): evidence_attention(
            name, seq_len + 3 * MOST_CLAIMS, settings.keys_per_query
        )
        for seq_len in settings.lengths
        for name in ATTENTIONS
    }
    for model_seed in range(visit.seed, visit.seed + settings.n_seeds):
        visit.say(f"learning to check claims, seed {model_seed}")
        dense = new_model(model_seed)
        stages, seconds = train_on_documents(
            dense, settings.curriculum, seed=model_seed, progress=visit.progress
        )
        models.append(TrainedModel(model_seed, tuple(stages), seconds))
        for name in ATTENTIONS:
            visit.say(f"checking claims with {name} attention, seed {model_seed}")
            tested = [(False, dense)]
            if settings.adaptation_steps and name not in ALWAYS_SEEN:
                tested.append((True, _adapt(dense, name, settings, model_seed, visit.progress)))
            for adapted, weights in tested:
                for seq_len in settings.lengths:
                    attention = attentions[name, seq_len]
                    model = with_attention(weights, **attention.model_changes())
                    documents = make_evidence(
                        settings.n_documents,
                        seq_len,
                        torch.Generator().manual_seed(2000 + model_seed),
                        placement="near",
                    )
                    right = verdict_logits_of(model, documents).argmax(-1) == documents.is_true
                    reach = _reach_of_claims(attention.rule(), documents, dense.config.n_layers)
                    verdicts += _count(name, seq_len, model_seed, adapted, right, reach, documents)
                    change = max(change, change_from_beyond(model, attention.rule(), documents))
    example = make_documents(
        1, 24, n_facts=6, n_claims=2, generator=torch.Generator().manual_seed(visit.seed)
    )
    return EvidenceRecall(
        settings=settings,
        models=tuple(models),
        attentions=tuple(
            replace(attention, seq_len=seq_len) for (_, seq_len), attention in attentions.items()
        ),
        verdicts=tuple(verdicts),
        most_change_from_beyond=change,
        example=read_aloud(example.input_ids[0]),
    )


def tokens_in_reach(
    rule: AttentionPattern, positions: Int[Tensor, "claims"], seq_len: int, n_layers: int
) -> Bool[Tensor, "claims tokens"]:
    """Which tokens can influence the output of a model with a token shift at some positions.

    In each layer a token reads the keys that the rule allows. With the token shift a key holds the
    token before as well, and so does the input of the feed-forward part.
    """
    tokens = torch.arange(seq_len)
    sees = torch.as_tensor(rule.allows(tokens[:, None], tokens)).broadcast_to(seq_len, seq_len)
    sees = sees.float()
    reached = tokens == positions[:, None]
    for _ in range(n_layers):
        reached = _with_token_before(reached)
        reached = reached | _with_token_before((reached.float() @ sees) > 0)
    return reached


def _adapt(
    dense: SparseTransformer,
    name: str,
    settings: EvidenceRecallSettings,
    seed: int,
    progress: bool,
) -> SparseTransformer:
    """The dense model, trained on with another attention."""
    seq_len = settings.adaptation_length
    attention = evidence_attention(name, seq_len + 3 * MOST_CLAIMS, settings.keys_per_query)
    model = with_attention(dense, **attention.model_changes())
    more = replace(
        settings.curriculum,
        lengths=(seq_len,),
        good_enough_nats=math.inf,
        least_steps=1,
        polish_steps=settings.adaptation_steps,
    )
    train_on_documents(model, more, seed=seed + 1000, progress=progress)
    return model


def _reach_of_claims(
    rule: AttentionPattern, documents: EvidenceDocuments, n_layers: int
) -> Int[Tensor, "documents claims"]:
    """For each claim, which of `REACHES` holds for the city of its fact."""
    seq_len = documents.input_ids.shape[1]
    facts = documents.fact_positions
    seen = torch.as_tensor(rule.allows(documents.name_positions, facts)).broadcast_to(facts.shape)
    in_reach = tokens_in_reach(rule, documents.verdict_positions, seq_len, n_layers)
    reached = in_reach.gather(1, facts.T).T
    return torch.where(seen, 0, torch.where(reached, 1, 2))


def _count(
    attention: str,
    seq_len: int,
    seed: int,
    adapted: bool,
    right: Bool[Tensor, "documents claims"],
    reach: Int[Tensor, "documents claims"],
    documents: EvidenceDocuments,
) -> list[Verdicts]:
    octave = documents.distances.float().log2().floor().long()
    claims = pd.DataFrame(
        {"reach": reach.flatten(), "distance": 1 << octave.flatten(), "right": right.flatten()}
    )
    counts = claims.groupby(["reach", "distance"]).right.agg(["size", "sum"]).reset_index()
    names = list(REACHES)
    return [
        Verdicts(attention, seq_len, seed, adapted, names[place], *numbers)
        for place, *numbers in counts.to_numpy().tolist()
    ]


def change_from_beyond(
    model: SparseTransformer, rule: AttentionPattern, documents: EvidenceDocuments
) -> float:
    """How much the first verdict changes when all tokens out of its reach are replaced."""
    one = next(documents.one_by_one())
    position = one.verdict_positions[:1]
    in_reach = tokens_in_reach(rule, position, one.input_ids.shape[1], model.config.n_layers)
    others = (one.input_ids + 1) % len(VOCABULARY)
    changed = replace(one, input_ids=one.input_ids.where(in_reach, others))
    before, after = (verdict_logits_of(model, each)[:, 0] for each in (one, changed))
    return float((before - after).abs().max())


def _with_token_before(reached: Bool[Tensor, "claims tokens"]) -> Bool[Tensor, "claims tokens"]:
    before = torch.zeros_like(reached)
    before[:, :-1] = reached[:, 1:]
    return reached | before
