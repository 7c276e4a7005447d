"""Of equal scores the lowest index wins, everywhere where something is chosen."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from model_examples import config, ids, model

import sparse_transformers as sp
from sparse_transformers.models.evaluation_mode import evaluation_mode
from sparse_transformers.models.generation import TokenSampler
from sparse_transformers.models.ranking import argmax, top_indices
from sparse_transformers.models.sparse_transformer import SparseTransformer

FEW_VALUES = st.lists(
    st.sampled_from([0.0, -0.0, 1.0, 2.0, float("-inf")]), min_size=1, max_size=30
)


def first_largest(scores, k):
    return sorted(range(len(scores)), key=lambda place: (-scores[place], place))[:k]


@given(rows=st.lists(FEW_VALUES, min_size=1, max_size=4), data=st.data())
def test_the_first_of_equal_scores_wins(rows, data):
    length = min(map(len, rows))
    scores = torch.tensor([row[:length] for row in rows])
    k = data.draw(st.integers(1, length))
    found = top_indices(scores, k)
    for row, places in zip(scores.tolist(), found.tolist(), strict=True):
        expected = first_largest(row, k)
        kept = [n for n, place in enumerate(expected) if row[place] > float("-inf")]
        assert [places[n] for n in kept] == [expected[n] for n in kept]
        assert len(set(places)) == k
    assert argmax(scores).tolist() == [first_largest(row, 1)[0] for row in scores.tolist()]


def test_many_equal_scores_are_taken_from_the_front():
    scores = torch.zeros(3, 5000)
    assert torch.equal(top_indices(scores, 7), torch.arange(7).expand(3, 7))
    assert argmax(scores).tolist() == [0, 0, 0]
    sampler = TokenSampler(greedy=True)
    assert sampler.choose(scores, torch.Generator()).tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_selected_keys_of_equal_scores_are_the_first(dtype):
    query = torch.zeros(1, 2, 500, 8, dtype=dtype)
    selected = sp.TopKSelector(3).select(query[:, 0], query, query, sp.Causal())
    assert torch.equal(selected[0, 0, 499].sort().values, torch.arange(3))
    cached = sp.TopKSelector(3).select(query[:, 0, -1:], query[:, :, -1:], query, sp.Causal())
    assert torch.equal(cached[0, 0, 0].sort().values, torch.arange(3))


@pytest.mark.parametrize("name", ["top_k", "switch", "noisy_top_k", "aux_free"])
def test_experts_of_equal_scores_are_the_first(name):
    router = sp.make_router(name, d_model=8, num_experts=64).eval()
    choice = router.choose(torch.zeros(50, 8), None)
    n_chosen = choice.experts.shape[1]
    assert torch.equal(choice.experts, torch.arange(n_chosen).expand(50, n_chosen))


def test_tokens_of_equal_scores_are_chosen_from_the_front():
    router = sp.make_router("expert_choice", d_model=8, num_experts=4).eval()
    routing = router(torch.zeros(1, 400, 8), torch.ones(1, 400, dtype=torch.bool))
    n_tokens = len(routing.tokens.unique())
    assert torch.equal(routing.tokens.unique(), torch.arange(n_tokens))
    assert n_tokens < 400


def test_cached_decoding_with_equal_scores_is_full_reading():
    tested = model(attention="dense", selector={"name": "top_k", "top_k": 3}, positions="none")
    with torch.no_grad():
        for block in tested.blocks:
            block.attention.q_proj.weight.zero_()  # all scores are equal
        cache = tested.new_cache()
        chunks = [tested(chunk, cache=cache) for chunk in ids().split([9, 1, 11], dim=1)]
        torch.testing.assert_close(torch.cat(chunks, 1), tested(ids()), rtol=0, atol=1e-12)


def test_models_made_in_threads_have_the_weights_of_their_seeds():
    before = torch.get_rng_state()
    alone = [SparseTransformer(config(), seed=seed) for seed in range(4)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda n: SparseTransformer(config(), seed=n % 4), range(32)))
    for number, made in enumerate(together):
        for one, two in zip(made.parameters(), alone[number % 4].parameters(), strict=True):
            assert torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_that_generate_agree_and_leave_the_mode_as_it_was():
    tested = model(dropout=0.5).train()
    tested.blocks[0].eval()
    modes = [module.training for module in tested.modules()]
    expected = tested.generate(ids(), 10, seed=1)
    with ThreadPoolExecutor(6) as pool:
        texts = list(pool.map(lambda _: tested.generate(ids(), 10, seed=1), range(24)))
    assert all(torch.equal(text, expected) for text in texts)
    assert [module.training for module in tested.modules()] == modes


def test_a_part_that_is_evaluated_longer_than_the_whole_gets_its_own_mode_back():
    tested = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout()).train()
    with ExitStack() as part:
        with evaluation_mode(tested):
            part.enter_context(evaluation_mode(tested[0]))
        assert [module.training for module in tested] == [False, True]
    assert tested[0].training


def test_the_routing_demo_takes_the_first_of_equal_scores():
    router = sp.ExpertRouter(input_dim=8, num_experts=64, top_k=3)
    assert router.route([0.0] * 8).top_k_indices == (0, 1, 2)
    table = router.analyze_routing_patterns({"zeros": [[0.0] * 8] * 5})
    assert table.loc[table.selected_share > 0, "expert_idx"].tolist() == [0, 1, 2]


def test_nested_evaluations_restore_the_mode_at_the_end():
    tested = torch.nn.Dropout().train()
    with evaluation_mode(tested):
        with evaluation_mode(tested):
            assert not tested.training
        assert not tested.training
    assert tested.training
