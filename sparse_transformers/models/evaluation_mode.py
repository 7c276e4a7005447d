"""A context in which a model is evaluated: without dropout, router noise and expert capacity."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(model: object) -> Iterator[None]:
    """Within the block a module is in evaluation mode; afterwards each submodule is as it was.

    An object that is not a module is not changed.
    """
    if not isinstance(model, nn.Module):
        yield
        return
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
