"""`train-claims`: train a classifier of claims, evaluate it on held-out rows, and save it."""

import argparse
from dataclasses import replace

import pandas as pd

from sparse_transformers.claims.classifier import ClaimClassifier
from sparse_transformers.claims.config import ClaimClassifierConfig
from sparse_transformers.claims.corpora import (
    HISTORY,
    METADATA,
    TEXT,
    ClaimCorpus,
    make_corpus,
)
from sparse_transformers.claims.presets import ClaimPresets
from sparse_transformers.claims.tables import load_tables
from sparse_transformers.commands.command import Command
from sparse_transformers.utils.dataset_synthesis import generate_liar_sample
from sparse_transformers.utils.metrics.significance import share_interval
from sparse_transformers.utils.runtime import make_writable_folder

TRUTHFUL, NOT_TRUTHFUL = "truthful", "not truthful"


def add_train_claims_arguments(parser: argparse.ArgumentParser) -> None:
    """Which claims to use, which of their fields, and where to write the classifier."""
    parser.set_defaults(run=run_train_claims)
    claims = parser.add_mutually_exclusive_group(required=True)
    claims.add_argument("--liar", metavar="DIR", help="the folder of LIAR: train.tsv, valid.tsv")
    claims.add_argument("--judged", metavar="FILE", help="judged answers, as lines of JSON")
    claims.add_argument("--synthetic", metavar="N", type=int, help="N synthetic claims")
    parser.add_argument(
        "--binary",
        action="store_true",
        help="two classes, truthful or not, instead of all verdicts",
    )
    parser.add_argument(
        "--metadata", action="store_true", help="use speaker, party, subject ... beside the text"
    )
    parser.add_argument(
        "--history",
        action="store_true",
        help="use LIAR's credit history too; it leaks, as it counts the verdicts to be predicted",
    )
    parser.add_argument(
        "--folds",
        type=int,
        metavar="N",
        help="folds, and members of each kind (default: 8, or 3 for synthetic claims)",
    )
    parser.add_argument(
        "--experts",
        type=int,
        metavar="N",
        help="experts in the transformers' feed-forward part, 2 active per token (default: none)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of all random numbers (default: %(default)s)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--output",
        metavar="DIR",
        default="runs/claims",
        help="folder for the classifier (default: %(default)s)",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing while training")


def run_train_claims(arguments: argparse.Namespace) -> None:
    """Train on the training rows, print the accuracy on the held-out rows, and save."""
    name, table = _table(arguments)
    corpus = make_corpus(name, table)
    parts = _parts(arguments, corpus)
    config = replace(
        _config(arguments, corpus),
        fields=corpus.fields_of(*parts),
        mark_repeats=corpus.mark_repeats,
        seed=arguments.seed,
    )
    make_writable_folder(arguments.output)  # before the work, not after
    classes, merge = _classes(arguments, corpus)
    classifier = ClaimClassifier(config)
    classifier.fit(
        corpus.train.to_dict("records"),
        [merge[label] for label in corpus.train_labels],
        classes=classes,
        groups=corpus.train_groups,
        device=arguments.device,
        say=(lambda step: None) if arguments.quiet else lambda step: print(step, flush=True),
        progress=not arguments.quiet,
    )
    predicted = classifier.predict(corpus.valid.to_dict("records"))
    truth = [merge[label] for label in corpus.valid_labels]
    train_labels = [merge[label] for label in corpus.train_labels]
    majority = max(classes, key=train_labels.count)
    accuracy = share_interval(
        [one == other for one, other in zip(truth, predicted, strict=True)],
        groups=corpus.valid_groups,
    )
    classifier.save(arguments.output)
    leak = (
        " (LEAKS: the credit history counts the verdicts to be predicted)"
        if HISTORY in parts
        else ""
    )
    print(
        f"{len(truth):,} held-out rows, grouped by {corpus.group}: accuracy {accuracy}{leak}\n"
        f"always {majority!r}: {truth.count(majority) / len(truth):.3f}\n"
        f"written to {arguments.output}; its fields are {', '.join(config.fields)}"
    )


def _table(arguments: argparse.Namespace) -> tuple[str, pd.DataFrame]:
    if arguments.synthetic is not None:
        return "synthetic claims", generate_liar_sample(
            arguments.synthetic, seed=arguments.seed, leaky_history=arguments.history
        )
    tables = load_tables(liar=arguments.liar, judged=arguments.judged, seed=arguments.seed)
    [(name, table)] = tables.items()
    return name, table


def _parts(arguments: argparse.Namespace, corpus: ClaimCorpus) -> list[str]:
    """The parts of a row that are used."""
    parts = [TEXT, *[METADATA] * arguments.metadata, *[HISTORY] * arguments.history]
    missing = [part for part in parts if part not in corpus.fields]
    if missing:
        raise ValueError(
            f"{corpus.name} must have {' and '.join(missing)}, which the options ask for, has none"
        )
    return parts


def _config(arguments: argparse.Namespace, corpus: ClaimCorpus) -> ClaimClassifierConfig:
    invented = arguments.synthetic is not None
    config = ClaimPresets().config_for(corpus, invented=invented)
    if arguments.folds is not None:
        config = replace(config, folds=arguments.folds)
    if arguments.experts is not None and config.transformer is not None:
        config = replace(config, transformer=config.transformer.with_experts(arguments.experts))
    return config


def _classes(
    arguments: argparse.Namespace, corpus: ClaimCorpus
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The classes to predict, and the class of each label."""
    if not arguments.binary:
        return corpus.classes, {label: label for label in corpus.classes}
    merge = {
        label: TRUTHFUL if label in corpus.truthful else NOT_TRUTHFUL for label in corpus.classes
    }
    return (NOT_TRUTHFUL, TRUTHFUL), merge


TRAIN_CLAIMS = Command("train-claims", "train a classifier of claims", add_train_claims_arguments)
