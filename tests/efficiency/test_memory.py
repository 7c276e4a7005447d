"""The peak of extra memory, against allocations whose size is known."""

import os

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from sparse_transformers.efficiency.memory import peak_extra_bytes

MIB = 1 << 20


def zeros(mebibytes):
    return torch.empty(mebibytes * MIB, dtype=torch.uint8)


def test_a_single_buffer_counts_exactly():
    assert peak_extra_bytes(lambda: zeros(3)) == 3 * MIB
    assert peak_extra_bytes(lambda: None) == 0


def test_the_peak_is_what_is_held_at_a_time_not_the_sum():
    def one_after_the_other():
        for _ in range(5):
            zeros(2)

    def two_at_a_time():
        first = zeros(2)
        second = zeros(3)
        del first, second
        return zeros(1)

    assert peak_extra_bytes(one_after_the_other) == 2 * MIB
    assert peak_extra_bytes(two_at_a_time) == 5 * MIB


def test_memory_held_before_does_not_count():
    held = zeros(4)

    assert peak_extra_bytes(lambda: held.fill_(1)) == 0
    assert peak_extra_bytes(lambda: held + zeros(4)) == 8 * MIB


def test_buffers_inside_an_operation_count():
    # A sort returns values (4 bytes) and indices (8 bytes), and works on a copy of the values.
    x = torch.randn(MIB)
    assert peak_extra_bytes(lambda: x.sort()) > 12 * MIB
    # log-sum-exp returns one number and holds a whole array of exponentials on the way.
    assert peak_extra_bytes(lambda: x.logsumexp(0)) >= 4 * MIB


def test_the_backward_pass_counts():
    x = torch.zeros(MIB, requires_grad=True)

    def forward_and_backward():
        hidden = x.exp()  # 4 MiB, kept for the backward pass
        return torch.autograd.grad(hidden.sum(), x)  # 4 MiB for the gradient

    # The gradient of the sum is a view of one number.
    assert peak_extra_bytes(forward_and_backward) == pytest.approx(8 * MIB, abs=1024)


def test_flash_attention_takes_less_than_the_scores_that_a_mask_needs():
    x = torch.randn(1, 2, 1024, 16)
    mask = torch.ones(1024, 1024, dtype=torch.bool)
    scores = 2 * 1024 * 1024 * 4

    assert peak_extra_bytes(lambda: scaled_dot_product_attention(x, x, x)) < scores / 4
    assert peak_extra_bytes(lambda: (x @ x.mT).softmax(-1) @ x) >= 2 * scores
    with_mask = peak_extra_bytes(lambda: scaled_dot_product_attention(x, x, x, attn_mask=mask))
    assert with_mask >= 1024 * 1024 * 4  # it turns the mask into numbers


def test_the_profiler_is_quiet_and_the_environment_restored(monkeypatch, capfd):
    monkeypatch.delenv("KINETO_LOG_LEVEL", raising=False)
    peak_extra_bytes(lambda: zeros(1))
    assert "KINETO_LOG_LEVEL" not in os.environ
    assert capfd.readouterr().err == ""

    monkeypatch.setenv("KINETO_LOG_LEVEL", "50")
    peak_extra_bytes(lambda: zeros(1))
    assert os.environ["KINETO_LOG_LEVEL"] == "50"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_peak_counts_buffers_on_the_device():
    held = torch.empty(MIB, dtype=torch.uint8, device="cuda")

    def two_buffers():
        return [torch.empty(2 * MIB, dtype=torch.uint8, device="cuda") for _ in range(2)]

    assert peak_extra_bytes(two_buffers, "cuda") == 4 * MIB
    del held


def test_other_devices_are_refused():
    with pytest.raises(ValueError, match="cpu or cuda device, got meta"):
        peak_extra_bytes(lambda: None, "meta")
