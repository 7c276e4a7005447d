"""A probe for leaks: does any output depend on a token that comes after it?

A causal model answers the same at position p whatever follows p. The probe changes the later
tokens and looks for earlier outputs that move. It needs no access to the model's insides, so it
also finds what a look at the mask misses: a selector that returns keys it was told to hide, an
inverted mask, a normalisation over the whole sequence, experts whose capacity is filled by tokens
still to come.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from sparse_transformers.models.checks import check_is_ids, check_seed
from sparse_transformers.models.evaluation_mode import evaluation_mode
from sparse_transformers.utils.html_tables import html_table

FAR = 1e4
"""Times the usual difference: numbers that are meant as minus infinity lie beyond it."""


@dataclass(frozen=True)
class LeakReport:
    """What `find_future_leak` saw.

    Attributes:
        leaks: whether an output changed although only later tokens did.
        first_leaking_position: the earliest output position that changed.
        source_position: the first changed token of the probe that shows that leak. Where changing
            a single token shows it, this is that token: `first_leaking_position` depends on it.
        largest_change: the largest absolute change of any output that should have stayed (0.0 for
            a model that is causal to the last bit).
        n_probes: how many cuts were probed, with all later tokens and with a single one changed.
        n_cuts: how many cuts the sequence has. With fewer probes than cuts, "no leak" is a sample.

    Example:
        >>> import sparse_transformers as st
        >>> import torch
        >>> model = lambda ids: torch.nn.functional.one_hot(ids, 8).float()
        >>> report = st.find_future_leak(model, torch.arange(8)[None])
        >>> report.leaks, report.largest_change, report.n_probes
        (False, 0.0, 7)
    """

    leaks: bool
    first_leaking_position: int | None
    source_position: int | None
    largest_change: float
    n_probes: int
    n_cuts: int

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return html_table([asdict(self)], caption=str(self))

    def __str__(self) -> str:
        finding = "no leak of later tokens found"
        if self.leaks:
            finding = (
                f"LEAK: output {self.first_leaking_position} "
                f"changes with token {self.source_position}"
            )
        probed = f"{self.n_probes} of {self.n_cuts} cuts probed"
        return f"{finding} ({probed}, largest change {self.largest_change:.3g})"


def find_future_leak(
    model: Callable[[Tensor], Any],
    input_ids: Integer[Tensor, "batch seq"],
    *,
    vocab_size: int | None = None,
    n_probes: int = 128,
    seed: int = 0,
    tolerance: float = 1e-5,
) -> LeakReport:
    """Change later tokens and report whether, where and by how much earlier outputs change.

    A cut t separates the tokens before t from those at t and after. For each probed cut the model
    runs twice: with every token from t on replaced, and with token t alone replaced; in both runs
    the outputs before t must stay. A leak from token 4 to output 3 shows at cut 4 only, so every
    cut is probed when the sequence has at most `n_probes` of them; of longer sequences the first
    cut, the last one and a random choice between them.

    The model runs in evaluation mode without gradients; afterwards the training mode of every
    submodule and the global random state are as before. Random numbers that the model draws from
    torch's global generator are the same in each run.

    Args:
        model: any callable from ids to (batch, seq, vocab or dim): a tensor, a tuple that starts
            with one, or a dictionary or an object with `logits` or `last_hidden_state` (Hugging
            Face).
        input_ids: the sequences to start from; every row is probed, all at once.
        vocab_size: replacements are drawn from 0 up to this. Default: `model.config.vocab_size`,
            or where there is none the largest id in `input_ids` plus one.
        n_probes: number of cuts to probe at most; a probe costs two forward passes.
        seed: the seed of the replacements and of the choice of cuts.
        tolerance: the largest change that is no leak, relative to how much that output usually
            differs from position to position: an output that is huge, such as -1e9 for a forbidden
            word, hides no other.
            All runs have the same shape, so a causal model repeats the same kernels and its change
            is exactly 0. The default forgives a few last bits of float32, which may differ where
            a model regroups its tokens by content (a router sends more or fewer of them through
            one matrix product). Give 0.0 to ask for bit equality.

    Raises:
        ValueError: ids that are not integers or not (batch, seq), a sequence shorter than 2, an
            id outside the vocabulary, outputs that are not one per position or that hold NaN, or
            a model that answers differently when asked the same twice.

    Example:
        >>> import sparse_transformers as st
        >>> import torch
        >>> def reverse(ids):  # output p is token n - p: it depends on later tokens
        ...     return torch.nn.functional.one_hot(ids.flip(1), 8).float()
        >>> print(st.find_future_leak(reverse, torch.arange(8)[None]))
        LEAK: output 0 changes with token 7 (7 of 7 cuts probed, largest change 1)
    """
    _check_input_ids(input_ids)
    vocab_size = _vocab_size(model, input_ids, vocab_size)
    if n_probes < 1:
        raise ValueError(f"n_probes must be at least 1, got {n_probes}")
    if tolerance < 0:
        raise ValueError(f"tolerance must not be negative, got {tolerance}")

    generator = torch.Generator().manual_seed(check_seed(seed))
    seq_len = input_ids.shape[1]
    cuts = _choose_cuts(seq_len, n_probes, generator)
    leaks: list[_Leak] = []
    largest_change = 0.0
    with evaluation_mode(model), torch.no_grad():
        expected = _outputs(model, input_ids)
        allowance = tolerance * _scales(expected)
        _check_repeatable(expected, _outputs(model, input_ids), allowance)
        for cut in cuts:
            replaced = _different_ids(input_ids, vocab_size, generator)
            for stop in sorted({cut + 1, seq_len}):
                perturbed = input_ids.clone()
                perturbed[:, cut:stop] = replaced[:, cut:stop]
                change = _change(expected, _outputs(model, perturbed))[:, :cut]
                largest_change = max(largest_change, change.max().item())
                moved = (change > allowance).any(-1).any(0).nonzero()
                if len(moved):
                    leaks.append(_Leak(int(moved[0]), n_changed=stop - cut, source=cut))

    first = min(leaks, default=None)
    return LeakReport(
        leaks=first is not None,
        first_leaking_position=first.position if first else None,
        source_position=first.source if first else None,
        largest_change=largest_change,
        n_probes=len(cuts),
        n_cuts=seq_len - 1,
    )


@dataclass(frozen=True, order=True)
class _Leak:
    """One leaking probe. The order: the earliest output first, then the fewest tokens changed."""

    position: int
    n_changed: int
    source: int


def _check_input_ids(input_ids: Tensor) -> None:
    check_is_ids(input_ids)
    if input_ids.is_floating_point() or input_ids.is_complex() or input_ids.dtype == torch.bool:
        raise ValueError(f"input_ids must be integers, got dtype {input_ids.dtype}")
    if input_ids.ndim != 2 or input_ids.shape[0] < 1:
        raise ValueError(f"input_ids must be (batch, seq), got shape {tuple(input_ids.shape)}")
    if input_ids.shape[1] < 2:
        raise ValueError(
            f"input_ids must hold at least 2 positions per sequence, got {input_ids.shape[1]}"
        )


def _vocab_size(model: object, input_ids: Tensor, vocab_size: int | None) -> int:
    largest = int(input_ids.max())
    if vocab_size is None:
        vocab_size = getattr(getattr(model, "config", None), "vocab_size", None) or largest + 1
    if vocab_size < 2:
        raise ValueError(
            f"vocab_size must be at least 2 so that a token can be replaced, got {vocab_size}; "
            "give vocab_size, or input_ids with more than one token"
        )
    if largest >= vocab_size or int(input_ids.min()) < 0:
        raise ValueError(
            f"input_ids must lie between 0 and vocab_size - 1 = {vocab_size - 1}, "
            f"got {int(input_ids.min())} to {largest}"
        )
    return vocab_size


def _choose_cuts(seq_len: int, n_probes: int, generator: torch.Generator) -> list[int]:
    """Every cut if `n_probes` allows, else the last, the first and a random choice of the others.

    Random rather than evenly spaced: a leak inside blocks hides from cuts at block boundaries.
    """
    cuts = list(range(1, seq_len))
    if len(cuts) <= n_probes:
        return cuts
    between = 1 + torch.randperm(len(cuts) - 2, generator=generator, device="cpu")
    order = [len(cuts) - 1, 0, *between.tolist()]
    return sorted(cuts[index] for index in order[:n_probes])


def _different_ids(input_ids: Tensor, vocab_size: int, generator: torch.Generator) -> Tensor:
    """Random ids, each different from the one it replaces."""
    shift = torch.randint(1, vocab_size, input_ids.shape, generator=generator, device="cpu")
    return ((input_ids.long() + shift.to(input_ids.device)) % vocab_size).to(input_ids.dtype)


def _outputs(
    model: Callable[[Tensor], Any], input_ids: Integer[Tensor, "batch seq"]
) -> Float[Tensor, "batch seq dim"]:
    with torch.random.fork_rng(devices=[input_ids.device] if input_ids.is_cuda else []):
        outputs = model(input_ids)
    for name in ("logits", "last_hidden_state"):
        if isinstance(outputs, Mapping):
            outputs = outputs.get(name, outputs)
        else:
            outputs = getattr(outputs, name, outputs)
    if isinstance(outputs, tuple | list):
        outputs = outputs[0]
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point():
        kind = outputs.dtype if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ValueError(f"model must return a floating point tensor, got {kind}")
    if outputs.ndim != 3 or outputs.shape[:2] != input_ids.shape:
        raise ValueError(
            "model must return one output per position, (batch, seq, dim) with (batch, seq) = "
            f"{tuple(input_ids.shape)}, got shape {tuple(outputs.shape)}"
        )
    if outputs.isnan().any():
        position = int(outputs.isnan().any(dim=(0, 2)).nonzero()[0])
        raise ValueError(f"model must return numbers, got NaN, first at position {position}")
    return outputs


def _scales(outputs: Float[Tensor, "batch seq dim"]) -> Float[Tensor, "dim"]:
    """How much each output differs from its median, in the mean over the positions.

    A logit of -1e9 that a forbidden word has everywhere, or at some positions, is no measure: what
    lies far beyond the usual difference is left out. An output that hardly varies is measured with
    what is usual among the others, since their rounding is in it too.
    """
    finite = outputs.where(outputs.isfinite(), 0).flatten(0, 1)
    differences = (finite - finite.median(0).values).abs()
    if not bool(differences.any()):
        return torch.full_like(differences[0], finite.abs().max().item())
    usual = differences[differences > 0].median()
    spread = differences.where(differences <= FAR * usual, 0).mean(0)
    return spread.clamp(min=spread[spread > 0].median().item())


def _change(
    expected: Float[Tensor, "batch seq dim"], actual: Float[Tensor, "batch seq dim"]
) -> Float[Tensor, "batch seq dim"]:
    # Equal infinities differ by 0 here, where a subtraction would give NaN.
    return (actual - expected).abs().where(actual != expected, 0)


def _check_repeatable(expected: Tensor, repeated: Tensor, allowance: Tensor) -> None:
    change = _change(expected, repeated)
    if bool((change > allowance).any()):
        difference = change.max().item()
        raise ValueError(
            "model must answer the same when asked the same, or every change looks like a leak; "
            f"got outputs that differ by {difference:.3g} for the same ids"
        )
