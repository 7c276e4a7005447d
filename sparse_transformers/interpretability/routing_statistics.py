"""Statistics of the routing of many batches, layer by layer.

An even load does not show that experts specialize: random routing is even, too. Compare a repeat
rate with the one by chance.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sparse_transformers.models.experts.layer import MoEOutput
from sparse_transformers.models.experts.routing import Routing
from sparse_transformers.utils.html_tables import html_table
from sparse_transformers.utils.metrics.experts.load import (
    coefficient_of_variation,
    dead_experts,
    load_fractions,
    max_violation,
    normalised_entropy,
)


@dataclass(frozen=True)
class LayerStatistics:
    """One layer's routing. Padding counts nowhere; one entry of a tuple belongs to one expert.

    Attributes:
        n_tokens: real tokens, without padding.
        load: the share of each expert in all assignments that were carried out; those that full
            experts turned away are not in it.
        coefficient_of_variation: standard deviation / mean of the load.
        max_violation: (largest - mean) / mean of the load.
        normalised_entropy: entropy of the load / log(experts): 1 if it is even.
        dead_experts: experts without a token.
        dropped_share: the share of the chosen assignments that full experts turned away.
        router_entropy: entropy of the router's probabilities for one token, in nats; the mean over
            the tokens.
        normalised_router_entropy: the same / log(experts): 1 if the router prefers no expert, 0 if
            it is sure, or has one expert.
        margin: the largest probability of a token minus the second; the mean over the tokens.
        co_activation: of the tokens that expert i (row) reads, the share that expert j (column)
            reads as well; None in the row of an expert that reads none.
        repeat_rate: the share of neighbouring tokens of a sequence that have the same first choice.
            Pairs with padding or with a token that no expert reads are left out; None if no pair
            remains.
        repeat_rate_by_chance: the same for two tokens drawn at random: the sum of the squared
            shares of first choices.
    """

    n_tokens: int
    load: tuple[float, ...]
    coefficient_of_variation: float
    max_violation: float
    normalised_entropy: float
    dead_experts: int
    dropped_share: float
    router_entropy: float
    normalised_router_entropy: float
    margin: float
    co_activation: tuple[tuple[float | None, ...], ...]
    repeat_rate: float | None
    repeat_rate_by_chance: float


class RoutingStatistics:
    """Adds up the routing of batch after batch, on the CPU.

        statistics = RoutingStatistics()
        for input_ids in batches:
            with record_experts(model) as outputs:
                model(input_ids)
            statistics.update(outputs)
        layers = statistics.compute()

    What comes out does not depend on how the sequences are cut into batches, except where
    capacities or a router do.

    Source: co-activation: Muennighoff et al. 2024, arXiv:2409.02060, section 5.2 (over all pairs
    here); repeat rate: Jiang et al. 2024, arXiv:2401.04088, section 5.

    Example:
        >>> import sparse_transformers as st
        >>> import torch
        >>> layer = st.MoELayer(16, num_experts=4, router="top_k")
        >>> statistics = st.RoutingStatistics()
        >>> statistics.update({"layer": layer(torch.randn(2, 8, 16))})
        >>> result = statistics.compute()["layer"]
        >>> result.n_tokens, len(result.load)
        (16, 4)
    """

    def __init__(self) -> None:
        self._layers: dict[str, _LayerSums] = {}

    def __repr__(self) -> str:
        names = ", ".join(self._layers) or "nothing yet"
        return f"RoutingStatistics({names})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the numbers of each layer."""
        rows = [
            {"layer": name}
            | {
                key.replace("_", " "): value
                for key, value in asdict(layer).items()
                if not isinstance(value, tuple)
            }
            for name, layer in self.compute().items()
        ]
        return html_table(rows, caption="routing, layer by layer")

    def update(self, outputs: "Mapping[str, MoEOutput | Routing]") -> None:
        """Adds one batch.

        Args:
            outputs: by name of the layer, as `record_experts` collects them.

        Raises:
            ValueError: a layer has another number of experts than before, or its router has come
                to give NaN. The batch is then not counted for this layer.
        """
        for name, output in outputs.items():
            routing = output.routing if isinstance(output, MoEOutput) else output
            if not routing.probabilities.isfinite().all():
                raise ValueError(f"probabilities of layer {name!r} must be finite")
            sums = self._layers.setdefault(name, _LayerSums(routing.num_experts))
            if sums.num_experts != routing.num_experts:
                raise ValueError(
                    f"layer {name!r} must have {sums.num_experts} experts as before, "
                    f"got {routing.num_experts}"
                )
            sums.add(routing)

    def compute(self) -> dict[str, LayerStatistics]:
        """The statistics of all batches so far, by name of the layer.

        Raises:
            ValueError: there were no batches, or no expert of a layer read any token.
        """
        if not self._layers:
            raise ValueError("there must be at least one layer: call update before compute")
        for name, sums in self._layers.items():
            if not sums.counts.any():
                raise ValueError(f"layer {name!r} must have read at least one token, got none")
        return {name: sums.statistics() for name, sums in self._layers.items()}


class _LayerSums:
    """Counts and sums, from which one layer's statistics are computed at the end."""

    def __init__(self, num_experts: int) -> None:
        self.num_experts = num_experts
        self.n_tokens = self.n_chosen = self.n_dropped = 0
        self.n_pairs = self.n_repeats = 0
        self.entropy = self.margin = 0.0
        self.counts = np.zeros(num_experts, dtype=np.int64)
        self.first_choices = np.zeros(num_experts, dtype=np.int64)
        self.together = np.zeros((num_experts, num_experts))

    def add(self, routing: Routing) -> None:
        self.n_tokens += routing.n_tokens
        self.n_chosen += routing.n_chosen
        self.n_dropped += routing.n_dropped
        self.counts += routing.counts.cpu().numpy()

        # Padding has zeros for probabilities, and adds nothing to either sum.
        probabilities = routing.probabilities.detach().cpu().double()
        self.entropy += torch.special.entr(probabilities).sum().item()
        self.margin += _margins(probabilities).sum().item()

        assigned = routing.assigned().flatten(0, 1).cpu().double()
        self.together += (assigned.T @ assigned).numpy()

        first = routing.first_choice().cpu()
        read = first[first >= 0]
        self.first_choices += torch.bincount(read, minlength=self.num_experts).numpy()
        # Padding has no choice, and a row is a sequence: no pair can cross either.
        before, after = first[:, :-1], first[:, 1:]
        is_pair = (before >= 0) & (after >= 0)
        self.n_pairs += int(is_pair.sum())
        self.n_repeats += int((is_pair & (before == after)).sum())

    def statistics(self) -> LayerStatistics:
        entropy = self.entropy / self.n_tokens
        largest = math.log(self.num_experts)
        return LayerStatistics(
            n_tokens=self.n_tokens,
            load=tuple(load_fractions(self.counts).tolist()),
            coefficient_of_variation=coefficient_of_variation(self.counts),
            max_violation=max_violation(self.counts),
            normalised_entropy=normalised_entropy(self.counts),
            dead_experts=dead_experts(self.counts),
            dropped_share=self.n_dropped / self.n_chosen,
            router_entropy=entropy,
            normalised_router_entropy=entropy / largest if largest else 0.0,
            margin=self.margin / self.n_tokens,
            co_activation=tuple(
                tuple((row / count).tolist()) if count else (None,) * self.num_experts
                for row, count in zip(self.together, self.counts, strict=True)
            ),
            repeat_rate=self.n_repeats / self.n_pairs if self.n_pairs else None,
            repeat_rate_by_chance=float(np.sum(load_fractions(self.first_choices) ** 2)),
        )


def saturation(earlier: Routing, final: Routing) -> float:
    """How much of its final routing a router had already: 1 if nothing has changed since.

    The mean over the tokens of |experts then and at the end| / |experts at the end|, which is
    |E_t ∩ E_T| / k where each token has k experts. Tokens that no expert reads at the end are left
    out. Read it beside `saturation_by_chance`, for experts that have most tokens have them often
    by accident.

    Args:
        earlier: of the router some steps into its training.
        final: of the same layer after training, for the same batch; both in evaluation, so that
            nothing is dropped.

    Raises:
        ValueError: the two are of different tokens or numbers of experts, or no expert reads any.

    Source: Muennighoff et al. 2024, arXiv:2409.02060, section 5.1.
    """
    then, at_the_end = _aligned(earlier, final)
    kept = (then & at_the_end).sum(1).double() / at_the_end.sum(1)
    return kept.mean().item()


def saturation_by_chance(earlier: Routing, final: Routing) -> float:
    """`saturation` if the earlier tokens were shuffled, on average over all shuffles.

    It is k / experts for even loads, and more where both prefer the same experts.

    Args:
        earlier: see `saturation`.
        final: see `saturation`.

    Raises:
        ValueError: see `saturation`.
    """
    then, at_the_end = _aligned(earlier, final)
    shares = at_the_end / at_the_end.sum(1, keepdim=True).double()
    return (then.double().mean(0) * shares.mean(0)).sum().item()


def _aligned(
    earlier: Routing, final: Routing
) -> tuple[Bool[Tensor, "tokens experts"], Bool[Tensor, "tokens experts"]]:
    """The experts of each token, earlier and at the end; only tokens with an expert at the end."""
    if earlier.num_experts != final.num_experts:
        raise ValueError(
            f"earlier must have {final.num_experts} experts as final has, got {earlier.num_experts}"
        )
    if not torch.equal(earlier.is_token.cpu(), final.is_token.cpu()):
        raise ValueError(
            "earlier must be of the same batch as final, got another shape or other padding: "
            f"{tuple(earlier.is_token.shape)} and {tuple(final.is_token.shape)}"
        )
    then, at_the_end = (each.assigned().flatten(0, 1).cpu() for each in (earlier, final))
    is_read = at_the_end.any(1)
    if not is_read.any():
        raise ValueError("final must have read at least one token, got none")
    return then[is_read], at_the_end[is_read]


def _margins(probabilities: Float[Tensor, "tokens experts"]) -> Float[Tensor, "tokens"]:
    """The largest probability minus the second; of one expert, its own."""
    best = probabilities.topk(min(2, probabilities.shape[1]), dim=1).values
    return best[:, 0] - best[:, 1:].sum(1)
