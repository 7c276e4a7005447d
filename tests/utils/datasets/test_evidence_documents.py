import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_transformers.utils.datasets.evidence_documents import (
    CITIES,
    FILLER,
    NAMES,
    VOCABULARY,
    make_documents,
    read_aloud,
)

sizes = st.sampled_from([(16, 8, 8), (64, 32, 16), (300, 20, 5), (5, 2, 1)])


def documents(seq_len=64, n_facts=32, n_claims=16, n_documents=30, seed=0, placement="uniform"):
    return make_documents(
        n_documents,
        seq_len,
        n_facts=n_facts,
        n_claims=n_claims,
        generator=torch.Generator().manual_seed(seed),
        placement=placement,
    )


def read(row, seq_len):
    """What a reader finds in the words: the facts, and the claims with their places."""
    words = read_aloud(row).split()
    facts = {
        words[place]: (words[place + 1], place + 1)
        for place in range(seq_len - 1)
        if words[place] in NAMES
    }
    claims = [
        (words[place + 1], words[place + 2], place + 2)
        for place in range(seq_len, len(words), 3)
        if words[place] == "?"
    ]
    return facts, claims


@settings(max_examples=30)
@given(size=sizes, seed=st.integers(0, 99), placement=st.sampled_from(["uniform", "near"]))
def test_a_reader_who_finds_the_fact_is_always_right(size, seed, placement):
    seq_len, n_facts, n_claims = size
    made = documents(*size, n_documents=4, seed=seed, placement=placement)
    for number, row in enumerate(made.input_ids):
        facts, claims = read(row, seq_len)
        assert len(facts) == n_facts
        assert len(claims) == n_claims
        assert len({name for name, _, _ in claims}) == n_claims
        for claim, (name, city, place) in enumerate(claims):
            true_city, fact_place = facts[name]
            assert made.is_true[number, claim] == (city == true_city)
            assert VOCABULARY[made.cities[number, claim]] == true_city
            assert made.fact_positions[number, claim] == fact_place
            assert made.verdict_positions[claim] == place
            assert made.distances[number, claim] == place - fact_place


def test_the_claimed_city_alone_tells_nothing():
    made = documents(n_documents=2000)
    stated = made.input_ids[:, made.verdict_positions]
    # An altered claim names a city of the document, as a true one does, ...
    for number in range(50):
        cities = {city for city, _ in read(made.input_ids[number], 64)[0].values()}
        assert all(VOCABULARY[city] in cities for city in stated[number])
    # ... and each city is named as often by either kind: 32,000 claims, 16 cities.
    first = VOCABULARY.index(CITIES[0])
    for city in range(first, first + len(CITIES)):
        share = made.is_true[stated == city].double().mean()
        assert abs(share - 0.5) < 5 * (0.25 / 2000) ** 0.5


def test_verdicts_are_tosses_of_a_coin():
    made = documents(n_documents=1000)
    assert abs(made.is_true.double().mean() - 0.5) < 5 * (0.25 / made.is_true.numel()) ** 0.5


def test_near_placement_tests_every_scale_of_distance():
    shares = {}
    for placement in ("uniform", "near"):
        made = documents(4096, n_documents=200, placement=placement)
        near = (made.distances >= 60) & (made.distances < 260)
        far = (made.distances >= 1000) & (made.distances < 4100)
        shares[placement] = float(near.sum() / far.sum())
    assert shares["uniform"] < 0.15
    assert 0.5 < shares["near"] < 2


def test_same_seed_same_documents():
    first, again, other = documents(seed=3), documents(seed=3), documents(seed=4)
    assert torch.equal(first.input_ids, again.input_ids)
    assert not torch.equal(first.input_ids, other.input_ids)


def test_one_by_one_is_the_same_documents():
    made = documents(n_documents=3)
    alone = list(made.one_by_one())
    assert torch.equal(torch.cat([each.input_ids for each in alone]), made.input_ids)
    assert torch.equal(torch.cat([each.distances for each in alone]), made.distances)


def test_words_are_distinct():
    assert len(set(VOCABULARY)) == len(VOCABULARY) == 1 + len(NAMES + CITIES + FILLER) + 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_facts": 33}, "n_facts must be between 2 and 32 .* got 33"),
        ({"n_facts": 65, "seq_len": 300}, "between 2 and 64"),
        ({"n_facts": 1, "n_claims": 1}, "got 1"),
        ({"n_facts": 8, "n_claims": 9}, r"n_claims must be between 1 and n_facts \(8\), got 9"),
        ({"n_claims": 0}, "got 0"),
    ],
)
def test_documents_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        documents(**changes)
