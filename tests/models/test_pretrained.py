import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from model_examples import EXAMPLE_ATTENTION, config, ids, model

from sparse_transformers.models.sparse_transformer import SparseTransformer


@pytest.fixture
def saved(tmp_path):
    SparseTransformer(config()).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_embeddings": False},
        {"num_classes": 3, "causal": False},
        {"positions": "learned"},
        {"attention": EXAMPLE_ATTENTION["mixed heads"]},
        {"attention": EXAMPLE_ATTENTION["sinks and window"]},
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_saved_model_comes_back_bit_for_bit(tmp_path, changes, dtype):
    original = model(seed=7, **changes).to(dtype)
    original.save_pretrained(tmp_path / "new" / "folder")
    loaded = SparseTransformer.from_pretrained(tmp_path / "new" / "folder")
    assert loaded.config == original.config
    assert not loaded.training
    for name, tensor in original.state_dict().items():
        assert loaded.state_dict()[name].dtype == dtype
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    if dtype == torch.float64 and "num_classes" not in changes:
        assert torch.equal(loaded(ids()), original(ids()))


def test_tied_embeddings_are_saved_once_and_stay_tied(saved):
    names = safetensors.torch.load_file(saved / "model.safetensors").keys()
    assert [name for name in names if "embedding" in name or "head" in name] == [
        "embedding.token.weight"
    ]
    loaded = SparseTransformer.from_pretrained(saved)
    prompt = torch.zeros(1, 5, dtype=torch.long)
    before = loaded(prompt)
    with torch.no_grad():
        loaded.embedding.token.weight[30] *= 2
    torch.testing.assert_close(loaded(prompt)[..., 30], 2 * before[..., 30])
    assert torch.equal(loaded(prompt)[..., :30], before[..., :30])


def test_saving_again_replaces_the_model(saved):
    SparseTransformer(config(n_layers=1), seed=1).save_pretrained(saved)
    assert SparseTransformer.from_pretrained(saved).config.n_layers == 1
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors"]


def test_a_failed_write_leaves_the_old_model(saved, monkeypatch):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    write = Path.write_bytes

    def full_disk(path, content):
        write(path, content[:10])
        if "config" in path.name:
            raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="no space"):
        SparseTransformer(config(n_layers=1)).save_pretrained(saved)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        SparseTransformer(config()).save_pretrained(tmp_path / "file")


def test_missing_unexpected_and_reshaped_tensors_are_named(saved):
    path = saved / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors["blocks.7.attention.q_proj.weight"] = tensors.pop("blocks.1.attention.q_proj.weight")
    tensors["final_norm.weight"] = torch.ones(5)
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(ValueError) as caught:
        SparseTransformer.from_pretrained(saved)
    message = str(caught.value)
    assert "missing tensors: blocks.1.attention.q_proj.weight;" in message
    assert "unexpected tensors: blocks.7.attention.q_proj.weight;" in message
    assert "other shapes: final_norm.weight (5,) instead of (16,)" in message
    assert str(path) in message


def test_weights_of_another_configuration_are_refused(saved):
    values = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(values | {"n_layers": 3}))
    with pytest.raises(ValueError, match=r"missing tensors: blocks\.2"):
        SparseTransformer.from_pretrained(saved)


@pytest.mark.parametrize("keep", [0, 4, 200, -1])
def test_damaged_weights_are_refused(saved, keep):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        SparseTransformer.from_pretrained(saved)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"d_model": 16', "config.json is not valid JSON"),
        ("[1]", "config.json must hold a JSON object, got list"),
        ('{"depth": 3}', "unknown configuration entries depth"),
        ('{"n_layers": -1}', "n_layers must be a whole number"),
    ],
)
def test_bad_configurations_are_refused(saved, text, message):
    (saved / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        SparseTransformer.from_pretrained(saved)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_files_are_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(OSError, match=name):
        SparseTransformer.from_pretrained(saved)
