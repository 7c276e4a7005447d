"""The router that learns nothing."""

import pytest
import torch
from router_examples import VOCAB_SIZE, hidden_states, ids, real, router

from sparse_transformers.models.experts.routers import HashRouter, make_router

MASK = real([9, 4], 9)


def test_hash_gives_each_id_its_own_different_experts_and_each_expert_as_many_ids():
    tested = router({"name": "hash", "top_k": 3})
    experts = tested.table
    assert experts.shape == (VOCAB_SIZE, 3)
    assert all(len(set(row.tolist())) == 3 for row in experts)
    assert sorted(torch.bincount(experts[:, 0]).tolist()) == [6, 6, 6, 6, 7]
    other = router({"name": "hash", "top_k": 3, "seed": 1})
    assert not torch.equal(other.table, experts)
    every_id = torch.arange(VOCAB_SIZE)[None]
    for hidden in (hidden_states(1, VOCAB_SIZE), hidden_states(1, VOCAB_SIZE, seed=1)):
        routing = tested(hidden, torch.ones_like(every_id, dtype=torch.bool), every_id)
        assert torch.equal(routing.first_choice()[0], experts[:, 0])


def test_second_choices_of_a_hash_are_any_other_expert():
    pairs = HashRouter(4, 2, vocab_size=4000).table.tolist()
    counts = torch.zeros(4, 4)
    for first, second in pairs:
        counts[first, second] += 1
    expected = 4000 / 12 * (1 - torch.eye(4))
    torch.testing.assert_close(counts, expected, rtol=0, atol=5 * (4000 / 12) ** 0.5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.long], ids=str)
def test_hash_reads_ids_of_any_whole_type(dtype):
    tested = router({"name": "hash"})
    found = tested(hidden_states(), MASK, ids().to(dtype))
    assert torch.equal(found.first_choice(), tested.table[ids(), 0].masked_fill(~MASK, -1))


def test_losses_of_a_hash_are_exact_in_half_precision():
    hidden = torch.zeros(1, 4000, 6)
    mask, tokens = torch.ones(1, 4000, dtype=torch.bool), torch.arange(4000)[None] % VOCAB_SIZE
    tested = HashRouter(4, 2, vocab_size=VOCAB_SIZE)
    for name, loss in tested(hidden.double(), mask, tokens).losses.items():
        half = tested(hidden.bfloat16(), mask, tokens).losses[name].item()
        assert half == pytest.approx(loss.item(), abs=1e-5)


def test_hash_needs_the_size_of_the_vocabulary_and_ids_within_it():
    with pytest.raises(ValueError, match="vocab_size must be a whole number of at least 1"):
        make_router("hash", d_model=6, num_experts=5)
    tested = router({"name": "hash"})
    with pytest.raises(ValueError, match="give input_ids"):
        tested(hidden_states(), MASK)
    for wrong in (-1, VOCAB_SIZE):
        with pytest.raises(ValueError, match=rf"below vocab_size \({VOCAB_SIZE}\), got {wrong}"):
            tested(hidden_states(), MASK, torch.full((2, 9), wrong))
    padded = ids().where(MASK, -100)
    assert torch.equal(
        tested(hidden_states(), MASK, padded).experts, tested(hidden_states(), MASK, ids()).experts
    )
