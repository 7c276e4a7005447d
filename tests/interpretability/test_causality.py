"""The leak probe against models whose leaks are known, and against honest ones."""

import pytest
import torch
from torch import Tensor, nn

from sparse_transformers.interpretability.causality import find_future_leak

SEQ_LEN = 24
VOCAB_SIZE = 50


@pytest.fixture
def input_ids() -> Tensor:
    return torch.randint(0, VOCAB_SIZE, (2, SEQ_LEN), generator=torch.Generator().manual_seed(0))


class OneHeadAttention(nn.Module):
    """Embeds the ids and attends once; `allowed_keys(scores)` says which pairs it sees."""

    def __init__(self, allowed_keys, dtype=torch.float32):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        weights = torch.randn(VOCAB_SIZE, 16, generator=generator, dtype=dtype)
        self.embedding = nn.Embedding.from_pretrained(weights)
        self.dropout = nn.Dropout(0.5)
        self.allowed_keys = allowed_keys

    def forward(self, input_ids):
        x = self.dropout(self.embedding(input_ids))
        scores = x @ x.transpose(-2, -1) / 4
        weights = scores.masked_fill(~self.allowed_keys(scores), -torch.inf).softmax(-1)
        return x + weights.nan_to_num() @ x


def offset(scores):
    """Query position minus key position."""
    positions = torch.arange(scores.shape[-1])
    return positions[:, None] - positions


def causal(scores):
    return offset(scores) >= 0


def causal_window(scores):
    return (offset(scores) >= 0) & (offset(scores) < 4)


def window_to_both_sides(scores):
    return offset(scores).abs() <= 3


def inverted_mask(scores):
    return ~causal(scores)


def missing_mask(scores):
    return torch.ones_like(scores, dtype=torch.bool)


def top_k_of_masked_scores(scores, k=6):
    # A top-k returns k keys, also where fewer than k are visible: the rest are keys of the future.
    chosen = scores.masked_fill(~causal(scores), -1e9).topk(k).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, chosen, True)


def top_k_then_masked(scores):
    return top_k_of_masked_scores(scores) & causal(scores)


def only_token_3_sees_4(scores):
    allowed = causal(scores)
    allowed[3, 4] = True
    return allowed


@pytest.mark.parametrize(
    "allowed_keys", [window_to_both_sides, inverted_mask, missing_mask, top_k_of_masked_scores]
)
def test_leaking_model_is_caught_at_its_first_position(allowed_keys, input_ids):
    report = find_future_leak(OneHeadAttention(allowed_keys), input_ids)

    assert report.leaks
    assert report.first_leaking_position == 0
    assert report.largest_change > 1e-3
    assert report.n_probes == report.n_cuts == SEQ_LEN - 1
    # The source is a token that the output really reads, in any of the rows.
    model = OneHeadAttention(allowed_keys)
    x = model.embedding(input_ids)
    read = allowed_keys(x @ x.transpose(-2, -1) / 4).expand(2, -1, -1)
    assert read[:, report.first_leaking_position, report.source_position].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("allowed_keys", [causal, causal_window, top_k_then_masked])
def test_causal_attention_is_causal_to_the_last_bit(allowed_keys, dtype, input_ids):
    report = find_future_leak(OneHeadAttention(allowed_keys, dtype), input_ids, tolerance=0.0)

    assert not report.leaks
    assert report.first_leaking_position is report.source_position is None
    assert report.largest_change == 0.0


def test_recurrent_model_is_causal_but_its_bidirectional_twin_leaks(input_ids):
    def build(bidirectional):
        torch.manual_seed(0)
        embedding = nn.Embedding(VOCAB_SIZE, 8)
        return nn.Sequential(embedding, nn.GRU(8, 8, batch_first=True, bidirectional=bidirectional))

    with torch.random.fork_rng():
        forward, both = build(False), build(True)  # a GRU returns a tuple

    assert not find_future_leak(forward, input_ids).leaks
    assert find_future_leak(both, input_ids).first_leaking_position == 0


@pytest.mark.parametrize(("sees", "reads"), [(0, SEQ_LEN - 1), (3, 4), (SEQ_LEN - 2, SEQ_LEN - 1)])
def test_leak_of_a_single_pair_is_named(sees, reads, input_ids):
    def one_pair(scores):
        allowed = causal(scores)
        allowed[sees, reads] = True
        return allowed

    report = find_future_leak(OneHeadAttention(one_pair), input_ids)

    assert (report.first_leaking_position, report.source_position) == (sees, reads)


def test_long_sequences_probe_the_ends_and_say_that_they_sampled(input_ids):
    sampled = find_future_leak(OneHeadAttention(only_token_3_sees_4), input_ids, n_probes=2)

    assert not sampled.leaks
    assert (sampled.n_probes, sampled.n_cuts) == (2, SEQ_LEN - 1)
    assert "2 of 23 cuts" in str(sampled)
    for first, second in [(0, 1), (SEQ_LEN - 2, SEQ_LEN - 1)]:

        def at_the_end(scores, first=first, second=second):
            allowed = causal(scores)
            allowed[first, second] = True
            return allowed

        assert find_future_leak(OneHeadAttention(at_the_end), input_ids, n_probes=2).leaks


def test_two_tokens_are_enough(input_ids):
    assert find_future_leak(OneHeadAttention(missing_mask), input_ids[:, :2]).leaks
    report = find_future_leak(OneHeadAttention(causal), input_ids[:, :2])
    assert (report.leaks, report.n_probes, report.n_cuts) == (False, 1, 1)


def test_leak_that_needs_several_changed_tokens_is_caught(input_ids):
    def reads_the_number_of_changed_tokens(ids):
        changed = (ids != input_ids).sum(1)
        return (changed > 1).float()[:, None, None].expand(*ids.shape, 1)

    report = find_future_leak(reads_the_number_of_changed_tokens, input_ids)

    assert (report.leaks, report.first_leaking_position) == (True, 0)


def test_largest_change_is_the_size_of_the_leak(input_ids):
    def last_token_switches_on_a_quarter(ids):
        switched = (ids[:, -1:] != input_ids[:, -1:]).float() * 0.25
        return (torch.ones(ids.shape) + switched)[..., None]

    report = find_future_leak(last_token_switches_on_a_quarter, input_ids)

    assert report.largest_change == 0.25
    assert report.source_position == SEQ_LEN - 1


def test_tolerance_is_relative_to_the_largest_output(input_ids):
    def leaks_one_part_in_a_thousand(ids):
        return 1000 + (ids[:, -1:, None] != input_ids[:, -1:, None]).float().expand(*ids.shape, 1)

    assert find_future_leak(leaks_one_part_in_a_thousand, input_ids, tolerance=0.99e-3).leaks
    assert not find_future_leak(leaks_one_part_in_a_thousand, input_ids, tolerance=1.01e-3).leaks


def test_a_leak_in_one_row_of_the_batch_is_caught(input_ids):
    def only_the_second_row(scores):
        allowed = causal(scores).repeat(2, 1, 1)
        allowed[1] = True
        return allowed

    assert find_future_leak(OneHeadAttention(only_the_second_row), input_ids).leaks


def test_every_replacement_differs_and_stays_in_the_vocabulary(input_ids):
    seen = []

    def recorder(ids):
        seen.append(ids)
        return torch.zeros(*ids.shape, 1)

    find_future_leak(recorder, input_ids, vocab_size=VOCAB_SIZE)

    perturbed = torch.stack(seen[2:])
    changed = perturbed != input_ids
    assert torch.stack(seen).min() >= 0
    assert torch.stack(seen).max() < VOCAB_SIZE
    # Cut t: once the single token t, once all tokens from t on; the last cut has only the single.
    expected = [range(t, stop) for t in range(1, SEQ_LEN - 1) for stop in (t + 1, SEQ_LEN)]
    expected.append(range(SEQ_LEN - 1, SEQ_LEN))
    for mask, positions in zip(changed, expected, strict=True):
        assert mask[0].nonzero().flatten().tolist() == list(positions)
        assert torch.equal(mask[0], mask[1])


@pytest.mark.parametrize("allowed_keys", [causal, missing_mask])
def test_infinite_logits_of_forbidden_tokens_neither_leak_nor_hide_a_leak(allowed_keys, input_ids):
    class ForbidsTokenZero(OneHeadAttention):
        def forward(self, input_ids):
            return super().forward(input_ids).index_fill(-1, torch.tensor([0]), -torch.inf)

    report = find_future_leak(ForbidsTokenZero(allowed_keys), input_ids)

    assert report.leaks == (allowed_keys is missing_mask)
    assert 0 <= report.largest_change < torch.inf


def test_evaluation_mode_is_used_and_every_training_flag_restored(input_ids):
    modes = []
    model = OneHeadAttention(causal)
    model.dropout.register_forward_hook(lambda module, *_: modes.append(module.training))
    model.train()
    model.embedding.eval()

    assert not find_future_leak(model, input_ids).leaks
    assert set(modes) == {False}
    assert model.training
    assert model.dropout.training
    assert not model.embedding.training

    with pytest.raises(ValueError, match="NaN"):
        find_future_leak(nn.Sequential(model, nn.Threshold(torch.inf, torch.nan)), input_ids)
    assert model.training


def test_global_random_state_and_gradients_are_left_alone(input_ids):
    def draws_noise(ids):
        assert not torch.is_grad_enabled()
        return torch.randn(*ids.shape, 4)

    before = torch.random.get_rng_state()
    report = find_future_leak(draws_noise, input_ids)

    assert torch.equal(torch.random.get_rng_state(), before)
    assert report.largest_change == 0.0  # the same noise in every run


def test_same_seed_gives_the_same_report(input_ids):
    model = OneHeadAttention(missing_mask)
    reports = [find_future_leak(model, input_ids, n_probes=5, seed=seed) for seed in (3, 3, 4)]

    assert reports[0] == reports[1]
    assert reports[0].largest_change != reports[2].largest_change


def test_report_reads_as_a_sentence(input_ids):
    leaking = find_future_leak(OneHeadAttention(only_token_3_sees_4), input_ids)
    assert str(leaking).startswith("LEAK: output 3 changes with token 4 (23 of 23 cuts probed")
    honest = find_future_leak(OneHeadAttention(causal), input_ids)
    assert str(honest) == ("no leak of later tokens found (23 of 23 cuts probed, largest change 0)")


def test_hugging_face_models_are_judged_by_their_outputs(input_ids):
    transformers = pytest.importorskip("transformers", reason="needs the `hf` extra")
    sizes = {"vocab_size": VOCAB_SIZE, "bos_token_id": 0, "eos_token_id": 0}
    with torch.random.fork_rng():
        decoder = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=32, **sizes)
        )
        encoder = transformers.BertModel(
            transformers.BertConfig(
                vocab_size=VOCAB_SIZE,
                hidden_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=16,
            )
        )

    assert not find_future_leak(decoder, input_ids).leaks
    assert find_future_leak(encoder, input_ids).leaks


@pytest.mark.unchecked_arrays
@pytest.mark.parametrize(
    ("ids", "options", "message"),
    [
        (torch.zeros(1, 1, dtype=torch.long), {}, "at least 2 positions"),
        (torch.zeros(1, 8), {}, "must be integers, got dtype torch.float32"),
        (torch.zeros(8, dtype=torch.long), {}, r"\(batch, seq\), got shape \(8,\)"),
        (torch.zeros(0, 8, dtype=torch.long), {}, r"\(batch, seq\), got shape \(0, 8\)"),
        (torch.zeros(1, 8, dtype=torch.long), {}, "vocab_size must be at least 2"),
        (torch.arange(8)[None], {"vocab_size": 7}, "input_ids must lie between 0 and .* = 6"),
        (torch.arange(8)[None] - 1, {"vocab_size": 9}, "got -1 to 6"),
        (torch.arange(8)[None], {"n_probes": 0}, "n_probes must be at least 1, got 0"),
        (torch.arange(8)[None], {"tolerance": -1.0}, "tolerance must not be negative"),
    ],
)
def test_unusable_arguments_are_named(ids, options, message):
    with pytest.raises(ValueError, match=message):
        find_future_leak(OneHeadAttention(causal), ids, **options)


def test_unusable_outputs_are_named(input_ids):
    def answer(outputs):
        return lambda ids: outputs

    with pytest.raises(ValueError, match=r"one output per position.*got shape \(2, 23, 4\)"):
        find_future_leak(answer(torch.zeros(2, SEQ_LEN - 1, 4)), input_ids)
    with pytest.raises(ValueError, match=r"one output per position.*got shape \(2, 24\)"):
        find_future_leak(answer(torch.zeros(2, SEQ_LEN)), input_ids)
    with pytest.raises(ValueError, match="floating point tensor, got NoneType"):
        find_future_leak(answer(None), input_ids)
    with pytest.raises(ValueError, match=r"floating point tensor, got torch\.int64"):
        find_future_leak(answer(input_ids), input_ids)


def test_nan_in_any_run_is_an_error_with_its_position(input_ids):
    def divides_by_zero_when_token_5_changes(ids):
        outputs = torch.zeros(*ids.shape, 1)
        outputs[:, 5:][ids[:, 5:] != input_ids[:, 5:]] = torch.nan
        return outputs

    with pytest.raises(ValueError, match="NaN, first at position 5"):
        find_future_leak(divides_by_zero_when_token_5_changes, input_ids)


def test_model_that_never_answers_the_same_is_refused(input_ids):
    generator = torch.Generator().manual_seed(0)

    with pytest.raises(ValueError, match="must answer the same"):
        find_future_leak(lambda ids: torch.rand(*ids.shape, 1, generator=generator), input_ids)


def test_a_huge_logit_hides_no_leak(input_ids):
    """Forbidden words have logits of -1e9, which measure nothing but themselves."""

    def model(ids):
        logits = torch.nn.functional.one_hot(ids.roll(-1, 1), 12).double()  # one token ahead
        logits[..., 11] = -1e9
        return 0.5 * logits

    report = find_future_leak(model, input_ids % 10, vocab_size=10)
    assert report.leaks
    assert report.first_leaking_position == 0

    def sometimes_forbidden(ids):
        logits = torch.nn.functional.one_hot(ids.roll(-1, 1), 12).double() + 0.1
        logits[:, 3] = -1e9
        return logits

    assert find_future_leak(sometimes_forbidden, input_ids % 10, vocab_size=10).leaks


def test_outputs_may_be_dictionaries(input_ids):
    def causal_model(ids):
        return {"loss": torch.zeros(()), "logits": torch.nn.functional.one_hot(ids, 10).float()}

    def leaking(ids):
        return {"last_hidden_state": torch.nn.functional.one_hot(ids.flip(1), 10).float()}

    assert not find_future_leak(causal_model, input_ids % 10, vocab_size=10).leaks
    assert find_future_leak(leaking, input_ids % 10, vocab_size=10).leaks
    with pytest.raises(ValueError, match="floating point tensor, got dict"):
        find_future_leak(lambda ids: {"scores": ids}, input_ids % 10, vocab_size=10)
