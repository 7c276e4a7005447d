import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.claims.ngram_classifier import (
    NGramClassifier,
    NGramClassifierConfig,
    hash_ngrams,
)

CONFIG = NGramClassifierConfig(
    vocab_size=30, num_classes=3, field_starts=(1, 11, 21), max_n=3, n_buckets=512
)


def trained(config=CONFIG):
    """A classifier whose weights are random numbers."""
    model = NGramClassifier(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=generator)
    return model


def ngrams_of(tokens, starts, max_n):
    """All n-grams that end at each token, in plain Python, by field."""
    field_of = [max(k for k, start in enumerate(starts) if token >= start) for token in tokens]
    by_field = {field: [] for field in range(len(starts))}
    for end, field in enumerate(field_of):
        for n in range(1, max_n + 1):
            places = range(end - n + 1, end + 1)
            ngram = [tokens[at] if at >= 0 and field_of[at] == field else None for at in places]
            by_field[field].append(tuple(ngram))
    return by_field


def bucket_of(ngram, n_buckets=512):
    """The bucket of one n-gram by itself; None stands for a token of another field."""
    n = len(ngram)
    ids = torch.tensor([[0 if token is None else token for token in ngram]])
    fields = torch.tensor([[1 if token is None else 0 for token in ngram]])
    return int(hash_ngrams(ids, fields, max_n=n, n_buckets=n_buckets)[0, -1, n - 1])


@given(st.lists(st.integers(1, 10)), st.lists(st.integers(11, 20)), st.lists(st.integers(21, 29)))
def test_logits_are_the_sums_of_the_weights_of_all_ngrams(first, second, third):
    tokens = [*first, *second, *third]
    if not tokens:
        return
    model = trained()
    expected = model.bias.detach().double()
    by_field = ngrams_of(tokens, CONFIG.field_starts, CONFIG.max_n)
    output = model(torch.tensor([tokens]))
    for field, ngrams in by_field.items():
        total = sum(
            (model.table.weight[bucket_of(ngram)].detach().double() for ngram in ngrams),
            torch.zeros(3, dtype=torch.double),
        ) / math.sqrt(max(len(ngrams), 1))
        torch.testing.assert_close(
            output.field_logits[0, field].double(), total, atol=1e-4, rtol=1e-5
        )
        expected = expected + total
    torch.testing.assert_close(output.logits[0].double(), expected, atol=1e-4, rtol=1e-5)


def test_hashes_are_the_same_everywhere_and_for_ever():
    """A saved classifier is useless once its hashes change."""
    ids, fields = torch.tensor([[5, 7, 123_456]]), torch.zeros(1, 3, dtype=torch.long)
    rows = hash_ngrams(ids, fields, max_n=2, n_buckets=2**17)
    assert rows.tolist() == [[[19792, 64052], [35637, 90707], [44960, 83973]]]


def test_hash_spreads_ngrams_as_evenly_as_chance():
    """90,000 pairs in 65,536 buckets: as many are hit as by throws at random."""
    first, second = torch.meshgrid(torch.arange(300), torch.arange(300), indexing="ij")
    ids = torch.stack([first.flatten(), second.flatten()], dim=1)
    rows = hash_ngrams(ids, torch.zeros_like(ids), max_n=2, n_buckets=2**16)[:, 1, 1]
    counts = torch.tensor(list(Counter(rows.tolist()).values()))
    assert len(counts) == pytest.approx(65_536 * (1 - math.exp(-90_000 / 65_536)), rel=0.01)
    assert counts.max() < 15


def test_order_of_words_within_an_ngram_counts():
    model = trained()
    there, back = (model(torch.tensor([ids])).logits for ids in ([3, 4], [4, 3]))
    assert not torch.allclose(there, back)


def test_sum_of_a_field_grows_with_the_root_of_its_length():
    """All n-grams have the same weights here."""
    model = NGramClassifier(CONFIG)
    with torch.no_grad():
        model.table.weight[:] = torch.tensor([1.0, 0.0, -1.0])
    short, long = (model(torch.full((1, n), 5)).field_logits[0, 0, 0].item() for n in (4, 16))
    assert short == pytest.approx(math.sqrt(4 * 3))
    assert long == pytest.approx(2 * short)


@given(st.integers(1, 6), st.integers(1, 5))
def test_padding_has_no_weight(n_real, n_padding):
    model = trained()
    ids = torch.arange(1, 1 + n_real)[None] * 4
    padded = torch.cat([ids, torch.zeros(1, n_padding, dtype=torch.long)], dim=1)
    mask = torch.arange(n_real + n_padding)[None] < n_real
    torch.testing.assert_close(model(padded, mask).logits, model(ids).logits)


def test_untrained_classifier_has_zero_logits():
    output = NGramClassifier(CONFIG)(torch.tensor([[1, 2, 3]]))
    assert not output.logits.any()


def test_dropout_drops_ngrams_in_training_only():
    model = trained(NGramClassifierConfig(**vars(CONFIG) | {"dropout": 0.5}))
    ids = torch.tensor([[3, 4, 5, 12, 25]])
    whole = model(ids).logits
    assert torch.equal(model(ids).logits, whole)
    model.train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        draws = torch.stack([model(ids).logits for _ in range(4000)])
    assert draws.std(0).min() > 0.1
    # The mean of 4,000 draws is within four of its standard errors of what it estimates.
    assert ((draws.mean(0) - whole).abs() < 4 * draws.std(0) / math.sqrt(4000)).all()


def test_only_ngrams_of_the_text_get_gradients():
    model = NGramClassifier(CONFIG)
    model(torch.tensor([[3, 4]])).logits[0, 0].backward()
    moved = model.table.weight.grad.abs().sum(1).nonzero().flatten().tolist()
    ngrams = ngrams_of([3, 4], CONFIG.field_starts, CONFIG.max_n)[0]
    assert sorted(moved) == sorted({bucket_of(ngram) for ngram in ngrams})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vocab_size": 0}, "vocab_size"),
        ({"max_n": 0}, "max_n"),
        ({"n_buckets": 0}, "n_buckets"),
        ({"num_classes": 1}, "num_classes"),
        ({"dropout": 1.0}, "dropout"),
        ({"field_starts": ()}, "field_starts must be rising"),
        ({"field_starts": (1, 1)}, "field_starts must be rising"),
        ({"field_starts": (1, 30)}, "field_starts must be rising"),
    ],
)
def test_setting_out_of_range_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        NGramClassifierConfig(**vars(CONFIG) | values)


def test_tokens_beyond_the_vocabulary_are_refused():
    with pytest.raises(ValueError, match="below vocab_size"):
        NGramClassifier(CONFIG)(torch.tensor([[30]]))
