"""Small models for the tests of the model, with every kind of attention."""

from typing import Any

import torch

from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig

VOCAB_SIZE = 31

# One example for each name in PATTERNS, then what else attention may be. Windows and blocks
# are far shorter than the test sequences.
EXAMPLE_ATTENTION: dict[str, Any] = {
    "dense": "dense",
    "causal": "causal",
    "local": {"name": "local", "window_size": 5},
    "dilated": {"name": "dilated", "window_size": 3, "dilation": 2},
    "strided": {"name": "strided", "stride": 4},
    "fixed": {"name": "fixed", "block_size": 4},
    "block": {"name": "block", "block_size": 4, "sparsity": 0.5},
    "random": {"name": "random", "sparsity": 0.6},
    "global": {"name": "global", "positions": [0, 6]},
    "sinks": {"name": "sinks", "count": 2},
    "longformer": {"name": "longformer", "window_size": 4, "global_positions": [0, 9]},
    "bigbird": {"name": "bigbird", "block_size": 4},
    "window of one": {"name": "local", "window_size": 1},
    "sinks and window": {
        "any_of": [{"name": "sinks", "count": 2}, {"name": "local", "window_size": 4}]
    },
    "windows per head": [{"name": "local", "window_size": w} for w in (1, 3, 5, 8)],
    "mixed heads": [
        "dense",
        "causal",
        {"name": "local", "window_size": 3},
        {"name": "strided", "stride": 4},
    ],
}


def config(**changes) -> SparseTransformerConfig:
    settings = {
        "vocab_size": VOCAB_SIZE,
        "d_model": 16,
        "n_heads": 4,
        "n_kv_heads": 2,
        "n_layers": 2,
        "d_ff": 24,
        "attention": {"name": "local", "window_size": 5},
    }
    if "attention" in changes and not isinstance(changes["attention"], str):
        # A list would mean one entry for each layer.
        changes["attention"] = [changes["attention"]] * changes.get("n_layers", 2)
    return SparseTransformerConfig(**settings | changes)


def model(seed: int = 0, **changes) -> SparseTransformer:
    """A float64 model in evaluation mode with weights large enough for attention to be uneven."""
    made = SparseTransformer(config(**changes), seed=seed).double().eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "blocks" in name and parameter.ndim == 2:
                parameter *= 15
    return made


def ids(batch: int = 2, seq_len: int = 21, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCAB_SIZE, (batch, seq_len), generator=generator)
