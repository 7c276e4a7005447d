"""What cannot be scored is refused: two-way models, single texts, half characters."""

import pytest
import torch

import sparse_transformers as st
from sparse_transformers.training.data import text_to_bytes


def model(**changes):
    return st.SparseTransformer(
        st.SparseTransformerConfig(d_model=16, n_heads=2, n_layers=1, **changes)
    )


@pytest.mark.parametrize(
    ("questions", "answers", "message"),
    [
        ("Why?", ["So."], "questions must be a list, got the single text 'Why\\?'"),
        (["Why?"], "So.", "answers must be a list, got the single text 'So\\.'"),
        (["Why?"], [3], "answers must be texts, got 3 at index 0"),
        (["Why?"], ["So \ud83d."], "half a surrogate pair at place"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(questions, answers, message):
    with pytest.raises(ValueError, match=message):
        st.answer_log_probabilities(model(), questions, answers)


def test_a_model_that_reads_in_both_directions_scores_no_answers():
    with pytest.raises(ValueError, match="model must be causal"):
        st.answer_log_probabilities(model(causal=False), ["Why?"], ["So."])


def test_scores_do_not_depend_on_the_batch_size():
    answers = ["So.", "Because of the weather.", "No."]
    one, all_at_once = (
        st.answer_log_probabilities(model(), ["Why?"] * 3, answers, batch_size=size)
        for size in (1, 3)
    )
    torch.testing.assert_close(one, all_at_once, rtol=1e-5, atol=1e-4)


def test_half_a_character_is_no_text():
    with pytest.raises(ValueError, match="text must hold characters, got half a surrogate pair"):
        text_to_bytes("a\udc80")
