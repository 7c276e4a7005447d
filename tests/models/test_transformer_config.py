import dataclasses
import json
import subprocess
import sys

import pytest
from model_examples import EXAMPLE_ATTENTION, config

from sparse_transformers.models.attention_patterns import (
    AttentionSinks,
    Dense,
    LocalWindow,
    PerHead,
    Strided,
)
from sparse_transformers.models.transformer_config import SparseTransformerConfig


@pytest.mark.parametrize("attention", EXAMPLE_ATTENTION.values(), ids=EXAMPLE_ATTENTION.keys())
def test_configuration_survives_json(attention):
    original = config(attention=attention, num_classes=4, positions="learned")
    read = SparseTransformerConfig.from_dict(json.loads(json.dumps(original.to_dict())))
    assert read == original
    assert read.layer_patterns() == original.layer_patterns()


def test_one_name_stands_for_every_layer():
    made = SparseTransformerConfig(attention_options={"window_size": 9})
    assert made.layer_patterns() == (LocalWindow(9),) * 4


def test_a_bare_local_window_has_a_default():
    assert SparseTransformerConfig().layer_patterns() == (LocalWindow(256),) * 4


def test_options_go_to_the_bare_names_that_have_them():
    made = SparseTransformerConfig(
        n_layers=4,
        attention=["local", "dense", "strided", {"name": "local", "window_size": 3}],
        attention_options={"window_size": 9, "stride": 5},
    )
    assert made.layer_patterns() == (LocalWindow(9), Dense(), Strided(5), LocalWindow(3))


def test_a_layer_may_have_one_pattern_for_each_head_and_unions():
    made = SparseTransformerConfig(
        n_layers=1,
        n_heads=2,
        attention=[["dense", {"any_of": ["local", {"name": "sinks", "count": 2}]}]],
        attention_options={"window_size": 9},
    )
    assert made.layer_patterns() == (PerHead((Dense(), LocalWindow(9) | AttentionSinks(2))),)


def test_a_configuration_keeps_its_values_when_the_callers_change():
    options = {"window_size": 9}
    made = SparseTransformerConfig(attention_options=options)
    options["window_size"] = 1
    assert made.attention_options == {"window_size": 9}


@pytest.mark.parametrize(("fraction", "dims"), [(1.0, 20), (0.7, 14), (0.1, 2), (0.3, 6)])
def test_rotary_positions_turn_a_share_of_each_head(fraction, dims):
    made = SparseTransformerConfig(d_model=80, n_heads=4, rotary_fraction=fraction)
    assert made.rotary_dims == dims
    assert dataclasses.replace(made, positions="none").rotary_dims == 0


def test_unknown_entries_are_named():
    with pytest.raises(ValueError, match=r"entries windows; known are vocab_size, d_model"):
        SparseTransformerConfig.from_dict({"windows": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_model": 18}, r"d_model must be a multiple of n_heads \(4\), got 18"),
        ({"n_kv_heads": 3}, r"n_heads must be a multiple of n_kv_heads \(3\), got 4"),
        ({"n_kv_heads": 0}, "n_kv_heads must be a whole number of at least 1, got 0"),
        ({"n_heads": 0}, "n_heads must be a whole number of at least 1, got 0"),
        ({"n_layers": 0}, "n_layers must be a whole number of at least 1, got 0"),
        ({"vocab_size": 2.5}, "vocab_size must be a whole number, got 2.5"),
        ({"max_seq_len": True}, "max_seq_len must be a whole number, got True"),
        ({"d_ff": 0}, "d_ff must be a whole number of at least 1, got 0"),
        ({"num_classes": 1}, "num_classes must be a whole number of at least 2, got 1"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"norm_eps": 0.0}, "norm_eps must be above 0, got 0.0"),
        ({"backend": "gpu"}, "backend 'gpu'; known are auto, reference, tiled"),
        ({"positions": "alibi"}, "positions 'alibi'; known are rotary, learned"),
        ({"rotary_fraction": 0.0}, "rotary_fraction must be above 0 and at most 1, got 0.0"),
        ({"rotary_fraction": 0.25}, r"an even whole number of the 4 .* got 0.25 \(1\)"),
        ({"rotary_fraction": 0.6}, r"an even whole number of the 4 .* got 0.6 \(2.4\)"),
        ({"d_model": 12}, r"an even whole number of the 3 dimensions"),
        (
            {"d_model": 15, "n_heads": 5, "n_kv_heads": 1, "positions": "sinusoidal"},
            "d_model must be even for sinusoidal positions, got 15",
        ),
        ({"attention": "windows"}, "unknown pattern 'windows'; known are dense, causal"),
        ({"attention": "strided"}, "'strided' needs the option stride"),
        ({"attention_options": {"window": 3}}, "there is none.; none has window"),
        ({"attention": "dense", "attention_options": {"window_size": 3}}, "none has window_size"),
        ({"attention": "local", "attention_options": {"window_size": 0}}, "window_size must be"),
    ],
)
def test_bad_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(config(), **changes)


@pytest.mark.parametrize(
    ("attention", "message"),
    [
        (["dense"] * 3, r"one for each of the n_layers \(2\) layers, got 3 entries"),
        ([], r"got 0 entries"),
        (["dense", ["dense"] * 3], r"layer 1 must hold one choice for each of the n_heads \(4\)"),
        (["dense", {"window_size": 3}], "attention must be a pattern's name, .* got {'window_size"),
        (["dense", {"any_of": []}], "attention must be a pattern's name"),
        (["dense", 3], "attention must be a pattern's name, .* got 3"),
        (None, "attention must be a pattern's name, .* got None"),
        (["dense", {"name": "local", "width": 3}], "'local' has no option width"),
        (["dense", []], "one pattern for each head, got none"),
    ],
)
def test_bad_attention_is_refused(attention, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(config(), attention=attention)


def test_checking_experts_imports_no_compiler():
    script = (
        "import sys, sparse_transformers as st\n"
        "st.SparseTransformerConfig(experts={'shared_experts': 1, 'gated': True})\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
