"""How even the load of experts is, from the number of assignments of each of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr

from sparse_transformers.utils.arrays import Floats, as_array


@dataclass(frozen=True)
class ExpertLoads:
    """How evenly the assignments so far are shared. One entry of a tuple belongs to one expert.

    Attributes:
        counts: assignments of each expert.
        loads: the share of each expert in all assignments; they sum to 1.
        balance_score: 1 - standard deviation of the loads. It is near 1 for many experts even if
            one has all assignments, as no load is then far from 0; the measures below do not have
            this flaw.
        imbalance: the largest load minus the smallest.
        coefficient_of_variation: standard deviation / mean of the loads: 0 if even.
        max_violation: (largest - mean) / mean of the loads: 0 if even.
        normalised_entropy: entropy of the loads / log(experts): 1 if even.
        dead_experts: experts without an assignment.
    """

    counts: tuple[int, ...]
    loads: tuple[float, ...]
    balance_score: float
    imbalance: float
    coefficient_of_variation: float
    max_violation: float
    normalised_entropy: float
    dead_experts: int


class ExpertLoadBalancer:
    """Counts assignments and says how far they are from the load that was aimed at.

    It watches and changes nothing: counts have no gradient, so no number here trains a router.
    What does is `models.experts.losses.balance_loss`, or the bias of an `AuxFreeRouter`.

    Args:
        num_experts: the number of experts, 1 or more.
        target_load: the share of the assignments that each expert should get, one number for all
            or one for each; 1 / num_experts by default.

    Raises:
        ValueError: there is no expert, or a target is no share.

    Example:
        >>> import sparse_transformers as st
        >>> balancer = st.ExpertLoadBalancer(num_experts=4)
        >>> balancer.update_loads([0, 0, 1, 2, -1])
        >>> loads = balancer.get_current_loads()
        >>> loads.loads, loads.dead_experts
        ((0.5, 0.25, 0.25, 0.0), 1)
    """

    def __init__(self, num_experts: int, target_load: "ArrayLike | None" = None) -> None:
        if num_experts < 1:
            raise ValueError(f"num_experts must be at least 1, got {num_experts}")
        target = as_array(1 / num_experts if target_load is None else target_load, float)
        if target.shape not in ((), (num_experts,)):
            raise ValueError(
                f"target_load must be one share, or one for each of {num_experts} experts, "
                f"got shape {target.shape}"
            )
        if not np.all((target >= 0) & (target <= 1)):
            raise ValueError(f"target_load must be between 0 and 1, got {target.tolist()}")
        self.num_experts = num_experts
        self.target_load = target
        self._counts = np.zeros(num_experts, dtype=np.int64)

    def update_loads(self, assignments: "ArrayLike") -> None:
        """Adds assignments to those before.

        Args:
            assignments: the number of an expert for each assignment, in any shape. -1 stands for
                no expert (padding, or a token that was dropped) and does not count.

        Raises:
            ValueError: they are not whole numbers from -1 to `num_experts` - 1.
        """
        experts = as_array(assignments).ravel()
        if experts.size == 0:
            return
        if not np.issubdtype(experts.dtype, np.integer):
            raise ValueError(f"assignments must be whole numbers, got {experts.dtype}")
        if experts.min() < -1 or experts.max() >= self.num_experts:
            raise ValueError(
                f"assignments must be from -1 to {self.num_experts - 1}, "
                f"got {experts.min()} to {experts.max()}"
            )
        self._counts += np.bincount(experts[experts >= 0], minlength=self.num_experts)

    def get_current_loads(self) -> ExpertLoads:
        """How evenly all assignments so far are shared.

        Raises:
            ValueError: there are none.
        """
        loads = load_fractions(self._counts)
        return ExpertLoads(
            counts=tuple(self._counts.tolist()),
            loads=tuple(loads.tolist()),
            balance_score=float(1 - loads.std()),
            imbalance=float(loads.max() - loads.min()),
            coefficient_of_variation=coefficient_of_variation(self._counts),
            max_violation=max_violation(self._counts),
            normalised_entropy=normalised_entropy(self._counts),
            dead_experts=dead_experts(self._counts),
        )

    def compute_auxiliary_loss(self) -> float:
        """The mean over the experts of (load - target)²: 0 on target, whatever the scale.

        A number to watch, and no loss to train by (see the class).

        Raises:
            ValueError: there are no assignments yet.
        """
        return float(np.mean((load_fractions(self._counts) - self.target_load) ** 2))


def load_fractions(counts: "ArrayLike") -> Floats:
    """What each expert has of all assignments; they sum to 1.

    Args:
        counts: (experts,), how many assignments each expert got, or how much weight.

    Raises:
        ValueError: `counts` has another shape, holds a negative or infinite number, or nothing but
            zeros. This is so for all functions here.
    """
    amounts = as_array(counts, float)
    if amounts.ndim != 1 or amounts.size == 0:
        raise ValueError(f"counts must be (experts,), at least one, got shape {amounts.shape}")
    if not np.all(np.isfinite(amounts) & (amounts >= 0)):
        raise ValueError(f"counts must be finite and not negative, got {amounts.tolist()}")
    if not amounts.any():
        raise ValueError(f"counts must hold at least one assignment, got {len(amounts)} zeros")
    return amounts / amounts.sum()


def coefficient_of_variation(counts: "ArrayLike") -> float:
    """Standard deviation / mean: 0 if the load is even, √(experts - 1) if one expert has it all.

    Source: Shazeer et al. 2017, arXiv:1701.06538, section 4 (its square is their loss).
    """
    loads = load_fractions(counts)
    return float(loads.std() / loads.mean())


def max_violation(counts: "ArrayLike") -> float:
    """(Maximum - mean) / mean: 0 if the load is even, experts - 1 if one expert has it all.

    Where experts run side by side, the others wait so much longer for the busiest one.

    Source: Wang et al. 2024, arXiv:2408.15664, section 4.1.
    """
    loads = load_fractions(counts)
    return float(loads.max() / loads.mean() - 1)


def normalised_entropy(counts: "ArrayLike") -> float:
    """Entropy of the loads / log(experts): 1 if the load is even, 0 if one expert has it all.

    A single expert has an even load, so 1.

    Source: Pielou 1966, Journal of Theoretical Biology 13 (as the evenness of species).
    """
    loads = load_fractions(counts)
    return float(entr(loads).sum() / np.log(len(loads))) if len(loads) > 1 else 1.0


def dead_experts(counts: "ArrayLike") -> int:
    """How many experts got nothing at all."""
    return int(np.count_nonzero(load_fractions(counts) == 0))
