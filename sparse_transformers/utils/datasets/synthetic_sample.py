"""A synthetic data set together with its exact Bayes accuracy, which a real one does not have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from sparse_transformers.utils.datasets.planted_signal import PlantedSignal


@dataclass(frozen=True, eq=False)
class SyntheticSample:
    """Rows to learn from, and the best that anyone can do on them.

    The probabilities stand apart from the table, so that no model reads them by accident.

    Attributes:
        table: the rows, as a model may see them.
        posteriors: (rows, classes), the exact probability of each class given the row's text;
            calibrated by construction.
        classes: what the columns of `posteriors` stand for, from the least to the most truthful.
        bayes_accuracy: the expected accuracy of naming the most probable class. No model that sees
            only the text exceeds it on average.
        signal: the distribution that the cues were drawn from.
    """

    table: pd.DataFrame
    posteriors: Float[np.ndarray, "rows classes"]
    classes: tuple[str, ...]
    bayes_accuracy: float
    signal: PlantedSignal

    def bayes_accuracy_of(self, groups: Sequence[Sequence[str]]) -> float:
        """The exact ceiling when only the group of a class is asked for, as in a binary verdict.

        Args:
            groups: the classes of each group; those that none names are one more group.

        Raises:
            ValueError: a class is unknown or stands in two groups, or a group is empty.

        Example:
            >>> from sparse_transformers.utils.dataset_synthesis import synthesize_liar
            >>> round(synthesize_liar(10).bayes_accuracy_of([["true", "mostly-true"]]), 2)
            0.68
        """
        if isinstance(groups, str) or any(isinstance(group, str) or not group for group in groups):
            raise ValueError(f"groups must be non-empty lists of class names, got {groups!r}")
        named = [name for group in groups for name in group]
        if not set(named) <= set(self.classes) or len(named) != len(set(named)):
            raise ValueError(
                f"groups must name each class at most once, of {', '.join(self.classes)}, "
                f"got {groups!r}"
            )
        rest = [name for name in self.classes if name not in named]
        every_group = [*groups, rest] if rest else groups
        return self.signal.bayes_accuracy(
            [[self.classes.index(name) for name in group] for group in every_group]
        )
