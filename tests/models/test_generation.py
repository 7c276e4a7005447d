import pytest
import torch
from model_examples import EXAMPLE_ATTENTION, VOCAB_SIZE, ids, model

from sparse_transformers.models.generation import TokenSampler

attention_examples = pytest.mark.parametrize(
    "attention", EXAMPLE_ATTENTION.values(), ids=EXAMPLE_ATTENTION.keys()
)


# The longer text spans several tiles of the kernels.
@attention_examples
@pytest.mark.parametrize("chunks", [[1] * 21, [40, 1, 35, 24]], ids=["by one", "in chunks"])
def test_cached_forward_equals_uncached(attention, chunks):
    tested, tokens = model(attention=attention), ids(seq_len=sum(chunks))
    cache = tested.new_cache()
    with torch.no_grad():
        cached = [tested(chunk, cache=cache) for chunk in tokens.split(chunks, dim=1)]
        expected = tested(tokens)
    torch.testing.assert_close(torch.cat(cached, dim=1), expected, rtol=0, atol=1e-11)
    assert cache.n_tokens == sum(chunks)


@pytest.mark.parametrize("positions", ["rotary", "learned", "sinusoidal", "none"])
def test_cached_forward_knows_where_it_is(positions):
    tested = model(positions=positions, rotary_fraction=0.5)
    cache = tested.new_cache()
    with torch.no_grad():
        cached = [tested(chunk, cache=cache) for chunk in ids().split([4, 5, 12], dim=1)]
        expected = tested(ids())
    torch.testing.assert_close(torch.cat(cached, dim=1), expected, rtol=0, atol=1e-11)


@attention_examples
def test_greedy_generation_equals_argmax_of_the_uncached_forward(attention):
    tested = model(attention=attention)
    generated = tested.generate(ids(seq_len=7), 12, greedy=True)
    assert torch.equal(generated[:, :7], ids(seq_len=7))
    expected = ids(seq_len=7)
    for _ in range(12):
        expected = torch.cat([expected, tested(expected)[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(generated, expected)


def test_a_window_keeps_no_more_than_its_window():
    tested = model(attention={"name": "local", "window_size": 5})
    cache = tested.new_cache()
    one_position = 2 * 2 * 4 * 8  # keys and values, heads, dim, bytes
    with torch.no_grad():
        for chunk in ids(batch=1, seq_len=200).split([150] + [1] * 50, dim=1):
            tested(chunk, cache=cache)
            assert [layer.n_keys for layer in cache.layers] == [4, 4]
            assert cache.n_bytes == 2 * 4 * one_position
    assert cache.n_tokens == 200


def test_a_layer_without_a_window_keeps_everything():
    tested = model(attention="dense")
    cache = tested.new_cache()
    with torch.no_grad():
        for chunk in ids().split([6, 1, 14], dim=1):
            tested(chunk, cache=cache)
    assert [layer.n_keys for layer in cache.layers] == [21, 21]


def test_seeded_generation_is_reproducible_and_leaves_the_global_random_state_alone():
    tested = model()
    state = torch.get_rng_state()
    first, again = (tested.generate(ids(), 20, seed=3) for _ in range(2))
    by_generator = tested.generate(ids(), 20, generator=torch.Generator().manual_seed(3))
    assert torch.equal(first, again)
    assert torch.equal(first, by_generator)
    assert not torch.equal(first, tested.generate(ids(), 20, seed=4))
    assert not torch.equal(tested.generate(ids(), 20), tested.generate(ids(), 20))
    assert torch.equal(torch.get_rng_state(), state)


def test_top_1_is_greedy():
    tested = model()
    greedy = tested.generate(ids(), 20, greedy=True)
    assert torch.equal(tested.generate(ids(), 20, top_k=1, seed=0), greedy)
    assert torch.equal(tested.generate(ids(), 20, top_p=1e-9, seed=0), greedy)
    assert torch.equal(tested.generate(ids(), 20, temperature=1e-40, seed=0), greedy)


def test_generation_is_without_dropout_and_keeps_the_mode():
    tested = model(dropout=0.5)
    expected = tested.generate(ids(), 10, greedy=True)
    tested.train()
    tested.blocks[0].eval()
    assert torch.equal(tested.generate(ids(), 10, greedy=True), expected)
    assert tested.training and tested.blocks[1].training and not tested.blocks[0].training


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal", "none"])
def test_generation_goes_past_max_seq_len(positions):
    tested = model(positions=positions, max_seq_len=10)
    assert tested.generate(ids(seq_len=8), 9, greedy=True).shape == (2, 17)


def test_generation_past_learned_positions_is_refused_at_the_door():
    tested = model(positions="learned", max_seq_len=10)
    assert tested.generate(ids(seq_len=8), 2).shape == (2, 10)
    with pytest.raises(ValueError, match=r"max_seq_len \(10\), got a sequence of 11"):
        tested.generate(ids(seq_len=8), 3)


def test_no_new_tokens_gives_the_prompt():
    unchanged = model().generate(ids().to(torch.uint8), 0)
    assert torch.equal(unchanged, ids())
    assert unchanged.dtype == torch.int64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": -1}, "max_new_tokens must be a whole number of at least 0"),
        ({"max_new_tokens": 1.5}, "max_new_tokens must be a whole number"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"temperature": float("nan")}, "temperature must be above 0"),
        ({"top_k": 0}, "top_k must be a whole number of at least 1"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1"),
        ({"top_p": 1.1}, "top_p must be above 0 and at most 1"),
        ({"seed": 0, "generator": torch.Generator()}, "either seed or generator"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        model().generate(ids(), **{"max_new_tokens": 1} | options)


@pytest.mark.parametrize("changes", [{"causal": False}, {"num_classes": 2}])
def test_only_causal_language_models_generate(changes):
    with pytest.raises(ValueError, match="causal language model"):
        model(**changes).generate(ids(), 1)


def test_caches_are_refused_where_they_cannot_work():
    with pytest.raises(ValueError, match="causal model"):
        model(causal=False).new_cache()
    tested = model()
    with pytest.raises(ValueError, match="no_grad"):
        tested(ids(), cache=tested.new_cache())
    with torch.no_grad():
        cache = tested.new_cache()
        tested(ids(), cache=cache)
        with pytest.raises(ValueError, match="holds 2 sequences, got 1"):
            tested(ids(batch=1), cache=cache)
        classifier = model(num_classes=2)
        with pytest.raises(ValueError, match="num_classes=2"):
            classifier(ids(), cache=classifier.new_cache())


HALF_QUARTER_EIGHTHS = torch.tensor([[0.25, 0.125, 0.5, 0.125]]).log()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1 / 4, 1 / 8, 1 / 2, 1 / 8]),
        ({"temperature": 0.5}, [4 / 22, 1 / 22, 16 / 22, 1 / 22]),
        ({"top_k": 2}, [1 / 3, 0, 2 / 3, 0]),
        ({"top_k": 99}, [1 / 4, 1 / 8, 1 / 2, 1 / 8]),
        ({"top_p": 0.49}, [0.0, 0.0, 1.0, 0.0]),
        ({"top_p": 0.51}, [1 / 3, 0, 2 / 3, 0]),
        ({"top_p": 1.0}, [1 / 4, 1 / 8, 1 / 2, 1 / 8]),
        # Two thirds of the two tokens that top_k leaves over: one is enough for a top_p of .6.
        ({"top_k": 2, "top_p": 0.6}, [0.0, 0.0, 1.0, 0.0]),
    ],
)
def test_sampler_draws_from_the_right_distribution(options, expected):
    sampler = TokenSampler(**options)
    probabilities, order = sampler.ranked_probabilities(HALF_QUARTER_EIGHTHS)
    by_token = torch.zeros(1, 4).scatter(1, order, probabilities)
    torch.testing.assert_close(by_token, torch.tensor([expected]))

    drawn = sampler.choose(HALF_QUARTER_EIGHTHS.expand(4000, 4), torch.Generator().manual_seed(0))
    share = torch.bincount(drawn, minlength=4) / 4000
    # Four standard errors of a share of 1/2.
    torch.testing.assert_close(share, torch.tensor(expected), rtol=0, atol=4 * 0.5 / 4000**0.5)
    assert share[torch.tensor(expected) == 0].sum() == 0


def test_generated_tokens_lie_in_the_vocabulary():
    generated = model().generate(ids().to(torch.uint8), 30, seed=0)
    assert generated.dtype == torch.int64
    assert generated.max() < VOCAB_SIZE
