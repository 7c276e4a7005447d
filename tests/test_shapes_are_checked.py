"""The tests run with jaxtyping's import hook: a wrong shape raises where it enters a function."""

import pytest
import torch
from jaxtyping import TypeCheckError

from sparse_transformers.models.token_shift import previous_tokens


def test_wrong_rank_is_found():
    assert previous_tokens(torch.zeros(1, 3, 4)).shape == (1, 3, 4)
    with pytest.raises(TypeCheckError, match="hidden"):
        previous_tokens(torch.zeros(3, 4))


def test_wrong_dtype_is_found():
    with pytest.raises(TypeCheckError, match="hidden"):
        previous_tokens(torch.zeros(1, 3, 4, dtype=torch.long))
