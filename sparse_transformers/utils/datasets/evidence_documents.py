"""Documents made of facts, and claims about them: the verdict needs a fact that stands far back.

A fact is two tokens, a name and a city. Facts lie scattered among filler. At the end come claims of
three tokens, "? name city", each about another fact, and true or altered by the toss of a coin:

    market Ada Rome winter Eli Oslo ... ? Ada Rome ? Eli Paris
    the verdicts:                              true      false

An altered claim names the city of another fact of the same document wherever there is one, so that
no verdict can be had from the city alone. Without the fact the best possible accuracy is 50%, with
it 100%.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES = _words("""
    Ada Ben Cleo Dan Eli Fay Gus Hal Ivy Jon Kim Leo Mia Ned Ola Pam Quin Ray Sue Tom Uma
    Val Wes Xia Yan Zoe Abe Bea Cal Dee Ed Fern Gil Hope Ian Jill Ken Lia Max Nora Otto Pia
    Rex Sam Tess Uri Vera Will Xena York Zack Alma Bo Cora Dov Elsa Finn Greta Hugo Iris
    Jack Kate Lars Maud
""")
CITIES = _words("""
    Rome Oslo Paris Cairo Lima Delhi Quito Seoul Tunis Hanoi Berne Accra Dakar Minsk Sofia
    Malé
""")
FILLER = _words("""
    market winter garden river window letter engine summer bridge kettle paper signal
    harbour carpet ladder basket
""")

QUESTION = "?"
VERDICTS = ("false", "true")
VOCABULARY = (QUESTION, *NAMES, *CITIES, *FILLER, *VERDICTS)
"""The words; a token's id is its place."""

FIRST_NAME = VOCABULARY.index(NAMES[0])
FIRST_CITY = VOCABULARY.index(CITIES[0])
FIRST_FILLER = VOCABULARY.index(FILLER[0])
FIRST_VERDICT = VOCABULARY.index(VERDICTS[0])

CLAIM_LENGTH = 3
Placement = Literal["uniform", "near"]


@dataclass(frozen=True, eq=False)
class EvidenceDocuments:
    """Some documents of one length; every claim is asked about at its last two tokens.

    Attributes:
        input_ids: facts and filler, then claims.
        name_positions: where the names of the claims stand, the same in all documents. Their
            cities stand one further, and there the verdict is due.
        cities: the true city of each claim, as a token.
        is_true: whether the claim names it.
        fact_positions: where the city of the fact stands that decides the claim.
    """

    input_ids: Int[Tensor, "documents tokens"]
    name_positions: Int[Tensor, "claims"]
    cities: Int[Tensor, "documents claims"]
    is_true: Bool[Tensor, "documents claims"]
    fact_positions: Int[Tensor, "documents claims"]

    @property
    def verdict_positions(self) -> Int[Tensor, "claims"]:
        """Where the verdicts are due."""
        return self.name_positions + 1

    @property
    def distances(self) -> Int[Tensor, "documents claims"]:
        """How many tokens before the verdict the decisive token stands."""
        return self.verdict_positions - self.fact_positions

    def one_by_one(self) -> Iterator["EvidenceDocuments"]:
        """Each document alone."""
        for row in range(len(self.input_ids)):
            one = slice(row, row + 1)
            yield EvidenceDocuments(
                self.input_ids[one],
                self.name_positions,
                self.cities[one],
                self.is_true[one],
                self.fact_positions[one],
            )


def make_documents(
    n_documents: int,
    seq_len: int,
    *,
    n_facts: int,
    n_claims: int,
    generator: torch.Generator,
    placement: Placement = "uniform",
) -> EvidenceDocuments:
    """Draws documents.

    Args:
        n_documents: how many.
        seq_len: tokens of facts and filler; the claims come on top.
        n_facts: facts in each document, about as many persons.
        n_claims: claims in each, about as many facts.
        generator: makes all draws.
        placement: "uniform" puts facts anywhere; "near" puts as many 10 to 100 tokens before the
            claims as 100 to 1,000, so that every distance is tested.

    Raises:
        ValueError: more facts than names or than fit, fewer than two, or more claims than facts.
    """
    _check(seq_len, n_facts, n_claims)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device)

    def whole(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator, device=generator.device)

    # Of n exponential clocks, each running as fast as its weight, the first to ring are a draw
    # without replacement.
    n_slots = seq_len // 2
    weight = torch.ones(n_slots, device=generator.device)
    if placement == "near":
        weight = 1 / torch.arange(n_slots, 0, -1.0, device=generator.device)
    clocks = -random(n_documents, n_slots).clamp(min=1e-12).log() / weight
    places = 2 * clocks.argsort(1)[:, :n_facts]
    names = random(n_documents, len(NAMES)).argsort(1)[:, :n_facts]
    cities = whole(0, len(CITIES), n_documents, n_facts)

    input_ids = FIRST_FILLER + whole(0, len(FILLER), n_documents, seq_len + CLAIM_LENGTH * n_claims)
    input_ids.scatter_(1, places, FIRST_NAME + names)
    input_ids.scatter_(1, places + 1, FIRST_CITY + cities)

    claimed = random(n_documents, n_facts).argsort(1)[:, :n_claims]
    true_cities = cities.gather(1, claimed)
    is_other = cities[:, None, :] != true_cities[:, :, None]  # (documents, claims, facts)
    other_fact = (random(*is_other.shape) * is_other).argmax(-1)
    any_other = (true_cities + whole(1, len(CITIES), n_documents, n_claims)) % len(CITIES)
    other_cities = cities.gather(1, other_fact).where(is_other.any(-1), any_other)
    is_true = whole(0, 2, n_documents, n_claims).bool()
    name_positions = seq_len + CLAIM_LENGTH * torch.arange(n_claims, device=generator.device) + 1
    input_ids[:, name_positions - 1] = VOCABULARY.index(QUESTION)
    input_ids[:, name_positions] = FIRST_NAME + names.gather(1, claimed)
    input_ids[:, name_positions + 1] = FIRST_CITY + torch.where(is_true, true_cities, other_cities)
    return EvidenceDocuments(
        input_ids=input_ids,
        name_positions=name_positions,
        cities=FIRST_CITY + true_cities,
        is_true=is_true,
        fact_positions=places.gather(1, claimed) + 1,
    )


def read_aloud(document: Int[Tensor, "tokens"]) -> str:
    """The words of a document."""
    return " ".join(VOCABULARY[token] for token in document.tolist())


def _check(seq_len: int, n_facts: int, n_claims: int) -> None:
    most = min(seq_len // 2, len(NAMES))
    if not 2 <= n_facts <= most:
        raise ValueError(
            f"n_facts must be between 2 and {most} (two tokens each in {seq_len}, and "
            f"{len(NAMES)} names), got {n_facts}"
        )
    if not 1 <= n_claims <= n_facts:
        raise ValueError(f"n_claims must be between 1 and n_facts ({n_facts}), got {n_claims}")
