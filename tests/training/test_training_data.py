import numpy as np
import pytest
import torch

from sparse_transformers.training.data import (
    ByteCorpus,
    default_text,
    load_bytes,
    text_to_bytes,
)
from sparse_transformers.training.padding import pad_tokens


def counting_corpus(length, **options):
    """Every byte tells its own position, so a window shows where it was cut."""
    return ByteCorpus(torch.arange(length, dtype=torch.uint8), **options)


def test_any_file_is_read_byte_for_byte(tmp_path):
    path = tmp_path / "any.bin"
    path.write_bytes(bytes(range(256)))
    assert load_bytes(path).dtype == torch.uint8
    assert load_bytes(path).tolist() == list(range(256))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(OSError, match=r"absent\.txt"):
        load_bytes(tmp_path / "absent.txt")


def test_empty_file_is_named(tmp_path):
    path = tmp_path / "empty.txt"
    path.touch()
    with pytest.raises(ValueError, match=r"empty\.txt must hold at least one byte"):
        load_bytes(path)


def test_default_text_is_english_prose_and_the_same_every_time():
    text = default_text()
    assert len(text) > 200_000
    assert text.count(" the ") > 1_000
    assert default_text() == text


def test_text_becomes_its_utf8_bytes():
    assert bytes(text_to_bytes("naïve ✓").tolist()) == "naïve ✓".encode()


def test_rows_are_cut_or_padded_on_the_right():
    ids, mask = pad_tokens([[7, 8, 9], [1] * 9, [3]], max_tokens=4)
    assert ids.tolist() == [[7, 8, 9, 0], [1] * 4, [3, 0, 0, 0]]
    assert mask.sum(1).tolist() == [3, 4, 1]
    assert mask[0].tolist() == [True, True, True, False]
    assert pad_tokens([[7, 8], [9]], max_tokens=4)[0].shape == (2, 2)


def test_corpus_is_split_by_position():
    corpus = counting_corpus(200)
    assert corpus.train.tolist() == list(range(180))
    assert corpus.valid.tolist() == list(range(180, 200))


def test_random_windows_are_a_function_of_seed_and_step():
    corpus = counting_corpus(200)
    options = {"n_windows": 8, "seq_len": 5}
    windows = corpus.random_windows(3, seed=1, **options)
    assert torch.equal(windows, corpus.random_windows(3, seed=1, **options))
    assert not torch.equal(windows, corpus.random_windows(4, seed=1, **options))
    assert not torch.equal(windows, corpus.random_windows(3, seed=2, **options))


def test_random_windows_reach_every_place_of_the_training_part_and_no_other():
    corpus = counting_corpus(20)  # 18 bytes to train on
    windows = corpus.random_windows(0, n_windows=500, seq_len=5, seed=0)
    assert windows.shape == (500, 6)
    assert torch.equal(windows, windows[:, :1] + torch.arange(6, dtype=torch.uint8))
    assert set(windows[:, 0].tolist()) == set(range(18 - 5))


@pytest.mark.parametrize(("seq_len", "n_windows"), [(7, 7), (10, 4), (49, 1)])
def test_validation_windows_predict_each_byte_at_most_once(seq_len, n_windows):
    corpus = counting_corpus(250, valid_fraction=0.2)  # bytes 200 to 249, 49 to predict
    windows = corpus.valid_windows(max_windows=100, seq_len=seq_len)
    predicted = windows[:, 1:].flatten().tolist()
    assert len(windows) == n_windows
    assert predicted == sorted(set(predicted))
    assert set(predicted) <= set(range(201, 250))


def test_few_validation_windows_are_spread_from_end_to_end():
    windows = counting_corpus(250, valid_fraction=0.2).valid_windows(max_windows=3, seq_len=4)
    assert windows[:, 0].tolist() == [200, 222, 245]


@pytest.mark.parametrize(
    ("length", "part"), [(100, "validation"), (11, "training"), (109, "validation")]
)
def test_short_part_is_named_with_its_length_and_the_needed_one(length, part):
    fraction = 0.1 if part == "validation" else 0.9
    corpus = counting_corpus(length, name="short.txt", valid_fraction=fraction)
    with pytest.raises(ValueError, match=rf"short\.txt .* {part} part .* 12 bytes, got \d+"):
        corpus.check_holds_windows(11)


def test_shortest_sufficient_corpus_gives_windows():
    corpus = counting_corpus(110)  # 99 and 11 bytes
    corpus.check_holds_windows(10)
    assert corpus.valid_windows(max_windows=9, seq_len=10).tolist() == [list(range(99, 110))]


@pytest.mark.unchecked_arrays
@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (torch.zeros(9), {}, "uint8"),
        (torch.zeros(3, 3, dtype=torch.uint8), {}, "one row"),
        (torch.zeros(9, dtype=torch.uint8), {"valid_fraction": 1.0}, "valid_fraction"),
    ],
)
def test_bad_corpus_is_refused(content, options, message):
    with pytest.raises(ValueError, match=message):
        ByteCorpus(content, **options)


def test_fingerprint_tells_corpora_apart():
    content = torch.from_numpy(np.arange(100, dtype=np.uint8))
    changed = content.clone()
    changed[50] += 1
    assert ByteCorpus(content).sha256() == ByteCorpus(content.clone()).sha256()
    assert ByteCorpus(content).sha256() != ByteCorpus(changed).sha256()


def test_bytes_are_a_corpus_and_other_things_are_explained():
    corpus = ByteCorpus(b"to be or not to be" * 10, name="Hamlet")
    assert bytes(corpus.content.tolist()) == b"to be or not to be" * 10
    assert repr(corpus) == "ByteCorpus('Hamlet', 162 + 18 bytes)"


@pytest.mark.unchecked_arrays
def test_a_text_is_no_corpus():
    with pytest.raises(ValueError, match=r"for a text, text\.encode\(\)\), got str"):
        ByteCorpus("to be or not to be")
