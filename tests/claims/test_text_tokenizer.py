import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.claims.text_rows import read_fields, split_words, words_by_field
from sparse_transformers.claims.tokenizer import (
    ByteTokenizer,
    WordTokenizer,
    load_tokenizer,
    save_tokenizer,
    tokenizer_from_dict,
)
from sparse_transformers.training.padding import pad_tokens

FIELDS = ("question", "answer")
ROWS = [
    {"question": "Do cats purr?", "answer": "Cats purr."},
    {"question": "Do dogs purr?", "answer": "No dogs purr, but cats do."},
    {"question": "Do cats bark?", "answer": "No."},
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don’t panic!", ["don’t", "panic", "!"]),
        ("health-care,taxes", ["health-care", ",", "taxes"]),
        ("$1,000.50 or 12,34%", ["$", "1,000.50", "or", "12", ",", "34", "%"]),
        (
            "The U.S. isn't_big -- no.",
            ["the", "u.s", ".", "isn't", "_", "big", "-", "-", "no", "."],
        ),
        ("Ærø 東京 ĀĒ", ["ærø", "東京", "āē"]),
        (" \t\n", []),
    ],
)
def test_words_are_those_of_ordinary_english(text, words):
    assert split_words(text) == words


@given(st.text())
def test_no_letter_is_lost(text):
    kept = "".join(split_words(text))
    assert kept == "".join(text.lower().split()) or not kept.isascii()


@given(st.text(alphabet="ab 1,.'-_é"))
def test_splitting_words_again_changes_nothing(text):
    words = split_words(text)
    assert split_words(" ".join(words)) == words


def test_vocabulary_holds_common_words_first_and_leaves_rare_ones_out():
    tokenizer = WordTokenizer.from_rows(ROWS, FIELDS)
    assert tokenizer.vocabulary == {
        "question": ("?", "do", "cats", "purr"),
        "answer": (".", "cats", "no", "purr"),
    }
    few = WordTokenizer.from_rows(ROWS, FIELDS, min_count=1, max_words=2)
    assert few.vocabulary == {"question": ("?", "do"), "answer": (".", "cats")}


def test_each_field_has_tokens_of_its_own_and_one_for_unknown_words():
    tokenizer = WordTokenizer.from_rows(ROWS, FIELDS)
    assert tokenizer.field_starts == (1, 6)
    assert tokenizer.vocab_size == 11
    assert tokenizer.encode({"question": "do cows purr", "answer": "cats moo"}) == [3, 1, 5, 8, 6]


def test_repeated_words_are_marked_if_wished():
    row = {"question": "do cats = purr", "answer": "cats cats = moo"}
    assert words_by_field(row, FIELDS)["answer"] == ["cats", "cats", "=", "moo"]
    assert words_by_field(row, FIELDS, mark_repeats=True) == {
        "question": ["do", "cats", "=", "purr"],
        "answer": ["=cats", "=cats", "==", "moo"],
    }
    tokenizer = WordTokenizer.from_rows(ROWS, FIELDS, min_count=1, mark_repeats=True)
    assert {"=cats", "=purr", "cats"} <= set(tokenizer.vocabulary["answer"])


def test_row_without_words_is_one_unknown_word():
    assert WordTokenizer.from_rows(ROWS, FIELDS).encode({"question": " ", "answer": ""}) == [1]
    assert ByteTokenizer().encode("") == [1]


def test_text_is_a_row_of_one_field():
    tokenizer = WordTokenizer.from_rows(["a b", "b a"])
    assert tokenizer.fields == ("text",)
    assert tokenizer.encode("b a") == tokenizer.encode({"text": "b a", "label": "true"}) == [3, 2]


@given(st.fixed_dictionaries({"question": st.text(), "answer": st.text()}))
def test_bytes_come_back_as_they_were(row):
    tokenizer = ByteTokenizer(FIELDS)
    tokens = tokenizer.encode(row)
    assert max(tokens) < tokenizer.vocab_size
    if row["question"] or row["answer"]:
        assert tokenizer.decode([*tokens, 0, 0]) == row


def test_bytes_of_fields_are_apart():
    tokenizer = ByteTokenizer(FIELDS)
    assert tokenizer.encode({"question": "a", "answer": "a"}) == [1 + 97, 257 + 97]
    with pytest.raises(ValueError, match="tokens must be below 513, got 513"):
        tokenizer.decode([513])


@given(
    st.lists(
        st.fixed_dictionaries({"question": st.text(), "answer": st.text()}), min_size=1, max_size=5
    ),
    st.booleans(),
)
def test_json_brings_a_tokenizer_back(rows, mark_repeats):
    for tokenizer in (
        WordTokenizer.from_rows(rows, FIELDS, min_count=1, mark_repeats=mark_repeats),
        ByteTokenizer(FIELDS),
    ):
        again = tokenizer_from_dict(json.loads(json.dumps(tokenizer.to_dict())))
        assert type(again) is type(tokenizer)
        assert again.to_dict() == tokenizer.to_dict()
        assert again.field_starts == tokenizer.field_starts
        assert [again.encode(row) for row in rows] == [tokenizer.encode(row) for row in rows]


def test_file_brings_a_tokenizer_back(tmp_path):
    tokenizer = WordTokenizer.from_rows(["Ærø 東京", "東京 Ærø"])
    save_tokenizer(tokenizer, tmp_path)
    assert load_tokenizer(tmp_path).to_dict() == tokenizer.to_dict()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "holds no tokenizer"),
        ("[]", "holds no tokenizer"),
        ('{"kind": "syllables"}', "unknown kind of tokenizer 'syllables'; known are words, bytes"),
        ('{"kind": "words"}', "must have mark_repeats, vocabulary, got nothing"),
        ('{"kind": "bytes", "fields": ["a"], "x": 1}', "must have fields, got fields, x"),
        ('{"kind": "bytes", "fields": 3}', "holds no tokenizer"),
        ('{"kind": "words", "mark_repeats": false, "vocabulary": {}}', "at least one"),
        (
            '{"kind": "words", "mark_repeats": false, "vocabulary": {"text": ["a", "b", "a"]}}',
            "each word once, got 'a'",
        ),
    ],
)
def test_damaged_file_is_named(tmp_path, content, message):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_tokenizer(tmp_path)
    assert "tokenizer.json" in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("text", "a row must be a mapping with the fields question, answer, got 'text'"),
        ({"question": "?"}, "lacks answer"),
        ({"question": "?", "answer": None}, "lacks answer"),
        (["?", "!"], "a row must be a text, or a mapping"),
    ],
)
def test_row_that_lacks_a_field_is_refused(row, message):
    with pytest.raises(ValueError, match=message):
        read_fields(row, FIELDS)


@pytest.mark.parametrize("options", [{"min_count": 0}, {"max_words": 0}])
def test_counts_must_be_positive(options):
    with pytest.raises(ValueError, match="at least 1"):
        WordTokenizer.from_rows(ROWS, FIELDS, **options)


def test_field_given_twice_is_refused():
    with pytest.raises(ValueError, match="different names"):
        ByteTokenizer(("a", "a"))


def test_padding_is_on_the_right_and_long_rows_are_cut():
    ids, mask = pad_tokens([[5], [1, 2, 3, 4], [7, 8]], max_tokens=3)
    assert ids.tolist() == [[5, 0, 0], [1, 2, 3], [7, 8, 0]]
    assert torch.equal(mask, ids > 0)
