import torch
from model_examples import ids, model

from sparse_transformers.interpretability.causality import find_future_leak
from sparse_transformers.models.token_shift import (
    LastToken,
    half_from_previous,
    previous_tokens,
)


def states(seq_len=5, d_model=4):
    return torch.arange(2.0 * seq_len * d_model).view(2, seq_len, d_model)


def test_each_token_gets_its_predecessor_and_the_first_zeros():
    shifted = previous_tokens(states())
    assert torch.equal(shifted[:, 1:], states()[:, :-1])
    assert (shifted[:, 0] == 0).all()


def test_pieces_give_the_same_as_the_whole():
    for shift in (previous_tokens, half_from_previous):
        memory = LastToken()
        pieces = [shift(piece, memory) for piece in states().split([1, 3, 1], dim=1)]
        assert torch.equal(torch.cat(pieces, dim=1), shift(states()))


def test_the_second_half_of_the_channels_stays():
    shifted = half_from_previous(states())
    assert torch.equal(shifted[..., 2:], states()[..., 2:])
    assert torch.equal(shifted[..., :2], previous_tokens(states())[..., :2])


def test_a_window_of_one_depends_on_the_token_before_only_with_the_shift():
    # In each layer half of the feed-forward input of a token comes from the one before.
    alone = model(attention={"name": "local", "window_size": 1})
    shifted = model(attention={"name": "local", "window_size": 1}, token_shift=True)
    other = ids().index_fill(1, torch.tensor([9]), 0)
    for tested, farthest in ((alone, 9), (shifted, 11)):
        changed = (tested(ids()) != tested(other)).any(-1).any(0)
        assert changed.nonzero().flatten().tolist() == list(range(9, farthest + 1))


def test_a_shifted_model_does_not_look_ahead():
    assert not find_future_leak(model(token_shift=True), ids(1)).leaks
