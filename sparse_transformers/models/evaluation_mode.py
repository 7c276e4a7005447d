"""A context in which a model is evaluated: without dropout, router noise and expert capacity."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

from torch import nn

_LOCK = Lock()
_EVALUATIONS: WeakKeyDictionary[nn.Module, tuple[int, dict[nn.Module, bool]]] = WeakKeyDictionary()
"""For each model that is evaluated: how often at this moment, and the modes to go back to."""


@contextmanager
def evaluation_mode(model: object) -> Iterator[None]:
    """Within the block a module is in evaluation mode; afterwards each submodule is as it was.

    Several threads may evaluate a model at once: the first of them stores the modes, and the last
    one restores them. An object that is not a module is not changed.
    """
    if not isinstance(model, nn.Module):
        yield
        return
    with _LOCK:
        n_users, modes = _EVALUATIONS.get(model, (0, {}))
        if not n_users:
            modes = {module: module.training for module in model.modules()}
        _EVALUATIONS[model] = n_users + 1, modes
        model.eval()
    try:
        yield
    finally:
        with _LOCK:
            n_users, modes = _EVALUATIONS[model]
            if n_users > 1:
                _EVALUATIONS[model] = n_users - 1, modes
            else:
                del _EVALUATIONS[model]
                for module, training in modes.items():
                    module.training = training
