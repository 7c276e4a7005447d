"""Figures of specialization and similarity show the numbers that they are given."""

import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from sparse_transformers.utils.plots.expert_specialization import (
    plot_expert_similarity,
    plot_specialization,
)
from sparse_transformers.utils.plots.style import COLORS

SCORES = {"trained": {"token": [0.4, 0.6], "kind": [0.2]}, "shuffled": {"kind": [-0.01]}}


@pytest.fixture(autouse=True)
def figures_closed_and_defaults_unchanged():
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_scores_of_each_seed_stand_beside_their_controls():
    ax = plot_specialization(SCORES)
    trained, shuffled = ax.lines[:2]
    assert trained.get_xdata().tolist() == [0.4, 0.6, 0.2]
    assert shuffled.get_xdata().tolist() == [-0.01]
    assert [np.rint(line.get_ydata()).tolist() for line in (trained, shuffled)] == [[0, 0, 1], [1]]
    assert trained.get_ydata()[2] < shuffled.get_ydata()[0]
    assert [trained.get_color(), shuffled.get_color()] == list(COLORS[:2])
    assert [text.get_text() for text in ax.texts] == ["0.50", "0.20", "-0.01"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["token", "kind"]
    assert sorted(legend_of(ax)) == ["chance", "shuffled", "trained"]
    assert ax.yaxis_inverted()


def test_chance_is_marked_at_zero():
    chance = next(
        line for line in plot_specialization(SCORES).lines if line.get_label() == "chance"
    )
    assert list(chance.get_xdata()) == [0, 0]


def test_similarity_is_written_into_its_cells():
    ax = plot_expert_similarity([[1, 0.25], [0.25, 1]])
    assert [text.get_text() for text in ax.texts] == ["1.00", "0.25", "0.25", "1.00"]
    assert ax.collections[0].get_clim() == (0, 1)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "1"]


def test_negative_similarity_widens_the_scale():
    ax = plot_expert_similarity([[1, -0.5], [-0.5, 1]], ["facts", "opinions"])
    assert ax.collections[0].get_clim() == (-0.5, 1)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["facts", "opinions"]


@pytest.mark.parametrize("missing", [None, math.nan])
def test_missing_cells_are_hatched(missing):
    ax = plot_expert_similarity([[1, 0.5], [missing, missing]])
    assert [text.get_text() for text in ax.texts] == ["1.00", "0.50"]
    assert [patch.get_xy() for patch in ax.patches] == [(0, 1), (1, 1)]


def test_cells_of_many_experts_have_no_numbers():
    assert {text.get_text() for text in plot_expert_similarity(np.eye(17)).texts} == {""}


@pytest.mark.parametrize(
    ("plot", "message"),
    [
        (lambda: plot_specialization({}), "scores must hold at least one score"),
        (lambda: plot_specialization({"a": {}}), "scores must hold at least one score"),
        (
            lambda: plot_specialization(SCORES, colors={"trained": "#111111"}),
            "colors must have all variants, got none for shuffled",
        ),
        (lambda: plot_expert_similarity([[1, 0]]), r"\(experts, experts\) and hold a number"),
        (lambda: plot_expert_similarity([[None]]), r"\(experts, experts\) and hold a number"),
        (lambda: plot_expert_similarity([[1]], ["a", "b"]), "names must hold 1, one for each"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_figure_is_made(plot, message):
    with pytest.raises(ValueError, match=message):
        plot()
    assert plt.get_fignums() == []


def test_plots_go_where_they_are_told():
    _, axes = plt.subplots(1, 2)
    drawn = [
        plot_specialization(SCORES, title="0", ax=axes[0]),
        plot_expert_similarity([[1.0]], title="1", ax=axes[1]),
    ]
    assert drawn == list(axes)
    assert [ax.get_title() for ax in axes] == ["0", "1"]
    assert len(plt.get_fignums()) == 1
