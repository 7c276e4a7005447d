"""The probability that a language model of bytes gives to an answer after its question."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sparse_transformers.models.evaluation_mode import evaluation_mode
from sparse_transformers.training.padding import pad_tokens
from sparse_transformers.utils.texts import check_texts, utf8

PROMPT = "Q: {question}\nA:"
"""The text before the answer; `{question}` is replaced by the question."""


@torch.no_grad()
def answer_log_probabilities(
    model: nn.Module,
    questions: Sequence[str],
    answers: Sequence[str],
    *,
    prompt: str = PROMPT,
    batch_size: int = 64,
) -> Float[Tensor, "answers"]:
    """The log-probability of each answer after its question, in nats, summed over its bytes.

    As in TruthfulQA's own scoring, the sum is not divided by the length. The boundary between
    prompt and answer is exact, because bytes are the tokens.

    >>> import sparse_transformers as st
    >>> model = st.SparseTransformer(st.SparseTransformerConfig(d_model=32, n_heads=2, n_layers=1))
    >>> scores = st.answer_log_probabilities(model, ["What do owls eat?"] * 2, ["Mice.", "Gold."])
    >>> scores.shape, bool((scores < 0).all())
    (torch.Size([2]), True)

    Args:
        model: a causal language model of bytes, from ids (batch, seq) to logits (batch, seq, 256).
        questions: one for each answer.
        answers: without a leading blank: one blank is put before each, and is scored too.
        prompt: the text before the answer; `{question}` is replaced by the question.
        batch_size: answers per forward pass; those of similar length go together.

    Raises:
        ValueError: not as many questions as answers, an empty answer, a single text in place of a
            list, half a surrogate pair in a text, a prompt without `{question}`, or a model that
            is not causal.

    Source: Lin, Hilton and Evans 2022, arXiv:2109.07958, section 3.2.
    """
    check_texts(questions=questions, answers=answers)
    if getattr(getattr(model, "config", None), "causal", True) is False:
        raise ValueError(
            "model must be causal: one that reads an answer in both directions sees what it is to "
            "predict, got causal=False"
        )
    if len(questions) != len(answers):
        raise ValueError(
            f"there must be a question for each of the {len(answers)} answers, got {len(questions)}"
        )
    if "{question}" not in prompt:
        raise ValueError(f"prompt must contain {{question}}, got {prompt!r}")
    empty = [place for place, answer in enumerate(answers) if not answer]
    if empty:
        raise ValueError(f"answers must not be empty, got an empty one at index {empty[0]}")

    prompts = [prompt.replace("{question}", question) for question in questions]
    texts = [
        utf8(f"{before} {answer}", "questions and answers")
        for before, answer in zip(prompts, answers, strict=True)
    ]
    n_prompt = torch.tensor([len(before.encode()) for before in prompts], device="cpu")
    n_bytes = torch.tensor([len(text) for text in texts], device="cpu")
    device = next(model.parameters()).device
    scores = torch.empty(len(texts), dtype=torch.float64, device="cpu")
    with evaluation_mode(model):
        for rows in n_bytes.argsort().split(batch_size):
            ids, _ = pad_tokens([list(texts[row]) for row in rows], int(n_bytes[rows].max()))
            # A causal model does not attend to the padding, which follows all scored bytes.
            log_probs = model(ids[:, :-1].to(device)).float().log_softmax(-1).cpu()
            of_bytes = log_probs.gather(-1, ids[:, 1:, None])[..., 0].double()
            position = torch.arange(1, ids.shape[1], device="cpu")
            is_answer = (position >= n_prompt[rows, None]) & (position < n_bytes[rows, None])
            scores[rows] = (of_bytes * is_answer).sum(1)
    return scores
