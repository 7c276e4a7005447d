"""`generate`: continue a text with a model that `train` has written."""

import argparse
from pathlib import Path

import torch

from sparse_transformers.commands.command import Command
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.utils.runtime import resolve_device
from sparse_transformers.utils.texts import utf8


def add_generate_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, which prompt, and how the next bytes are chosen."""
    parser.set_defaults(run=run_generate)
    add = parser.add_argument
    add("--checkpoint", metavar="DIR", required=True, help="folder of `train`, or of a saved model")
    add("--prompt", metavar="TEXT", default="\n", help="what to continue (default: a new line)")
    add("--tokens", type=int, default=200, metavar="N", help="bytes to add (default: %(default)s)")
    add("--temperature", type=float, default=1.0, help="below 1 is likelier (default: %(default)s)")
    add("--top-k", type=int, metavar="N", help="draw from the N likeliest bytes (default: all)")
    add("--top-p", type=float, metavar="P", help="draw from the likeliest share P (default: all)")
    add("--greedy", action="store_true", help="take the likeliest byte each time")
    add("--seed", type=int, default=0, help="of the draws (default: %(default)s)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")


def run_generate(arguments: argparse.Namespace) -> None:
    """Print the prompt and its continuation."""
    model = SparseTransformer.from_pretrained(_model_folder(Path(arguments.checkpoint)))
    if model.config.vocab_size != 256:
        raise ValueError(
            f"generate reads and writes bytes; the model has {model.config.vocab_size} tokens"
        )
    prompt = utf8(arguments.prompt, "--prompt")
    if not prompt:
        raise ValueError("--prompt must hold at least one byte, got none")
    device = resolve_device(arguments.device)
    text = model.to(device).generate(
        torch.tensor([list(prompt)], device=device),
        arguments.tokens,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        greedy=arguments.greedy,
        seed=arguments.seed,
    )
    print(bytes(text[0].tolist()).decode(errors="replace"))


def _model_folder(folder: Path) -> Path:
    """The model itself, or the best one of a training run."""
    return folder if (folder / "config.json").exists() else folder / "best"


GENERATE = Command("generate", "continue a text with a trained model", add_generate_arguments)
