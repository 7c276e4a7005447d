import pytest
import torch

from sparse_transformers.claims.answer_scores import PROMPT, answer_log_probabilities
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig

QUESTIONS = ["Is it?", "Why does the été end?", "Is it?"]
ANSWERS = ["No.", "Because – well.", "Yes, it is, and it always was."]


def model():
    config = SparseTransformerConfig(d_model=16, n_heads=2, n_layers=1, dropout=0.1)
    made = SparseTransformer(config, seed=0)
    with torch.no_grad():
        made.embedding.token.weight *= 20  # far from uniform
    return made


def one_by_one(tested, question, answer, prompt=PROMPT):
    """Byte by byte: what is the probability of the next one?"""
    given = prompt.replace("{question}", question).encode()
    total = 0.0
    for byte in b" " + answer.encode():
        logits = tested(torch.tensor([list(given)]))[0, -1].double()
        total += float(logits.log_softmax(-1)[byte])
        given += bytes([byte])
    return total


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_score_is_the_sum_over_the_bytes_of_the_answer(batch_size):
    tested = model().eval()
    scores = answer_log_probabilities(tested, QUESTIONS, ANSWERS, batch_size=batch_size)
    with torch.no_grad():
        expected = [
            one_by_one(tested, question, answer)
            for question, answer in zip(QUESTIONS, ANSWERS, strict=True)
        ]
    # Single precision in the model.
    torch.testing.assert_close(
        scores, torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=1e-4
    )
    assert len({round(score, 3) for score in scores.tolist()}) == 3


def test_dropout_is_off_and_the_mode_is_kept():
    tested = model().train()
    first, again = (answer_log_probabilities(tested, QUESTIONS, ANSWERS) for _ in range(2))
    assert torch.equal(first, again)
    assert tested.training


def test_prompt_can_be_another():
    tested = model().eval()
    prompt = "{question} Tell me:"
    scores = answer_log_probabilities(tested, QUESTIONS[:1], ANSWERS[:1], prompt=prompt)
    with torch.no_grad():
        expected = one_by_one(tested, QUESTIONS[0], ANSWERS[0], prompt)
    assert float(scores[0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("questions", "answers", "prompt", "message"),
    [
        (["a"], ["b", "c"], PROMPT, "each of the 2 answers, got 1"),
        (["a"], [""], PROMPT, "empty one at index 0"),
        (["a"], ["b"], "Q:", "must contain {question}"),
    ],
)
def test_bad_input_is_refused(questions, answers, prompt, message):
    with pytest.raises(ValueError, match=message):
        answer_log_probabilities(model(), questions, answers, prompt=prompt)
