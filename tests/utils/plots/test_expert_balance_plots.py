"""Curves of balance and of dropped assignments show the numbers that they are given."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from sparse_transformers.utils.plots.expert_balance import (
    plot_balance_over_training,
    plot_drop_rate,
)
from sparse_transformers.utils.plots.style import COLORS

STEPS = [0, 10, 20]
BALANCE = {"none": [[1.0, 2.0, 4.0], [3.0, 2.0, 6.0]], "loss": [1.0, 0.5, 0.1]}
FACTORS = [1.0, 1.5, None]
DROPPED = {"none": [[0.5, 0.2, 0.0], [0.3, 0.2, 0.0]], "loss": [0.1, 0.05, 0.0]}


@pytest.fixture(autouse=True)
def figures_closed_and_defaults_unchanged():
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


def balance(ax=None, **options):
    return plot_balance_over_training(STEPS, BALANCE, ylabel="maximal violation", ax=ax, **options)


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_balance_is_the_mean_over_the_seeds_with_its_range():
    ax = balance()
    assert ax.lines[0].get_xydata().tolist() == [[0, 2], [10, 2], [20, 5]]
    assert ax.lines[1].get_xydata().tolist() == [[0, 1], [10, 0.5], [20, 0.1]]
    corners = ax.collections[0].get_paths()[0].vertices.tolist()
    for step, low, high in ((0, 1, 3), (10, 2, 2), (20, 4, 6)):
        assert [step, low] in corners
        assert [step, high] in corners
    assert legend_of(ax) == ["none", "loss"]
    assert ax.get_ylabel() == "maximal violation"


def test_lines_differ_in_colour_and_dashes():
    lines = balance().lines
    assert [line.get_color() for line in lines] == list(COLORS[:2])
    assert lines[0].get_linestyle() != lines[1].get_linestyle()


def test_logarithmic_axis_is_asked_for():
    assert balance().get_yscale() == "linear"
    assert balance(log_y=True).get_yscale() == "log"


def test_drop_rate_sets_dropless_apart():
    ax = plot_drop_rate(FACTORS, DROPPED)
    none, none_dropless, loss, loss_dropless, border = ax.lines
    assert none.get_xydata().tolist() == [[1.0, 0.4], [1.5, 0.2]]
    assert loss.get_xydata().tolist() == [[1.0, 0.1], [1.5, 0.05]]
    ((place, share),) = none_dropless.get_xydata()
    assert (share, loss_dropless.get_ydata()[0]) == (0, 0)
    assert 1.5 < border.get_xdata()[0] < place
    ticks = dict(zip([t.get_text() for t in ax.get_xticklabels()], ax.get_xticks(), strict=True))
    assert ticks == {"1": 1.0, "1.5": 1.5, "dropless": place}
    assert ax.collections[0].get_segments()[0][:, 1].tolist() == [0.3, 0.5]
    assert none_dropless.get_color() == none.get_color() == COLORS[0]
    assert legend_of(ax) == ["none", "loss"]


def test_drop_rate_without_dropless_has_no_border():
    ax = plot_drop_rate([1.0, 2.0], {"a": [0.2, 0.1]})
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2"]
    assert [len(line.get_xdata()) for line in ax.lines] == [2, 0]


def test_dropless_alone_can_be_drawn():
    ax = plot_drop_rate([None], {"a": [0.0]})
    assert [label.get_text() for label in ax.get_xticklabels()] == ["dropless"]


def test_arm_keeps_the_colour_it_is_given():
    colors = {"none": "#111111", "loss": "#222222"}
    drawn = [
        balance(colors=colors).lines[1],
        plot_drop_rate(FACTORS, DROPPED, colors=colors).lines[2],
    ]
    assert [to_hex(line.get_color()) for line in drawn] == ["#222222"] * 2


@pytest.mark.parametrize(
    ("plot", "message"),
    [
        (
            lambda: plot_balance_over_training([0, 1], {"a": [1.0]}, ylabel="y"),
            r"balance\['a'\] must be \(2,\) or \(seeds, 2\), got \(1,\)",
        ),
        (
            lambda: plot_balance_over_training([0], {"a": [[[1.0]]]}, ylabel="y"),
            r"must be \(1,\) or \(seeds, 1\), got \(1, 1, 1\)",
        ),
        (
            lambda: plot_balance_over_training([0], {"a": [np.nan]}, ylabel="y"),
            r"balance\['a'\] must be finite",
        ),
        (
            lambda: plot_balance_over_training([0], {"a": [0.0]}, ylabel="y", log_y=True),
            "balance must be above 0 on a logarithmic axis",
        ),
        (
            lambda: plot_balance_over_training([], {"a": []}, ylabel="y"),
            "balance must hold at least one arm and one point",
        ),
        (lambda: plot_drop_rate(FACTORS, {}), "dropped must hold at least one arm"),
        (lambda: plot_drop_rate(FACTORS, {"a": [0.1]}), r"dropped\['a'\] must be \(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_figure_is_made(plot, message):
    with pytest.raises(ValueError, match=message):
        plot()
    assert plt.get_fignums() == []


def test_plots_go_where_they_are_told():
    _, axes = plt.subplots(1, 2)
    drawn = [balance(axes[0], title="0"), plot_drop_rate(FACTORS, DROPPED, title="1", ax=axes[1])]
    assert drawn == list(axes)
    assert [ax.get_title() for ax in axes] == ["0", "1"]
    assert len(plt.get_fignums()) == 1
