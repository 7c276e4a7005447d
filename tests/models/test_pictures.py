"""Pictures of patterns, layouts, reach and attention, in scripts and in notebooks."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from example_patterns import EXAMPLE_PATTERNS
from matplotlib.figure import Figure

import sparse_transformers as st

PNG = b"\x89PNG"


def drawn(ax):
    """The numbers of the image in the axes."""
    [image] = ax.get_images()
    return np.asarray(image.get_array())


def axes():
    return Figure().subplots()


@pytest.mark.parametrize("pattern", EXAMPLE_PATTERNS, ids=repr)
def test_a_pattern_draws_its_mask(pattern):
    ax = axes()
    assert pattern.plot(40, ax=ax) is ax
    mask = pattern.mask(40).double()
    expected = mask if mask.ndim == 2 else mask.mean(0)
    np.testing.assert_allclose(drawn(ax), expected, atol=1e-6)


def test_the_layout_draws_the_tiles_of_the_kernel():
    pattern = st.LocalWindow(40) & st.Causal()
    layout = pattern.layout(100)
    for ax in (layout.plot(axes()), pattern.plot(100, tiles=True, ax=axes())):
        assert np.array_equal(drawn(ax), layout.to_dense())
        assert ax.get_title() == f"{layout.n_tiles} tiles of 32 x 32, fill {layout.fill:.0%}"
        assert ax.get_images()[0].get_extent() == [0, 128, 128, 0]
        assert len(ax.get_legend().get_texts()) == 3


def test_reach_is_drawn():
    pattern = st.LocalWindow(4) & st.Causal()
    ax = st.plot.reach(pattern, seq_len=30, n_layers=3, ax=axes())
    assert np.array_equal(drawn(ax), pattern.reach(30, 3).double())
    assert "reach after 3 layers" in ax.get_title()


def test_notebooks_show_pictures_of_patterns_and_layouts():
    sequences = st.PerSequence([st.Dense(), st.Causal()])
    for shown in (st.LocalWindow(4), st.PerHead((st.Dense(), st.Causal())), sequences):
        assert shown._repr_png_().startswith(PNG)
    assert st.LocalWindow(4).layout(100)._repr_png_().startswith(PNG)


def test_a_rule_that_fails_has_no_picture():
    class Broken(st.AttentionPattern):
        def allows(self, query, key):
            raise RuntimeError("not yet")

    assert Broken()._repr_png_() is None


def test_layouts_have_a_short_text():
    text = repr((st.LocalWindow(64) & st.Causal()).layout(100_000))
    assert text.startswith(
        "BlockLayout((LocalWindow(window_size=64) & Causal()), 100,000 x 100,000: "
    )
    assert len(text) < 150


@pytest.fixture(scope="module")
def model():
    config = st.SparseTransformerConfig(d_model=32, n_heads=4, n_layers=2, attention="local")
    return st.SparseTransformer(config)


def test_attention_of_a_sentence_is_drawn_for_every_head(model):
    heads = st.plot_attention(model, "To be, or", layer=1, figure=Figure())
    weights = model.get_attention_weights(torch.tensor([list(b"To be, or")]))[1][0]
    assert len(heads) == 4
    for ax, expected in zip(heads, weights, strict=True):
        np.testing.assert_allclose(drawn(ax), expected, atol=1e-6)
        assert [label.get_text() for label in ax.get_xticklabels()] == list("To·be,·or")
    heads = st.plot_attention(model, torch.tensor([5, 9]), figure=Figure())
    assert [label.get_text() for label in heads[0].get_yticklabels()] == ["5", "9"]


@pytest.mark.parametrize(
    ("text", "layer", "message"),
    [("a", 2, "layer must be below 2, got 2"), ("", 0, "at least one token"), ("a", -1, "layer")],
)
def test_what_cannot_be_drawn_is_refused(model, text, layer, message):
    with pytest.raises(ValueError, match=message):
        st.plot_attention(model, text, layer=layer)


def test_every_function_of_plot_draws_where_it_is_told():
    for name in st.plot.__all__:
        assert callable(getattr(st.plot, name))
    assert "plot" in dir(st)


def run(code, **environment):
    repository = Path(st.__file__).parents[1]
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(repository), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_importing_changes_nothing_of_matplotlib_and_warns_of_nothing():
    code = """
import matplotlib
before, backend = dict(matplotlib.rcParams), matplotlib.rcParams._get_backend_or_none()
import sparse_transformers as st
st.plot, st.ClaimClassifier, st.RoutingStatistics, st.DatasetAnalyzer
import demo
assert dict(matplotlib.rcParams) == before
assert matplotlib.rcParams._get_backend_or_none() == backend
"""
    environment = {name: value for name, value in os.environ.items() if name == "MPLBACKEND"}
    assert mpl.__version__ and not environment
    run(code)


def test_a_backend_that_is_not_there_stops_nothing(tmp_path):
    code = f"""
import demo
import sparse_transformers as st
corpus = st.ByteCorpus(b"to be or not to be, " * 100)
model = st.SparseTransformer(st.SparseTransformerConfig(d_model=16, n_heads=2, n_layers=1))
config = st.TrainingConfig(steps=2, progress=False, device="cpu")
task = st.NextByteTask(corpus, seq_len=16)
st.Trainer(model, task, config, {str(tmp_path / "run")!r}).train()
assert st.LocalWindow(3)._repr_png_()
"""
    run(code, MPLBACKEND="module://no_such_backend.inline")
    assert (tmp_path / "run" / "training.png").read_bytes().startswith(PNG)
