"""What arrays of numbers are called in signatures."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
"""Numbers; the docstring says of what shape."""
Codes = NDArray[np.intp]
"""The class number of each row, (rows,)."""
Probabilities = NDArray[np.float64]
"""The probability of each class, (rows, classes); the classes of a row sum to 1."""
Logits = NDArray[np.float64]
"""Unnormalised log-probabilities, (rows, classes)."""
