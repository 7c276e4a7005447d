"""Figures of load and routing show the numbers that they are given."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from sparse_transformers.utils.plots.expert_load import (
    plot_expert_load,
    plot_routing_scores,
)
from sparse_transformers.utils.plots.style import COLORS

PROBABILITIES = [[0.1, 0.9], [0.6, 0.4], [0.5, 0.5]]
CHOSEN = [[False, True], [True, False], [True, True]]


@pytest.fixture(autouse=True)
def figures_closed_and_defaults_unchanged():
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_load_shows_a_bar_for_each_expert_and_the_even_share():
    ax = plot_expert_load({"a": [0.5, 0.3, 0.2, 0.0], "b": [1, 1, 1, 1]})
    assert [bar.get_height() for bar in ax.patches] == [0.5, 0.3, 0.2, 0.0] + [0.25] * 4
    middles = [bar.get_x() + bar.get_width() / 2 for bar in ax.patches]
    assert np.rint(middles).tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert all(a + 0.1 < b for a, b in zip(middles[:4], middles[4:], strict=True))
    assert ax.lines[0].get_ydata() == [0.25, 0.25]
    assert sorted(legend_of(ax)) == ["a", "b", "even share: 25.0%"]
    assert [to_hex(ax.patches[n].get_facecolor()).upper() for n in (0, 4)] == list(COLORS[:2])


def test_ranked_load_starts_with_the_busiest():
    ax = plot_expert_load({"a": [0.2, 0.5, 0.3], "b": [0.7, 0.1, 0.2]}, ranked=True)
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.5, 0.3, 0.2, 0.7, 0.2, 0.1])
    assert "busiest" in ax.get_xlabel()


def test_many_experts_have_few_ticks():
    ax = plot_expert_load({"a": np.ones(64)})
    assert len(ax.get_xticks()) <= 18
    assert len(plot_expert_load({"a": np.ones(8)}).get_xticks()) >= 8


def test_variant_keeps_the_colour_it_is_given():
    ax = plot_expert_load({"b": [1.0, 1.0]}, colors={"a": "#111111", "b": "#222222"})
    assert to_hex(ax.patches[0].get_facecolor()) == "#222222"
    with pytest.raises(ValueError, match="colors must have all variants, got none for b"):
        plot_expert_load({"a": [1.0], "b": [1.0]}, colors={"a": "#111111"})


def test_routing_scores_show_words_probabilities_and_choices():
    ax = plot_routing_scores(PROBABILITIES, ["the", "<unk>", "$5"], CHOSEN)
    mesh, dots = ax.collections
    assert np.array_equal(mesh.get_array(), np.transpose(PROBABILITIES))
    assert mesh.get_clim() == (0, 0.9)
    middles = [[0.5, 1.5], [1.5, 0.5], [2.5, 0.5], [2.5, 1.5]]
    assert sorted(dots.get_offsets().tolist()) == middles
    assert [label.get_text() for label in ax.get_xticklabels()] == ["the", "<unk>", "$5"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "1"]
    assert {label.get_rotation() for label in ax.get_yticklabels()} == {0}
    assert legend_of(ax) == ["chosen"]


def test_words_are_drawn_as_they_are():
    ax = plot_routing_scores([[1.0], [1.0]], ["a$b$", "$\\frac$"], [[True], [True]])
    ax.figure.draw_without_rendering()
    assert not any(label.get_parse_math() for label in ax.get_xticklabels())


@pytest.mark.parametrize(
    ("plot", "message"),
    [
        (
            lambda: plot_expert_load({}),
            r"at least one variant, and as many experts in each, got \[\]",
        ),
        (lambda: plot_expert_load({"a": [1], "b": [1, 1]}), r"experts in each, got \[1, 2\]"),
        (lambda: plot_expert_load({"a": [-1, 2]}), "counts must be finite and not negative"),
        (lambda: plot_routing_scores([[1.0]], ["a", "b"], [[True]]), r"with 2 words, got \(1, 1\)"),
        (lambda: plot_routing_scores([], [], []), r"with 0 words, got \(0,\)"),
        (lambda: plot_routing_scores([[1.0]], ["a"], [True]), r"chosen must be \(1, 1\)"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_figure_is_made(plot, message):
    with pytest.raises(ValueError, match=message):
        plot()
    assert plt.get_fignums() == []


def test_plots_go_where_they_are_told():
    _, axes = plt.subplots(1, 2)
    drawn = [
        plot_expert_load({"a": [1.0]}, title="0", ax=axes[0]),
        plot_routing_scores(PROBABILITIES, ["a", "b", "c"], CHOSEN, title="1", ax=axes[1]),
    ]
    assert drawn == list(axes)
    assert [ax.get_title() for ax in axes] == ["0", "1"]
    assert len(plt.get_fignums()) == 1
