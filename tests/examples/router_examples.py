"""Routers for the tests of experts: an example of every kind, and tokens for them to route."""

from typing import Any

import torch

from sparse_transformers.models.experts.layer import MoELayer
from sparse_transformers.models.experts.router import Router, TokenChoiceRouter
from sparse_transformers.models.experts.routers import ROUTERS, make_router
from sparse_transformers.models.experts.routing import Routing

D_MODEL = 6
NUM_EXPERTS = 5
VOCAB_SIZE = 31

ROUTER_EXAMPLES: dict[str, dict[str, Any]] = {
    "top 2": {"name": "top_k"},
    "top 3, softmax before": {"name": "top_k", "top_k": 3, "softmax": "before"},
    "switch": {"name": "switch"},
    "noisy top 2": {"name": "noisy_top_k"},
    "bias": {"name": "aux_free"},
    "top 1": {"name": "top_k", "top_k": 1},
    "bias, top 1": {"name": "aux_free", "top_k": 1},
    "hash": {"name": "hash", "top_k": 2},
    "expert choice": {"name": "expert_choice"},
    "soft": {"name": "soft", "slots_per_expert": 2},
}
SEES_FUTURE = {
    label: options
    for label, options in ROUTER_EXAMPLES.items()
    if ROUTERS[options["name"]].sees_future
}
CAUSAL = {label: options for label, options in ROUTER_EXAMPLES.items() if label not in SEES_FUTURE}
TOKEN_CHOICE = {
    label: options
    for label, options in ROUTER_EXAMPLES.items()
    if issubclass(ROUTERS[options["name"]], TokenChoiceRouter)
}


def router(
    options: dict[str, Any], seed: int = 0, d_model: int = D_MODEL, num_experts: int = NUM_EXPERTS
) -> Router:
    """A float64 router in evaluation mode, whose bias, if it has one, is not zero."""
    torch.manual_seed(seed)
    made = make_router(options, d_model=d_model, num_experts=num_experts, vocab_size=VOCAB_SIZE)
    return _with_bias(made.double().eval())


def layer(options: dict[str, Any], seed: int = 0, **changes: Any) -> MoELayer:
    """A float64 layer in evaluation mode; `options` are the router's."""
    torch.manual_seed(seed)
    settings = {"num_experts": NUM_EXPERTS, "d_ff": 7, "vocab_size": VOCAB_SIZE, "causal": False}
    made = MoELayer(D_MODEL, router=options, **settings | changes).double().eval()
    _with_bias(made.router)
    return made


def hidden_states(
    batch: int = 2, seq_len: int = 9, seed: int = 0, d_model: int = D_MODEL
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, seq_len, d_model, generator=generator, dtype=torch.float64)


def ids(batch: int = 2, seq_len: int = 9, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCAB_SIZE, (batch, seq_len), generator=generator)


def real(lengths: list[int], seq_len: int) -> torch.Tensor:
    """(batch, seq): True for real tokens, of sequences of these lengths."""
    return torch.arange(seq_len) < torch.tensor(lengths)[:, None]


def gates_by_pair(routing: Routing) -> dict[tuple[int, int], float]:
    """The gate of each (token, expert) that is assigned."""
    pairs = list(zip(routing.tokens.tolist(), routing.experts.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    return dict(zip(pairs, routing.gates.tolist(), strict=True))


def _with_bias(made: Router) -> Router:
    if "bias" in dict(made.named_buffers()):
        made.bias.copy_(torch.linspace(-0.3, 0.3, made.num_experts))
    return made
