"""How memory, and the time to find the tiles, grow with the number of positions, measured."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from tqdm.auto import tqdm

from sparse_transformers.efficiency.attention_implementations import OURS, AttentionWorkload
from sparse_transformers.efficiency.benchmark_report import Growth
from sparse_transformers.efficiency.memory import peak_extra_bytes
from sparse_transformers.efficiency.timing import quartiles, time_interleaved
from sparse_transformers.models.block_layout import build_layout
from sparse_transformers.models.pattern_base import AttentionPattern, Causal
from sparse_transformers.models.tiled.function import BLOCK_SIZE


def measure_memory_scaling(
    pattern: AttentionPattern,
    seq_lens: Sequence[int],
    n_heads: int = 1,
    head_dim: int = 64,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Growth:
    """Run causal `sparse_attention` forward and backward at each length and record the peak.

    The output, the gradients and all that is kept or made in between count; query, key, value and
    the gradient of the output are there before and do not.

    Args:
        pattern: composed with `Causal`.
        seq_lens: at least two different numbers of positions, for a slope.
        n_heads: heads of queries and of keys.
        head_dim: of queries, keys and values.
        seed: of the tensors.
        device: a CPU or a CUDA device.
        progress: show a bar.

    Raises:
        ValueError: fewer than two lengths, or one below 1.
    """
    if len(set(seq_lens)) < 2 or min(seq_lens) < 1:
        raise ValueError(
            f"seq_lens must hold at least two lengths of 1 or more, got {list(seq_lens)}"
        )

    peaks = []
    for seq_len in tqdm(seq_lens, desc="memory", disable=not progress):
        workload = AttentionWorkload.draw(
            pattern, seq_len, n_heads, head_dim, "forward_backward", seed=seed, device=device
        )
        peaks.append(peak_extra_bytes(workload.prepare(OURS), device))
    return Growth(
        subject="Memory of forward + backward beyond the inputs, "
        f"{n_heads} × {head_dim}, float32 on {device}",
        pattern=repr(pattern),
        columns={
            "positions": tuple(seq_lens),
            "peak MiB": tuple(peak / 2**20 for peak in peaks),
            "bytes per position": tuple(
                round(peak / n) for peak, n in zip(peaks, seq_lens, strict=True)
            ),
        },
        exponent=float(np.polyfit(np.log(seq_lens), np.log(peaks), 1)[0]),
    )


def benchmark_layout(
    pattern: AttentionPattern, seq_lens: Sequence[int], *, repeats: int = 5
) -> Growth:
    """Build the causal layout with the kernel's tile size for a CPU, without its cache.

    Raises:
        ValueError: no length, or one below 1.
    """
    if not seq_lens or min(seq_lens) < 1:
        raise ValueError(f"seq_lens must hold lengths of 1 or more, got {list(seq_lens)}")
    causal, block_size = pattern & Causal(), BLOCK_SIZE["cpu"]

    builds = {n: partial(build_layout, causal, n, n, block_size) for n in seq_lens}
    times = time_interleaved(builds, repeats)
    return Growth(
        subject=f"Building the layout in tiles of {block_size}, median of {repeats}",
        pattern=repr(pattern),
        columns={
            "positions": tuple(seq_lens),
            "tiles": tuple(causal.layout(n, block_size=block_size).n_tiles for n in seq_lens),
            "ms": tuple(quartiles(times[n])[1] for n in seq_lens),
        },
    )
