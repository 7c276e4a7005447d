import math

import numpy as np
import pytest
import torch

from sparse_transformers.models.embeddings import TokenEmbedding, sinusoids
from sparse_transformers.models.rotary import rotation

IDS = torch.tensor([[3, 1, 4, 1, 5]])


def test_sinusoids_follow_the_published_formula():
    expected = np.empty((6, 8))
    for position in range(6):
        for i in range(4):
            angle = (position + 2) / 10000 ** (2 * i / 8)
            expected[position, 2 * i : 2 * i + 2] = math.sin(angle), math.cos(angle)
    np.testing.assert_allclose(sinusoids(8, torch.arange(2, 8)).numpy(), expected, atol=1e-14)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary", "none"])
def test_a_later_start_continues_the_positions(positions):
    embedding = TokenEmbedding(9, 8, positions=positions)
    rest = embedding(IDS[:, 2:], first_position=2)
    assert torch.equal(embedding(IDS)[:, 2:], rest)


@pytest.mark.parametrize(
    ("positions", "differ"),
    [("learned", True), ("sinusoidal", True), ("rotary", False), ("none", False)],
)
def test_the_same_token_differs_by_place_only_where_positions_are_added(positions, differ):
    hidden = TokenEmbedding(9, 8, positions=positions)(IDS)
    assert torch.equal(hidden[0, 1], hidden[0, 3]) != differ


def test_learned_positions_are_added_to_the_tokens():
    embedding = TokenEmbedding(9, 8, positions="learned", max_seq_len=5)
    expected = embedding.token.weight[IDS] + embedding.position.weight
    assert torch.equal(embedding(IDS), expected)


def test_bad_positions_are_refused():
    with pytest.raises(ValueError, match="unknown positions 'absolute'; known are rotary"):
        TokenEmbedding(9, 8, positions="absolute")
    with pytest.raises(ValueError, match="d_model must be even"):
        TokenEmbedding(9, 7, positions="sinusoidal")


@pytest.mark.parametrize("far", [0, 10**7])
def test_rotated_products_depend_on_the_distance_only(far):
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 8, generator=generator, dtype=torch.float64)
    near, shifted = (rotation(8, 12, first_position=first, like=query) for first in (0, far))
    for places in (near, shifted):
        turned_query, turned_key = (places(x.expand(1, 12, 1, 8))[0, :, 0] for x in (query, key))
        products = turned_query @ turned_key.T
        for distance in range(-11, 12):
            along = products.diagonal(distance)
            # Angles of 1e7 radians leave 1e-9 of float64's precision.
            torch.testing.assert_close(along, along[:1].expand_as(along), rtol=0, atol=1e-7)
        assert not torch.allclose(products.diagonal(0)[0], products.diagonal(1)[0])
    assert near.cos[0, 0] == 1


def test_rotation_is_exact_at_far_positions_in_single_precision():
    places = rotation(8, 1, first_position=1_000_001, like=torch.zeros(1))
    expected = [math.cos(1_000_001 * 10000 ** (-2 * i / 8)) for i in range(4)]
    torch.testing.assert_close(places.cos[0], torch.tensor(expected), rtol=0, atol=1e-7)


def test_rotation_leaves_the_other_dimensions_and_the_precision_alone():
    x = torch.randn(1, 5, 2, 8, generator=torch.Generator().manual_seed(0))
    turned = rotation(4, 5, like=x)(x)
    assert torch.equal(turned[..., 4:], x[..., 4:])
    assert not torch.isclose(turned[:, 1:, :, :4], x[:, 1:, :, :4]).any()
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    half = x.bfloat16()
    assert rotation(4, 5, like=half).cos.dtype == torch.float32
    assert rotation(4, 5, like=half)(half).dtype == torch.bfloat16


def test_token_dropout_silences_whole_tokens_in_training_only():
    embedding = TokenEmbedding(9, 8, positions="learned", token_dropout=0.5)
    ids = torch.randint(9, (50, 40), generator=torch.Generator().manual_seed(0))
    positions = embedding.position.weight[:40]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ratio = (embedding(ids) - positions) / embedding.token.weight[ids]
    kept = ratio.mean(-1, keepdim=True)
    torch.testing.assert_close(ratio, kept.expand_as(ratio), atol=1e-2, rtol=0)
    assert set(kept.round().unique().tolist()) == {0.0, 2.0}
    # Of 2,000 tokens, half are kept, give or take four standard deviations.
    assert kept.round().gt(0).float().mean().item() == pytest.approx(0.5, abs=0.045)
    embedding.eval()
    assert torch.equal(embedding(ids), embedding.token.weight[ids] + positions)
