import pytest
import torch

from sparse_transformers.models.truthfulness_head import TruthfulnessHead


def hidden_states(d_model=8):
    return torch.randn(3, 6, d_model, generator=torch.Generator().manual_seed(0))


def test_pooled_is_the_mean_of_the_real_tokens():
    lengths = [1, 4, 6]
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    hidden = hidden_states()
    hidden[~mask] = torch.inf  # whatever stands in the padding
    pooled = TruthfulnessHead(8).eval()(hidden, mask).pooled
    expected = [row[:length].mean(0) for row, length in zip(hidden, lengths, strict=True)]
    torch.testing.assert_close(pooled, torch.stack(expected))
    assert torch.equal(TruthfulnessHead(8)(hidden_states()).pooled, hidden_states().mean(1))


def test_output_has_logits_for_each_class_and_a_confidence_between_0_and_1():
    # Wide enough that some unit is awake in every row, whatever the initial weights.
    output = TruthfulnessHead(64, num_classes=6)(10 * hidden_states(64))
    assert output.logits.shape == (3, 6)
    assert output.confidence.shape == (3,)
    assert ((output.confidence > 0) & (output.confidence < 1)).all()
    assert output.confidence.unique().numel() == 3


def test_both_outputs_can_be_trained():
    torch.manual_seed(0)
    head = TruthfulnessHead(64, dropout=0.0)
    output = head(hidden_states(64))
    (output.logits.square().sum() + output.confidence.sum()).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters())


@pytest.mark.unchecked_arrays
def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="num_classes must be a whole number of at least 2"):
        TruthfulnessHead(8, num_classes=1)
    with pytest.raises(ValueError, match="d_model must be a whole number of at least 4"):
        TruthfulnessHead(3)
    with pytest.raises(ValueError, match=r"the shape of the tokens, \(3, 6\), got \(3, 5\)"):
        TruthfulnessHead(8)(hidden_states(), torch.ones(3, 5, dtype=torch.bool))


def test_linear_head_is_a_linear_map_of_the_mean():
    head = TruthfulnessHead(8, num_classes=3, dropout=0.5, linear=True).eval()
    output = head(hidden_states())
    torch.testing.assert_close(output.logits, head.classifier[-1](output.pooled))
    assert sum(weight.numel() for weight in head.classifier.parameters()) == 3 * 8 + 3
    assert head.train()(hidden_states()).logits.ne(output.logits).any()
