"""A padded sequence gives what it gives alone, and a packed one too."""

import pytest
import torch
from model_examples import EXAMPLE_ATTENTION, VOCAB_SIZE, ids, model

import sparse_transformers as sp

LENGTHS = (21, 13, 1)
SEQ_LEN = 26

attention_examples = pytest.mark.parametrize(
    "attention", EXAMPLE_ATTENTION.values(), ids=EXAMPLE_ATTENTION.keys()
)
sides = pytest.mark.parametrize("side", ["right", "left", "both", "between"])
VARIANTS = {
    "token shift": {"token_shift": True},
    "selector": {"selector": {"name": "top_k", "top_k": 3}},
    "experts": {"experts": {"num_experts": 4, "router": "top_k"}},
    "learned positions": {"positions": "learned"},
    "sinusoidal positions": {"positions": "sinusoidal"},
}


def padded(side):
    """Token ids, and a mask with as many real tokens as `LENGTHS` says; padding differs."""
    mask = torch.zeros(len(LENGTHS), SEQ_LEN, dtype=torch.bool)
    for row, length in zip(mask, LENGTHS, strict=True):
        if side == "between":
            generator = torch.Generator().manual_seed(length)
            row[torch.randperm(SEQ_LEN, generator=generator)[:length]] = True
        else:
            start = {"right": 0, "left": SEQ_LEN - length, "both": (SEQ_LEN - length) // 2}[side]
            row[start : start + length] = True
    return ids(len(LENGTHS), SEQ_LEN).masked_fill(~mask, VOCAB_SIZE - 1), mask


def assert_rows_are_as_alone(tested, side):
    tokens, mask = padded(side)
    with torch.no_grad():
        together = tested(tokens, mask)
        for row, real in enumerate(mask):
            alone = tested(tokens[row : row + 1, real])
            torch.testing.assert_close(together[row : row + 1, real], alone, rtol=0, atol=1e-11)


@sides
@pytest.mark.parametrize("causal", [True, False], ids=["decoder", "encoder"])
@attention_examples
def test_padding_anywhere_changes_nothing(attention, causal, side):
    assert_rows_are_as_alone(model(attention=attention, causal=causal), side)


@sides
@pytest.mark.parametrize("causal", [True, False], ids=["decoder", "encoder"])
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_padding_changes_no_variant(changes, causal, side):
    assert_rows_are_as_alone(model(causal=causal, **changes), side)


@pytest.mark.parametrize("causal", [True, False], ids=["decoder", "encoder"])
def test_a_sequence_of_padding_alone_harms_nobody(causal):
    tested = model(causal=causal)
    mask = torch.ones(2, 21, dtype=torch.bool)
    mask[1] = False
    logits = tested(ids(), mask)
    logits[0].sum().backward()
    assert logits.isfinite().all()
    torch.testing.assert_close(logits[:1], tested(ids()[:1]), rtol=0, atol=1e-11)
    for parameter in tested.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()
    verdicts = model(causal=causal, num_classes=2)(ids(), mask)
    assert verdicts.logits.isfinite().all()
    assert torch.equal(verdicts.pooled[1], torch.zeros(16))


@sides
def test_verdict_does_not_depend_on_where_the_padding_is(side):
    tested = model(num_classes=3, causal=False)
    tokens, mask = padded(side)
    together = tested(tokens, mask)
    for row, real in enumerate(mask):
        alone = tested(tokens[row : row + 1, real])
        torch.testing.assert_close(together.logits[row : row + 1], alone.logits, rtol=0, atol=1e-11)


@sides
@pytest.mark.parametrize("causal", [True, False], ids=["decoder", "encoder"])
def test_weights_and_selected_tokens_are_those_of_the_single_sequences(causal, side):
    tested = model(attention=EXAMPLE_ATTENTION["mixed heads"], causal=causal)
    tokens, mask = padded(side)
    weights = tested.get_attention_weights(tokens, mask)
    selected = tested.get_selected_tokens(tokens, mask)
    for row, real in enumerate(mask):
        alone = tokens[row : row + 1, real]
        for layer, expected in enumerate(tested.get_attention_weights(alone)):
            found = weights[layer][row : row + 1, :, real][..., real]
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
        found = selected[row : row + 1, :, :, real][..., real]
        assert torch.equal(found, tested.get_selected_tokens(alone))


@sides
@attention_examples
def test_cached_decoding_after_padding_equals_the_single_sequences(attention, side):
    tested = model(attention=attention)
    assert_cached_rows_are_as_alone(tested, side)


@sides
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_cached_decoding_after_padding_works_for_every_variant(changes, side):
    assert_cached_rows_are_as_alone(model(**changes), side)


def assert_cached_rows_are_as_alone(tested, side):
    tokens, mask = padded(side)
    more = ids(len(LENGTHS), 9, seed=1)
    cache = tested.new_cache()
    with torch.no_grad():
        first = tested(tokens, mask, cache=cache)
        # A mask may cover the new tokens only, all tokens, or be left out.
        masks = [None, torch.ones(3, 1), torch.cat([mask, torch.ones(3, 3)], 1)]
        rest = [
            tested(chunk, None if each is None else each.bool(), cache=cache)
            for chunk, each in zip(more[:, :3].split(1, 1), masks, strict=True)
        ]
        rest.append(tested(more[:, 3:], cache=cache))
        for row, real in enumerate(mask):
            whole = torch.cat([tokens[row : row + 1, real], more[row : row + 1]], 1)
            alone = tested(whole)
            found = torch.cat([first[row : row + 1, real], torch.cat(rest, 1)[row : row + 1]], 1)
            torch.testing.assert_close(found, alone, rtol=0, atol=1e-11)


@sides
def test_prompts_of_any_length_are_continued_as_alone(side):
    tested = model(attention=EXAMPLE_ATTENTION["sinks and window"], positions="learned")
    tokens, mask = padded(side)
    texts = tested.generate(tokens, 8, greedy=True, attention_mask=mask)
    assert torch.equal(texts[:, :SEQ_LEN], tokens)
    prompts = [row[real] for row, real in zip(tokens, mask, strict=True)]
    for prompt, text, listed in zip(
        prompts, texts, tested.generate(prompts, 8, greedy=True), strict=True
    ):
        alone = tested.generate(prompt[None], 8, greedy=True)[0]
        assert torch.equal(text[SEQ_LEN:], alone[len(prompt) :])
        assert torch.equal(listed, alone)


def test_eos_stops_a_row_and_no_other():
    tested = model()
    free = tested.generate(ids(), 12, greedy=True)
    eos = int(free[0, 21 + 4])
    stops = [(row[21:] == eos).nonzero().flatten().tolist() for row in free]
    texts = tested.generate(ids(), 12, greedy=True, eos=eos)
    listed = tested.generate(list(ids()), 12, greedy=True, eos=eos)
    assert texts.shape == free.shape
    for row, text, cut, stop in zip(free, texts, listed, stops, strict=True):
        end = 21 + stop[0] + 1 if stop else len(row)
        assert torch.equal(text[:end], row[:end])
        assert torch.equal(cut, row[:end])
        assert (text[end:] == eos).all()


@pytest.mark.unchecked_arrays
@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ([], {}, "at least one prompt"),
        ([torch.zeros(0, dtype=torch.long)], {}, "at least one token each"),
        ([[1, 2]], {}, r"got \[1, 2\]"),
        ("hello", {}, "got 'h'"),
        (ids(), {"eos": 31}, r"eos must be below vocab_size \(31\)"),
        (ids(), {"eos": -1}, "eos must be a whole number of at least 0"),
        (ids(), {"attention_mask": torch.zeros(2, 21, dtype=torch.bool)}, "at least one real"),
    ],
)
def test_bad_prompts_are_refused(prompts, options, message):
    with pytest.raises(ValueError, match=message):
        model().generate(prompts, 2, **options)


def test_padding_comes_with_the_first_tokens_of_a_cache_only():
    tested = model()
    cache = tested.new_cache()
    mask = torch.tensor([[True, True], [True, False]])
    with torch.no_grad():
        tested(ids(), cache=cache)
        with pytest.raises(ValueError, match="padding with its first tokens only"):
            tested(ids()[:, :2], mask, cache=cache)


# Packed texts: documents of these lengths, one after the other.
PACKED = (9, 1, 14, 2)


# Absolute positions run on through a packed sequence, so that they are no case of this.
@pytest.mark.parametrize(
    "changes", [{}, *(VARIANTS[name] for name in ("token shift", "selector", "experts"))]
)
@pytest.mark.parametrize("causal", [True, False], ids=["decoder", "encoder"])
@pytest.mark.parametrize(
    "attention", [EXAMPLE_ATTENTION[name] for name in ("dense", "local", "dilated")]
)
def test_packed_equals_separate(attention, causal, changes):
    tested = model(attention=attention, causal=causal, **changes)
    tokens = ids(2, SEQ_LEN)
    documents = torch.repeat_interleave(torch.arange(4), torch.tensor(PACKED))
    packed = tested(tokens, pattern=sp.Documents(documents))
    for part, together in zip(tokens.split(PACKED, 1), packed.split(PACKED, 1), strict=True):
        torch.testing.assert_close(together, tested(part), rtol=0, atol=1e-11)


def test_each_sequence_of_a_batch_may_have_documents_of_its_own():
    tested = model(token_shift=True, attention="dense")
    tokens = ids(2, SEQ_LEN)
    rows = [
        torch.repeat_interleave(torch.arange(2), torch.tensor(cut)) for cut in ((9, 17), (20, 6))
    ]
    packed = tested(tokens, pattern=sp.PerSequence([sp.Documents(row) for row in rows]))
    for row, cut in enumerate((9, 20)):
        for part in (slice(0, cut), slice(cut, None)):
            alone = tested(tokens[row : row + 1, part])
            torch.testing.assert_close(packed[row : row + 1, part], alone, rtol=0, atol=1e-11)


def test_a_prefix_is_read_in_both_directions_and_the_rest_in_one():
    tested = model(attention="dense", causal=False)
    prefix = sp.Causal() | sp.AttentionSinks(5)
    before = tested(ids(), pattern=prefix)
    changed = ids()
    changed[:, 12] = (changed[:, 12] + 1) % VOCAB_SIZE
    after = tested(changed, pattern=prefix)
    assert torch.equal(before[:, :12], after[:, :12])
    changed = ids()
    changed[:, 4] = (changed[:, 4] + 1) % VOCAB_SIZE
    assert not torch.equal(before[:, 0], tested(changed, pattern=prefix)[:, 0])


def test_a_pattern_for_the_call_leaves_the_model_as_it_was():
    tested = model(attention="dense")
    before = tested(ids())
    tested(ids(), pattern=sp.Documents([0] * 10 + [1] * 11))
    assert torch.equal(before, tested(ids()))
    with torch.no_grad(), pytest.raises(ValueError, match="without a pattern for the call"):
        tested(ids(), cache=tested.new_cache(), pattern=sp.Dense())
