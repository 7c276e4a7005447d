"""`train`: train a language model on the bytes of a file."""

import argparse
from typing import Any

from sparse_transformers.commands.command import Command, FieldArguments, given_fields
from sparse_transformers.commands.pattern_arguments import add_pattern_arguments, attention_of
from sparse_transformers.models.attention_ops import BACKENDS
from sparse_transformers.models.embeddings import POSITIONS
from sparse_transformers.models.experts.routers import ROUTERS
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.data import ByteCorpus, default_text, text_to_bytes
from sparse_transformers.training.next_byte import NextByteTask
from sparse_transformers.training.trainer import Trainer
from sparse_transformers.utils.runtime import PRECISIONS


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `train`; those of model and training have the defaults of their fields."""
    parser.set_defaults(run=run_train)
    run = parser.add_argument_group("run")
    run.add_argument(
        "--text", metavar="FILE", help="any file, read as bytes (default: Python's help topics)"
    )
    run.add_argument(
        "--output",
        metavar="DIR",
        default="runs/bytes",
        help="folder for checkpoints, metrics and plot (default: %(default)s)",
    )
    run.add_argument(
        "--resume", action="store_true", help="continue from the last checkpoint in the folder"
    )
    run.add_argument("--quiet", action="store_true", help="show no progress bar")
    run.add_argument(
        "--seq-len", type=int, default=512, metavar="INT", help="bytes per row (default: 512)"
    )
    run.add_argument(
        "--valid-windows",
        type=int,
        default=64,
        metavar="INT",
        help="rows to validate on, at most (default: 64)",
    )

    model = FieldArguments(parser.add_argument_group("model"), SparseTransformerConfig())
    model.add("--d-model", int, "width of the model")
    model.add("--n-layers", int, "number of blocks")
    model.add("--n-heads", int, "heads per block")
    model.add("--n-kv-heads", int, "heads of keys and values, shared by groups of query heads")
    model.add("--d-ff", int, "width inside the feed-forward part; four times d-model if not given")
    model.add("--positions", str, "how positions are encoded", choices=POSITIONS)
    model.add("--dropout", float, "share of activations dropped in training")
    model.add("--backend", str, "how attention is computed", choices=BACKENDS)
    model.group.add_argument(
        "--num-experts",
        type=int,
        metavar="INT",
        help="experts in every layer, in place of its feed-forward part (default: none)",
    )
    model.group.add_argument(
        "--router",
        choices=ROUTERS,
        help="which experts get which tokens (default: top_k, if there are experts)",
    )

    training = FieldArguments(parser.add_argument_group("training"), TrainingConfig())
    training.add("--steps", int, "optimiser steps")
    training.add("--batch-size", int, "rows per step")
    training.add("--grad-accum", int, "equal parts of a step", field="grad_accumulation")
    training.add("--lr", float, "largest learning rate", field="learning_rate")
    training.add("--warmup-fraction", float, "share of the run in which the rate rises")
    training.add("--final-lr-fraction", float, "share of the rate that the cosine falls to")
    training.add("--weight-decay", float, "on matrices only")
    training.add("--clip-norm", float, "largest norm of the gradient")
    training.add("--precision", str, "of matrix products", choices=PRECISIONS)
    training.add("--time-limit", float, "seconds of training at most", field="time_limit_s")
    training.add("--log-every", int, "steps between rows of training metrics")
    training.add("--eval-every", int, "steps between validations")
    training.add("--save-every", int, "steps between checkpoints")
    training.add("--seed", int, "of weights, batches and dropout")
    training.add("--device", str, "auto, cpu, cuda, cuda:N or mps")
    training.group.add_argument(
        "--gradient-checkpointing", action="store_true", help="less memory for more time"
    )

    add_pattern_arguments(parser)


def run_train(arguments: argparse.Namespace) -> None:
    """Train a byte model, and print its speed, its validation loss and its folder."""
    if arguments.text is None:
        corpus = ByteCorpus(text_to_bytes(default_text()), name="the default text")
    else:
        corpus = ByteCorpus.from_file(arguments.text)
    task = NextByteTask(corpus, arguments.seq_len, max_valid_windows=arguments.valid_windows)
    model_config = SparseTransformerConfig(
        max_seq_len=arguments.seq_len,
        **attention_of(arguments),
        **_experts_of(arguments),
        **given_fields(arguments, SparseTransformerConfig),
    )
    config = TrainingConfig(progress=not arguments.quiet, **given_fields(arguments, TrainingConfig))
    model = SparseTransformer(model_config, seed=arguments.seed)
    trainer = Trainer(model, task, config, arguments.output)
    print(
        f"{_parameters(model)}, {len(corpus.train):,} bytes to train on, "
        f"{trainer.device} in {trainer.dtype}".replace("torch.", "")
    )
    result = trainer.train(resume=arguments.resume)
    print(
        f"{result.steps:,} steps, {result.train_seconds:.1f} s of training, "
        f"{result.tokens_per_second:,.0f} bytes/s\n"
        f"validation: {result.final.loss_bits:.3f} bits per byte, "
        f"best {result.best.loss_bits:.3f} after step {result.best_step:,}\n"
        f"written to {result.output_dir}"
    )


def _experts_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The field `experts` of the model's configuration, if the arguments ask for experts."""
    if arguments.num_experts is None:
        if arguments.router is not None:
            raise ValueError(f"--router {arguments.router} needs --num-experts")
        return {}
    router = arguments.router or "top_k"
    return {"experts": {"num_experts": arguments.num_experts, "router": router}}


def _parameters(model: SparseTransformer) -> str:
    total, active = model.num_parameters(), model.num_active_parameters()
    share = "" if active == total else f" ({active:,} of them active per byte)"
    return f"{total:,} parameters{share}"


TRAIN = Command("train", "train a language model on the bytes of a file", add_train_arguments)
