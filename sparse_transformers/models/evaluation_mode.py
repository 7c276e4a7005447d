"""A context in which a model is evaluated: without dropout, router noise and expert capacity."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

from torch import nn

_LOCK = Lock()
_MODES: WeakKeyDictionary[nn.Module, tuple[int, bool]] = WeakKeyDictionary()
"""For each module that is evaluated: how often at this moment, and the mode to go back to."""


@contextmanager
def evaluation_mode(model: object) -> Iterator[None]:
    """Within the block a module is in evaluation mode; afterwards each submodule is as it was.

    Several threads may evaluate a model, or a model and a part of it, at once: the first of them
    stores the mode of a submodule, and the last one restores it. An object that is not a module is
    not changed.
    """
    if not isinstance(model, nn.Module):
        yield
        return
    modules = list(model.modules())
    with _LOCK:
        for module in modules:
            n_users, training = _MODES.get(module, (0, module.training))
            _MODES[module] = n_users + 1, training
        model.eval()
    try:
        yield
    finally:
        with _LOCK:
            for module in modules:
                n_users, training = _MODES.pop(module)
                if n_users > 1:
                    _MODES[module] = n_users - 1, training
                else:
                    module.training = training
