"""What arrays of numbers are called in signatures, and how arguments become arrays."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
"""Numbers; the docstring says of what shape."""
Codes = NDArray[np.intp]
"""The class number of each row, (rows,)."""
Probabilities = NDArray[np.float64]
"""The probability of each class, (rows, classes); the classes of a row sum to 1."""
Logits = NDArray[np.float64]
"""Unnormalised log-probabilities, (rows, classes)."""


def as_array(values: "ArrayLike", dtype: Any = None) -> NDArray[Any]:
    """`np.asarray`, for tensors of all kinds too, also within a list; floats become float64.

    NumPy has no bfloat16, and refuses tensors that need a gradient or are on a GPU. A mean in half
    precision would be rounded to it.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()
    elif isinstance(values, list | tuple):
        values = [as_array(each) if isinstance(each, torch.Tensor) else each for each in values]
    return np.asarray(values, dtype=dtype)
