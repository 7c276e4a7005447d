"""Settings for all tests."""

import jaxtyping
import pytest
import torch
from hypothesis import settings

# The same examples in every run, so that a red build is red again on the next machine.
settings.register_profile("reproducible", max_examples=25, deadline=None, derandomize=True)
settings.load_profile("reproducible")

# The tensors of the tests are small: threads would wait for each other longer than they work.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def let_unchecked_arrays_through(request):
    """Tests with this mark see what users see, who run without the checks."""
    jaxtyping.config.update("jaxtyping_disable", "unchecked_arrays" in request.keywords)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
