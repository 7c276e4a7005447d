"""Specialization over the course of a training, and similarity between experts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics.pairwise import cosine_similarity

from sparse_transformers.utils.arrays import as_array
from sparse_transformers.utils.metrics.experts.focus import ExpertFocus, expert_focus
from sparse_transformers.utils.metrics.experts.specialization import Specialization, specialization

Similarity = NDArray[np.float64]


@dataclass(frozen=True)
class SpecializationEmergence:
    """Specialization at several steps of a training.

    Attributes:
        steps: in rising order; what follows has an entry for each.
        overall: the specialization of all experts together.
        experts: the focus of each expert, by its name.
    """

    steps: tuple[int, ...]
    overall: tuple[Specialization, ...]
    experts: dict[str, tuple[ExpertFocus, ...]]


class ExpertSpecializationAnalyzer:
    """Measures specialization during a training, and finds experts with similar tokens.

        analyzer = ExpertSpecializationAnalyzer()
        emergence = analyzer.analyze_specialization_emergence(
            {0: experts_before, 500: experts_after}, kinds, units=statements
        )
        table = expert_class_table(experts_after, kinds, num_experts=8)
        similarity = analyzer.compute_expert_similarity(table.counts)
        clusters = analyzer.identify_expert_clusters(similarity)

    Args:
        expert_names: what to call them, in order; None numbers as many as there are.

    Raises:
        ValueError: two experts have the same name.

    Example:
        >>> import sparse_transformers as st
        >>> analyzer = st.ExpertSpecializationAnalyzer(["first", "second", "third"])
        >>> similarity = analyzer.compute_expert_similarity([[9, 1], [8, 2], [0, 10]])
        >>> analyzer.identify_expert_clusters(similarity)
        [['first', 'second'], ['third']]
    """

    def __init__(self, expert_names: Sequence[str] | None = None) -> None:
        self.expert_names = None if expert_names is None else tuple(expert_names)
        if self.expert_names is not None and (
            isinstance(expert_names, str)
            or not self.expert_names
            or len(set(self.expert_names)) != len(self.expert_names)
        ):
            raise ValueError(f"expert_names must be different names, got {expert_names!r}")

    def analyze_specialization_emergence(
        self,
        snapshots: "Mapping[int, ArrayLike]",
        classes: "ArrayLike",
        units: "ArrayLike | None" = None,
        *,
        n_shuffles: int = 200,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> SpecializationEmergence:
        """Specialization at each step at which the routing of the same tokens was recorded.

        Args:
            snapshots: by step, the expert of each token, (tokens,); -1 where no expert read it.
            classes: the class of each token.
            units: what has a class as a whole; see `specialization`.
            n_shuffles: the number of shuffles, of each step.
            confidence: the confidence level of the upper limits.
            seed: the seed of the shuffles.

        Raises:
            ValueError: there is no snapshot, or `specialization` refuses one; the message says
                which.
        """
        if not snapshots:
            raise ValueError("snapshots must hold the routing of at least one step, got none")
        options: dict[str, Any] = {
            "units": units,
            "n_shuffles": n_shuffles,
            "confidence": confidence,
            "seed": seed,
        }
        n_named = None if self.expert_names is None else len(self.expert_names)
        steps = sorted(snapshots)
        overall = []
        for step in steps:
            try:
                overall.append(
                    specialization(snapshots[step], classes, num_experts=n_named, **options)
                )
            except ValueError as error:
                raise ValueError(f"snapshot of step {step}: {error}") from error
        names = self._names(n_named or 1 + max(int(np.max(snapshots[step])) for step in steps))
        by_step = [
            expert_focus(snapshots[step], classes, num_experts=len(names), **options)
            for step in steps
        ]
        return SpecializationEmergence(
            steps=tuple(int(step) for step in steps),
            overall=tuple(overall),
            experts=dict(zip(names, zip(*by_step, strict=True), strict=True)),
        )

    def compute_expert_similarity(self, profiles: "ArrayLike") -> Similarity:
        """How alike the profiles of experts are: cosines, (experts, experts).

        Counts of classes of unequal size make any two experts look alike, for what is frequent is
        so with every expert; give shares of each class (columns that sum to 1) to see past that.

        Args:
            profiles: (experts, classes), such as `expert_class_table(...).counts`. An expert that
                read nothing has zeros, and is like no expert, itself included.

        Raises:
            ValueError: the profiles are no table of numbers, or not one for each name.
        """
        table = as_array(profiles, np.float64)
        if table.ndim != 2 or table.size == 0:
            raise ValueError(f"profiles must be (experts, classes), got shape {table.shape}")
        if not np.isfinite(table).all():
            raise ValueError("profiles must hold finite numbers")
        self._names(len(table))
        return np.asarray(cosine_similarity(table)).clip(-1.0, 1.0)

    def identify_expert_clusters(
        self, similarity: "ArrayLike", threshold: float = 0.7
    ) -> list[list[str]]:
        """Groups of experts of which any two are at least `threshold` alike.

        Groups are joined, the most alike first, for as long as that holds (complete linkage), so
        what comes out does not depend on the order of the experts, ties apart. Every expert is in
        one group; groups of one are experts unlike all others.

        Args:
            similarity: (experts, experts), symmetric, from -1 to 1.
            threshold: from -1 to 1.

        Raises:
            ValueError: an argument is not of that form, or there is not one row for each name.
        """
        table = as_array(similarity, np.float64)
        if table.ndim != 2 or len(set(table.shape)) != 1 or not len(table):
            raise ValueError(f"similarity must be (experts, experts), got shape {table.shape}")
        if not (np.abs(table) <= 1).all() or not np.allclose(table, table.T):
            raise ValueError("similarity must be symmetric and from -1 to 1")
        if not -1 <= threshold <= 1:
            raise ValueError(f"threshold must be from -1 to 1, got {threshold}")
        names = self._names(len(table))
        if len(names) == 1:
            return [[names[0]]]
        distances = squareform(1 - table, checks=False)
        numbers = fcluster(linkage(distances, "complete"), 1 - threshold, "distance")
        clusters: dict[int, list[str]] = {}
        for name, number in zip(names, numbers.tolist(), strict=True):
            clusters.setdefault(number, []).append(name)
        return list(clusters.values())

    def _names(self, n_experts: int) -> tuple[str, ...]:
        """The names of so many experts."""
        if self.expert_names is None:
            return tuple(f"expert {number}" for number in range(n_experts))
        if len(self.expert_names) != n_experts:
            raise ValueError(
                f"there must be a row for each of the {len(self.expert_names)} expert_names, "
                f"got {n_experts}"
            )
        return self.expert_names
