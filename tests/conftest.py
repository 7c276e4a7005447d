"""Settings for all tests."""

import torch
from hypothesis import settings

# The same examples in every run, so that a red build is red again on the next machine.
settings.register_profile("reproducible", max_examples=25, deadline=None, derandomize=True)
settings.load_profile("reproducible")

# The tensors of the tests are small: threads would wait for each other longer than they work.
torch.set_num_threads(1)
