import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from model_examples import EXAMPLE_ATTENTION, VOCAB_SIZE, config, ids, model

from sparse_transformers.models.attention_patterns import PATTERNS
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.truthfulness_head import TruthfulnessOutput

attention_examples = pytest.mark.parametrize(
    "attention", EXAMPLE_ATTENTION.values(), ids=EXAMPLE_ATTENTION.keys()
)


def hand_written_logits(weights, token_ids, n_heads, *, n_kv_heads):
    """A one-layer dense causal decoder in plain tensor algebra; rotary as complex numbers."""
    x = F.embedding(token_ids, weights["embedding.token.weight"])
    batch, seq_len, d_model = x.shape
    dim = d_model // n_heads

    def norm(x, name):
        x = x - x.mean(-1, keepdim=True)
        return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weights[name]

    def heads(x, name, n):
        x = (x @ weights[f"blocks.0.attention.{name}.weight"].T).view(batch, seq_len, n, dim)
        return x.permute(0, 2, 1, 3).repeat_interleave(n_heads // n, dim=1)

    def turned(x):
        frequency = [10000 ** (-2 * i / dim) for i in range(dim // 2)]
        angle = torch.arange(seq_len)[:, None] * torch.tensor(frequency, dtype=torch.float64)
        z = torch.complex(x[..., : dim // 2], x[..., dim // 2 :]) * torch.exp(1j * angle)
        return torch.cat([z.real, z.imag], -1)

    a = norm(x, "blocks.0.attention_norm.weight")
    q, k = turned(heads(a, "q_proj", n_heads)), turned(heads(a, "k_proj", n_kv_heads))
    v = heads(a, "v_proj", n_kv_heads)
    scores = torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(dim)
    scores += torch.full((seq_len, seq_len), -torch.inf, dtype=x.dtype).triu(1)
    mixed = torch.einsum("bhij,bhjd->bihd", scores.softmax(-1), v).reshape(x.shape)
    x = x + mixed @ weights["blocks.0.attention.out_proj.weight"].T
    a = norm(x, "blocks.0.feed_forward_norm.weight") @ weights["blocks.0.feed_forward.up.weight"].T
    gelu = a * 0.5 * (1 + torch.erf(a / math.sqrt(2)))
    x = x + gelu @ weights["blocks.0.feed_forward.down.weight"].T
    return norm(x, "final_norm.weight") @ weights["embedding.token.weight"].T


# A window as wide as the sequence is dense causal attention.
@pytest.mark.parametrize("attention", ["dense", "causal", {"name": "local", "window_size": 21}])
def test_one_layer_model_equals_hand_written_dense_decoder(attention):
    tested = model(attention=attention, n_layers=1)
    expected = hand_written_logits(tested.state_dict(), ids(), 4, n_kv_heads=2)
    torch.testing.assert_close(tested(ids()), expected, rtol=0, atol=1e-12)


def test_examples_cover_every_pattern():
    assert set(PATTERNS) <= set(EXAMPLE_ATTENTION)


@attention_examples
@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_later_tokens_never_change_earlier_logits(attention, positions):
    tested = model(attention=attention, positions=positions)
    tokens = ids()
    before = tested(tokens)
    for changed in (1, 8, 20):
        other = tokens.clone()
        other[:, changed:] = (other[:, changed:] + 1) % VOCAB_SIZE
        after = tested(other)
        assert torch.equal(before[:, :changed], after[:, :changed])
        assert not torch.equal(before[:, changed], after[:, changed])


def test_encoder_reads_later_tokens():
    tested = model(causal=False)
    other = ids().index_fill(1, torch.tensor([3]), 0)
    assert not torch.equal(tested(ids())[:, 2], tested(other)[:, 2])


@attention_examples
@pytest.mark.parametrize("causal", [True, False])
def test_padding_on_the_right_changes_nothing_for_real_tokens(attention, causal):
    tested = model(attention=attention, causal=causal)
    lengths = [13, 21]
    mask = torch.arange(21) < torch.tensor(lengths)[:, None]
    padded = tested(ids().where(mask, 30), mask)
    for row, length in enumerate(lengths):
        alone = tested(ids()[row : row + 1, :length])
        torch.testing.assert_close(padded[row : row + 1, :length], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("causal", [True, False])
def test_verdict_does_not_depend_on_padding(causal):
    tested = model(causal=causal, num_classes=3)
    mask = torch.arange(21) < 13
    short = tested(ids()[:, :13])
    for padding in (0, 30):
        padded = tested(ids().where(mask, padding), mask.expand(2, 21))
        for name in ("logits", "confidence", "pooled"):
            actual, expected = getattr(padded, name), getattr(short, name)
            torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)
    whole = tested(ids())
    assert not torch.allclose(whole.logits, short.logits)


def test_classifier_returns_logits_confidence_and_pooled_states():
    output = model(causal=False, num_classes=3)(ids())
    assert isinstance(output, TruthfulnessOutput)
    assert output.logits.shape == (2, 3)
    assert output.confidence.shape == (2,)
    assert output.pooled.shape == (2, 16)


@attention_examples
@pytest.mark.parametrize("causal", [True, False])
def test_attention_weights_are_a_distribution_over_the_selected_tokens(attention, causal):
    tested = model(attention=attention, causal=causal)
    weights, selected = tested.get_attention_weights(ids()), tested.get_selected_tokens(ids())
    assert len(weights) == 2
    assert selected.shape == (2, 2, 4, 21, 21)
    for layer, layer_weights in enumerate(weights):
        assert layer_weights.shape == (2, 4, 21, 21)
        assert torch.equal(layer_weights > 0, selected[:, layer])
        total = layer_weights.sum(-1)
        torch.testing.assert_close(total, selected[:, layer].any(-1).to(total))
    if causal:
        assert not selected.triu(1).any()


def test_padding_is_never_selected_by_an_encoder():
    mask = torch.arange(21) < torch.tensor([13, 21])[:, None]
    tested = model(causal=False, attention="dense")
    selected = tested.get_selected_tokens(ids(), mask)
    assert torch.equal(selected, mask[:, None, None, None, :].expand_as(selected))
    for layer, weights in enumerate(tested.get_attention_weights(ids(), mask)):
        assert torch.equal(weights > 0, selected[:, layer])


def test_attention_weights_are_those_that_the_model_uses():
    tested = model()
    attention = tested.blocks[1].attention
    seen = {}
    attention.v_proj.register_forward_hook(lambda _, args, out: seen.update(values=out))
    attention.out_proj.register_forward_pre_hook(lambda _, args: seen.update(mixed=args[0]))
    tested(ids())
    values = seen["values"].view(2, 21, 2, 4).transpose(1, 2).repeat_interleave(2, dim=1)
    mixed = tested.get_attention_weights(ids())[1] @ values
    torch.testing.assert_close(seen["mixed"], mixed.transpose(1, 2).flatten(2), rtol=0, atol=1e-12)


def test_layers_may_differ():
    layers = ("dense", {"name": "local", "window_size": 2})
    tested = SparseTransformer(dataclasses.replace(config(), attention=layers))
    selected = tested.get_selected_tokens(ids())
    assert selected[0, :, 0].sum((1, 2)).tolist() == [21 * 22 // 2, 2 * 21 - 1]


def test_gradient_checkpointing_gives_the_same_gradients():
    gradients = []
    for enabled in (False, True):
        tested = model(dropout=0.3).train()
        tested.set_gradient_checkpointing(enabled)
        torch.manual_seed(5)
        tested(ids()).square().sum().backward()
        gradients.append([parameter.grad for parameter in tested.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert all(gradient.abs().sum() > 0 for gradient in gradients[0])


def test_gradient_checkpointing_stores_less():
    def stored(enabled):
        tested = model(n_layers=4)
        tested.set_gradient_checkpointing(enabled)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x: sizes.append(x.numel()) or x, lambda x: x
        ):
            tested(ids())
        return sum(sizes)

    assert stored(True) < stored(False) / 2


def test_embeddings_are_tied_by_default():
    tied, untied = model(), model(tie_embeddings=False)
    assert untied.num_parameters() - tied.num_parameters() == VOCAB_SIZE * 16
    for tested, expected in ((tied, True), (untied, False)):
        hidden = tested.hidden_states(ids())
        logits = hidden @ tested.embedding.token.weight.T
        assert torch.allclose(tested(ids()), logits) == expected


def test_initial_weights_follow_gpt2_and_the_seed():
    made = SparseTransformer(config(d_model=128, n_layers=8, n_kv_heads=4))
    block = made.blocks[0]
    for weight in (made.embedding.token.weight, block.attention.q_proj.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    for module in (block.attention.out_proj, block.feed_forward.down):
        assert module.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    same, other = (SparseTransformer(config(), seed=seed)(ids()) for seed in (0, 1))
    assert torch.equal(SparseTransformer(config())(ids()), same)
    assert not torch.equal(same, other)


def test_making_a_model_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    SparseTransformer(config(num_classes=2))
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_acts_in_training_only():
    tested = SparseTransformer(config(dropout=0.5))
    assert not torch.equal(tested(ids()), tested(ids()))
    weights = tested.get_attention_weights(ids())
    assert torch.equal(weights[1], tested.get_attention_weights(ids())[1])
    assert tested.training and tested.blocks[0].training
    tested.eval()
    assert torch.equal(tested(ids()), tested(ids()))


def test_bytes_are_accepted_as_ids():
    assert torch.equal(model()(ids().to(torch.uint8)), model()(ids()))


def test_training_lowers_the_loss():
    tested = SparseTransformer(config(num_classes=2, causal=False))
    tokens, labels = ids(batch=8), torch.arange(8) % 2
    optimizer = torch.optim.AdamW(tested.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = F.cross_entropy(tested(tokens).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.unchecked_arrays
@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (torch.tensor([[0, VOCAB_SIZE]]), "below vocab_size"),
        (torch.tensor([[0, -1]]), "at least 0"),
        (torch.tensor([[0.0, 1.0]]), "whole numbers"),
        (torch.tensor([[True]]), "whole numbers"),
        (torch.tensor([0, 1]), r"\(batch, seq\)"),
        (torch.empty(1, 0, dtype=torch.long), "at least one token"),
    ],
)
def test_bad_ids_are_refused(tokens, message):
    tested = model()
    for method in (
        tested,
        tested.get_attention_weights,
        tested.get_selected_tokens,
        lambda tokens: tested.generate(tokens, 1),
    ):
        with pytest.raises(ValueError, match=message):
            method(tokens)


@pytest.mark.unchecked_arrays
@pytest.mark.parametrize("causal", [True, False])
def test_bad_masks_are_refused(causal):
    tested = model(causal=causal)
    for mask, message in (
        (torch.ones(2, 20, dtype=torch.bool), "shape of the tokens"),
        (torch.full((2, 21), 2), "True for real tokens"),
        (torch.ones(2, 21), "True for real tokens"),
    ):
        with pytest.raises(ValueError, match=message):
            tested(ids(), mask)


def test_learned_positions_have_an_end():
    tested = model(positions="learned", max_seq_len=20)
    assert tested(ids(seq_len=20)).shape == (2, 20, VOCAB_SIZE)
    with pytest.raises(ValueError, match=r"max_seq_len \(20\), got a sequence of 21"):
        tested(ids(seq_len=21))
