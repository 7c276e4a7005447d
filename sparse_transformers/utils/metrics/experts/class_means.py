"""Means over the tokens of each class, and how sure they are."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparse_transformers.utils.metrics.experts.class_shuffles import sorted_places
from sparse_transformers.utils.metrics.label_encoding import factorize

Values = NDArray[np.float64]


class ClassMeans:
    """Means of values by the class of each token, with standard errors over whole units.

    Args:
        classes: the class of each token.
        units: what was drawn independently, such as the statement that each token belongs to. None:
            each token by itself.

    Attributes:
        n_tokens: by class, in sorted order; so is all that the methods return.

    Raises:
        ValueError: there is not one unit for each class, a label is missing, the classes have no
            order, or one of them occurs in fewer than two units.

    Source: Liang and Zeger 1986, Biometrika 73(1) (standard errors over units).
    """

    def __init__(self, classes: "ArrayLike", units: "ArrayLike | None" = None) -> None:
        labels = factorize("classes", classes)
        self._classes, n_rows = labels.codes, len(labels.codes)
        self._order = sorted_places("classes", labels.values)
        self._names = [str(labels.values[place]) for place in self._order]
        self._sizes = np.bincount(labels.codes)
        self.n_tokens = dict(zip(self._names, self._sizes[self._order].tolist(), strict=True))

        of_unit = np.arange(n_rows) if units is None else factorize("units", units, n_rows).codes
        width = int(of_unit.max()) + 1
        blocks, self._blocks = np.unique(labels.codes * width + of_unit, return_inverse=True)
        self._class_of_block = blocks // width
        self._n_units = np.bincount(self._class_of_block)
        if self._n_units.min() < 2:
            lonely = labels.values[int(self._n_units.argmin())]
            raise ValueError(
                "classes must each occur in at least two units, or nothing is known of how units "
                f"differ; got one for {lonely!r}"
            )

    def means(self, values: Values) -> dict[str, float]:
        """The mean of the values, (tokens,), of each class."""
        return self._by_name(self._means(values))

    def standard_errors(self, values: Values) -> dict[str, float]:
        """How far these means would vary, were other units drawn."""
        residuals = values - self._means(values)[self._classes]
        squares = np.bincount(self._blocks, residuals) ** 2
        variances = np.bincount(self._class_of_block, squares) * self._n_units / (self._n_units - 1)
        return self._by_name(np.sqrt(variances) / self._sizes)

    def _means(self, values: Values) -> Values:
        return np.bincount(self._classes, values) / self._sizes

    def _by_name(self, of_classes: Values) -> dict[str, float]:
        return dict(zip(self._names, of_classes[self._order].tolist(), strict=True))
