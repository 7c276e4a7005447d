"""Nothing on the sparse path has a tensor for all pairs: every tensor of a run is measured."""

import pytest
import torch
from attention_problems import Problem, stored
from torch.nn.attention.flex_attention import create_block_mask
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sparse_transformers.models.attention_patterns import (
    BigBird,
    BlockSparse,
    Causal,
    DilatedWindow,
    Fixed,
    LocalWindow,
    Longformer,
    Strided,
)

SEQ_LEN = 2048
QUARTER_OF_ALL_PAIRS = SEQ_LEN**2 // 4

# Options that no other test uses: a layout that is already in the cache would not be measured.
LOCAL = LocalWindow(251) & Causal()
PATTERNS_BY_NAME = {
    "local": LOCAL,
    "local, both sides": LocalWindow(151),
    "longformer": Longformer(153, global_positions=(0, 999)),
    "causal longformer": Longformer(154) & Causal(),
    "dilated": DilatedWindow(61, dilation=7) & Causal(),
    "dilated, dividing the length": DilatedWindow(62, dilation=8) & Causal(),
    "strided": Strided(47) & Causal(),
    "strided column": Strided(64, part="column") & Causal(),
    "fixed, local": Fixed(127, part="local") & Causal(),
    "block": BlockSparse(64, 0.9, seed=77),
    "bigbird": BigBird(63, seed=77),
}


class LargestTensor(TorchDispatchMode):
    """Measures the largest tensor that any operation returns.

    The size is that of the storage, in elements: a view of overlapping rows takes no memory.
    """

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            if isinstance(x, torch.Tensor):
                self.elements = max(self.elements, x.untyped_storage().nbytes() // x.itemsize)
        return result


def largest_tensors(pattern, backend, *, seq_len=SEQ_LEN, value_dim=16, through_lse=False):
    """Elements of the largest tensor of a forward pass, and of the backward pass."""
    problem = Problem(pattern, seq_len, seq_len, kv_heads=1, dim=16, value_dim=value_dim)
    tensors = [x.requires_grad_() for x in problem.tensors(torch.float32)]
    with LargestTensor() as in_forward:
        output, lse = problem.attend(backend)(*tensors)
    outputs = [output, lse] if through_lse else [output]
    weights = [torch.ones_like(x) for x in outputs]
    with LargestTensor() as in_backward:  # on a CPU it runs in this thread, where the mode sees it
        torch.autograd.grad(outputs, tensors, weights)
    return in_forward.elements, in_backward.elements


@pytest.mark.parametrize("options", [{}, {"value_dim": 8}, {"through_lse": True}], ids=str)
@pytest.mark.parametrize("pattern", PATTERNS_BY_NAME.values(), ids=PATTERNS_BY_NAME)
def test_tiled_attention_makes_no_tensor_for_all_pairs(pattern, options):
    in_forward, in_backward = largest_tensors(pattern, "tiled", **options)

    assert SEQ_LEN * 16 <= in_forward < QUARTER_OF_ALL_PAIRS
    assert SEQ_LEN * 16 <= in_backward < QUARTER_OF_ALL_PAIRS


@pytest.mark.parametrize("value_dim", [16, 8])
def test_long_window_makes_no_tensor_of_one_percent_of_all_pairs(value_dim):
    n = 8 * SEQ_LEN
    assert max(largest_tensors(LOCAL, "tiled", seq_len=n, value_dim=value_dim)) < n**2 / 100


def test_reference_is_seen_to_make_all_pairs_in_both_directions():
    in_forward, in_backward = largest_tensors(LOCAL, "reference")

    assert in_forward >= SEQ_LEN**2
    assert in_backward >= SEQ_LEN**2


def test_measure_sees_what_a_function_of_ones_own_makes_in_its_backward_pass():
    class Wasteful(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad + torch.zeros(300, 300).sum()

    x = stored((1, 1, 3, 3), "heads first", 0).requires_grad_()
    with LargestTensor() as in_forward:
        y = Wasteful.apply(x).sum()
    with LargestTensor() as in_backward:
        y.backward()

    assert in_forward.elements == 9
    assert in_backward.elements == 300**2


def test_layout_of_a_long_window_is_built_from_small_tensors():
    n, window_size = 200_000, 253
    with LargestTensor() as measured:
        layout = (LocalWindow(window_size) & Causal()).layout(n)

    assert measured.elements < 4 * n
    assert layout.n_tiles < 9 * n / 32 + 1
    with LargestTensor() as measured:
        LocalWindow(window_size).mask(500)
    assert measured.elements >= 500**2


def test_block_mask_is_built_without_looking_at_all_pairs():
    n = 8 * SEQ_LEN
    with LargestTensor() as measured:
        (LocalWindow(252) & Causal()).layout(n, block_size=128).to_block_mask()
    assert measured.elements < n**2 / 100

    def window(batch, head, query, key):
        return abs(query - key) < 252

    with LargestTensor() as measured:
        create_block_mask(window, None, None, SEQ_LEN, SEQ_LEN, device="cpu")
    assert measured.elements >= SEQ_LEN**2
