"""Tensors that are given on the CPU stay there, whatever the default device is."""

from types import SimpleNamespace

import pytest
import torch

import sparse_transformers as st
from sparse_transformers.efficiency.attention_implementations import AttentionWorkload
from sparse_transformers.efficiency.expert_benchmark import ExpertWorkload
from sparse_transformers.training.classification import ClassificationTask
from sparse_transformers.training.padding import pad_tokens
from sparse_transformers.training.task import Batch
from sparse_transformers.utils.datasets.evidence_documents import make_documents

IDS = torch.arange(24).reshape(2, 12)


@pytest.fixture(autouse=True)
def _another_default_device():
    torch.set_default_device("meta")  # a tensor that goes there by mistake has no numbers
    yield
    torch.set_default_device(None)


def make_model(**options):
    small = {"d_model": 16, "n_heads": 2, "n_layers": 1}
    return st.SparseTransformer(st.SparseTransformerConfig(**small, **options))


def train(model, task):
    config = st.TrainingConfig(steps=2, batch_size=4, device="cpu", progress=False)
    return st.Trainer(model, task, config).train()


@pytest.mark.parametrize("router", [None, "switch", "noisy_top_k", "aux_free", "hash"])
def test_training_on_bytes(router):
    experts = None if router is None else {"router": router, "num_experts": 4}
    task = st.NextByteTask(st.ByteCorpus(bytes(range(256)) * 4), seq_len=8)
    assert train(make_model(experts=experts), task).final.loss_bits > 0


def test_training_on_labelled_rows():
    class Head(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.words = torch.nn.Embedding(9, 2, device="cpu")

        def forward(self, ids, attention_mask=None):
            return SimpleNamespace(logits=self.words(ids).mean(1))

    ids, mask = pad_tokens([[1, 2], [3], [4, 5, 6], [7, 8]] * 3, max_tokens=3)
    targets = torch.arange(12, device="cpu") % 2
    rows = Batch(ids, targets, mask)
    task = ClassificationTask(rows, rows, class_weights=(1, 2), steps_per_pool=2)
    assert train(Head(), task).final.loss_bits > 0


@pytest.mark.parametrize("pattern", [st.Causal(), st.PerHead([st.Causal(), st.LocalWindow(3)])])
def test_selected_attention(pattern):
    model = make_model(attention=pattern, selector={"name": "top_k", "top_k": 3})
    assert model(IDS).isfinite().all()
    assert model.generate(IDS, 3, seed=0).shape == (2, 15)


def test_answers_are_scored():
    scores = st.answer_log_probabilities(make_model(), ["Who?", "Why?"], ["I", "So it is"])
    assert (scores < 0).all()


def test_the_leak_probe_replaces_tokens():
    assert not st.find_future_leak(make_model(), IDS, n_probes=5).leaks
    assert st.find_future_leak(lambda ids: ids.flip(1)[..., None].float(), IDS, n_probes=5).leaks


@pytest.mark.parametrize("placement", ["uniform", "near"])
def test_documents_are_drawn_on_the_device_of_their_generator(placement):
    generator = torch.Generator(device="cpu").manual_seed(0)
    options = {"n_facts": 4, "n_claims": 2, "generator": generator, "placement": placement}
    assert make_documents(3, 200, **options).input_ids.device.type == "cpu"


def test_workloads_of_benchmarks_are_made():
    attention = AttentionWorkload.draw(st.Causal(), 8, 1, 4, "forward")
    assert attention.query.device.type == "cpu"
    shape = {"gated": True, "num_experts": 2, "top_k": 1, "batch": 1, "seq_len": 4}
    experts = ExpertWorkload.draw(4, 8, **shape, direction="forward")
    assert experts.hidden.device.type == "cpu"
