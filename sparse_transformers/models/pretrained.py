"""A model as a folder: `config.json` says what it is, `model.safetensors` holds its weights."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


def save_folder(folder: str | Path, config: Mapping[str, Any], model: nn.Module) -> None:
    """Writes both files, each first under a temporary name, so that neither is ever incomplete.

    Raises:
        OSError: The folder cannot be made or written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    contents = {
        WEIGHTS_FILE: safetensors.torch.save(weights, metadata={"format": "pt"}),
        CONFIG_FILE: (json.dumps(config, indent=2) + "\n").encode(),
    }
    temporary = {name: folder / f".{name}.{os.getpid()}.tmp" for name in contents}
    try:
        # Both are complete before either is renamed: a full disk leaves the old files as they are.
        for name, content in contents.items():
            temporary[name].write_bytes(content)
        for name in contents:
            os.replace(temporary[name], folder / name)
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)


def read_config(folder: str | Path) -> dict[str, Any]:
    """Reads `config.json`.

    Raises:
        OSError: There is no such file.
        ValueError: It holds no JSON object.
    """
    path = Path(folder) / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(config).__name__}")
    return config


def load_weights(folder: str | Path, model: nn.Module) -> None:
    """Fills `model` with the saved tensors, bit for bit and in their saved precision.

    Raises:
        OSError: There is no such file.
        ValueError: It is damaged, or its tensors are not exactly those of the model.
    """
    path = Path(folder) / WEIGHTS_FILE
    try:
        saved = safetensors.torch.load(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error
    _check_same_tensors(path, saved, model.state_dict())
    model.load_state_dict(saved, assign=True)


def _check_same_tensors(
    path: Path, saved: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    reshaped = [
        f"{name} {tuple(saved[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in saved and saved[name].shape != tensor.shape
    ]
    problems = {
        "missing tensors": sorted(expected.keys() - saved.keys()),
        "unexpected tensors": sorted(saved.keys() - expected.keys()),
        "other shapes": reshaped,
    }
    found = [f"{problem}: {', '.join(names)}" for problem, names in problems.items() if names]
    if found:
        raise ValueError(f"{path} does not fit the model of its config; {'; '.join(found)}")
