"""How the memory of sparse attention grows with the length, measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm.auto import tqdm

from sparse_transformers.efficiency.attention_arms import ARMS, OURS, Workload
from sparse_transformers.efficiency.memory import peak_extra_bytes
from sparse_transformers.models.pattern_base import AttentionPattern


@dataclass(frozen=True)
class MemoryScaling:
    """Peak memory of causal attention, forward and backward, on top of its inputs.

    Attributes:
        slope: exponent of the growth, fitted to the logarithms: 1 is linear, 2 quadratic.
    """

    pattern: str
    seq_lens: tuple[int, ...]
    peak_bytes: tuple[int, ...]
    slope: float
    n_heads: int
    head_dim: int
    device: str

    def __str__(self) -> str:
        lines = [
            f"memory of forward + backward beyond the inputs, causal {self.pattern}, "
            f"1 x {self.n_heads} heads x {self.head_dim}, float32 on {self.device}",
            f"{'positions':>10}  {'peak MiB':>9}  {'bytes per position':>18}",
        ]
        for seq_len, peak in zip(self.seq_lens, self.peak_bytes, strict=True):
            lines.append(f"{seq_len:>10,}  {peak / 2**20:>9.1f}  {peak / seq_len:>18,.0f}")
        lines.append(f"grows as positions^{self.slope:.2f}")
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """The table for a document."""
        lines = [
            f"Memory of forward + backward beyond the inputs, causal `{self.pattern}`, "
            f"{self.n_heads} × {self.head_dim}, float32; it grows as positions^{self.slope:.2f}:",
            "",
            "| positions | peak MiB | bytes per position |",
            "|--:|--:|--:|",
        ]
        for seq_len, peak in zip(self.seq_lens, self.peak_bytes, strict=True):
            lines.append(f"| {seq_len:,} | {peak / 2**20:,.1f} | {peak / seq_len:,.0f} |")
        return "\n".join(lines)


def measure_memory_scaling(
    pattern: AttentionPattern,
    seq_lens: Sequence[int],
    n_heads: int = 1,
    head_dim: int = 64,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> MemoryScaling:
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
    device = torch.device(device)

    def peak(seq_len: int) -> int:
        workload = Workload.draw(
            seq_len, n_heads, head_dim, "forward_backward", seed=seed, device=device
        )
        attend = ARMS[OURS].build(pattern, seq_len, device)
        return peak_extra_bytes(lambda: workload.run(attend), device)

    lengths = tqdm(seq_lens, desc="memory", disable=not progress)
    peaks = [peak(seq_len) for seq_len in lengths]
    return MemoryScaling(
        pattern=repr(pattern),
        seq_lens=tuple(seq_lens),
        peak_bytes=tuple(peaks),
        slope=float(np.polyfit(np.log(seq_lens), np.log(peaks), 1)[0]),
        n_heads=n_heads,
        head_dim=head_dim,
        device=str(device),
    )
