"""The graph holds the shares that a loop over the tokens counts, and the figure draws them."""

from collections import Counter
from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from sparse_transformers.utils.plots.expert_flow import plot_token_flow, token_flow_graph
from sparse_transformers.utils.plots.style import REFERENCE_COLOR

KINDS = ["fact", "fact", "fact", "opinion"]
STAGES = {"kind": KINDS, "layer 0": [1, 1, 0, 0], "layer 2": [3, -1, 3, 3]}
tokens = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(-1, 3), st.integers(-1, 3)), min_size=1
)


@pytest.fixture(autouse=True)
def figures_closed_and_defaults_unchanged():
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


def shares_of(graph):
    return {(source, target): share for source, target, share in graph.edges(data="share")}


@given(tokens)
def test_shares_equal_a_loop_over_the_tokens(tokens):
    names = ("kind", "layer 0", "layer 2")
    graph = token_flow_graph(dict(zip(names, zip(*tokens, strict=True), strict=True)))
    edges = Counter()
    nodes = Counter()
    for token in tokens:
        path = list(zip(names, token, strict=True))
        nodes.update(path)
        edges.update(pairwise(path))
    n_tokens = len(tokens)
    assert dict(graph.nodes(data="share")) == {node: n / n_tokens for node, n in nodes.items()}
    assert shares_of(graph) == {edge: n / n_tokens for edge, n in edges.items()}
    for node, share in graph.nodes(data="share"):
        for edges_of in (graph.in_edges(node, "share"), graph.out_edges(node, "share")):
            assert not edges_of or sum(edge[2] for edge in edges_of) == pytest.approx(share)


@pytest.mark.parametrize("kind_of_array", [list, np.array, pd.Series])
def test_nodes_have_stage_and_label(kind_of_array):
    graph = token_flow_graph({name: kind_of_array(labels) for name, labels in STAGES.items()})
    assert dict(graph.nodes(data="label")) == {
        ("kind", "fact"): "fact",
        ("kind", "opinion"): "opinion",
        ("layer 0", 0): "expert 0",
        ("layer 0", 1): "expert 1",
        ("layer 2", -1): "no expert",
        ("layer 2", 3): "expert 3",
    }
    assert [stage for _, stage in graph.nodes(data="stage")] == [0, 0, 1, 1, 2, 2]


def test_lines_are_as_wide_as_the_shares_and_end_at_their_nodes():
    graph = token_flow_graph(STAGES)
    ax = plot_token_flow(graph)
    (lines,) = ax.collections
    places = {text.get_text().split("  ")[0]: text.get_position() for text in ax.texts}
    segments = [np.round(segment, 9).tolist() for segment in lines.get_segments()]
    widths = dict(zip(map(repr, segments), lines.get_linewidths(), strict=True))
    for (source, target), share in shares_of(graph).items():
        ends = [places[graph.nodes[node]["label"]] for node in (source, target)]
        width = widths.pop(repr(np.round(ends, 9).tolist()))
        assert width / share == pytest.approx(max(lines.get_linewidths()) / 0.5)
    assert widths == {}
    assert ax.get_xlabel() == ""


def test_figure_names_stages_and_nodes_with_their_shares():
    ax = plot_token_flow(token_flow_graph(STAGES))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["kind", "layer 0", "layer 2"]
    assert {text.get_text() for text in ax.texts} == {
        "fact  75%",
        "opinion  25%",
        "expert 0  50%",
        "expert 1  50%",
        "no expert  25%",
        "expert 3  75%",
    }
    assert [text.get_position()[0] for text in ax.texts] == [0, 0, 1, 1, 2, 2]


def test_labels_are_drawn_as_they_are():
    ax = plot_token_flow(token_flow_graph({"word": ["$\\frac$", "a"], "layer 0": [0, 1]}))
    ax.figure.draw_without_rendering()
    assert "$\\frac$  50%" in [text.get_text() for text in ax.texts]


def test_line_has_the_colour_of_the_expert_it_comes_from_or_goes_to():
    graph = token_flow_graph(STAGES)
    ax = plot_token_flow(graph)
    frames = {
        text.get_position(): to_hex(text.get_bbox_patch().get_edgecolor()) for text in ax.texts
    }
    (lines,) = ax.collections
    for segment, color in zip(lines.get_segments(), lines.get_colors(), strict=True):
        start, end = (frames[tuple(place.tolist())] for place in segment[[0, -1]])
        neutral = to_hex(REFERENCE_COLOR)
        assert to_hex(color) == (end if start == neutral else start)
        assert to_hex(color) != neutral


def test_experts_stand_beside_those_they_get_their_tokens_from():
    graph = token_flow_graph({"kind": [0, 1, 2], "layer 0": [2, 0, 1]})
    (lines,) = plot_token_flow(graph).collections
    assert all(start[1] == end[1] for start, end in lines.get_segments())


def test_thin_lines_are_left_out_and_said_to_be():
    graph = token_flow_graph({"kind": ["a"] * 8 + ["b"] * 2, "layer 0": [0] * 7 + [1] * 3})
    ax = plot_token_flow(graph, min_share=0.15)
    (lines,) = ax.collections
    assert len(lines.get_segments()) == 2
    assert "less than 15.0% of the tokens, 10.0% in all" in ax.get_xlabel()
    assert len(ax.texts) == 4


def test_share_left_out_is_of_the_tokens_and_not_of_the_lines():
    stages = {"kind": [0] * 9 + [1], "layer 0": [0] * 9 + [1], "layer 2": [0] * 9 + [1]}
    ax = plot_token_flow(token_flow_graph(stages), min_share=0.2)
    assert ax.get_xlabel().endswith(", 10.0% in all")


@pytest.mark.parametrize(
    "stages",
    [{}, {"kind": ["a"]}, {"kind": ["a"], "layer": [0, 1]}, {"a": [], "b": []}, {"a": 1, "b": 2}],
)
def test_stages_that_are_no_flow_are_refused(stages):
    with pytest.raises(ValueError, match="stages must be at least two, with one label each"):
        token_flow_graph(stages)


def test_plot_goes_where_it_is_told():
    _, ax = plt.subplots()
    assert plot_token_flow(token_flow_graph(STAGES), title="flow", ax=ax) is ax
    assert ax.get_title() == "flow"
    assert len(plt.get_fignums()) == 1
