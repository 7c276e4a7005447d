"""Plots draw the numbers that they are given, where they are told to."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from sparse_transformers.utils.plots.base import (
    Curve,
    picture_legend,
    plot_bars,
    plot_curves,
    plot_dots,
    plot_picture,
    plot_table,
    short_bytes,
    short_count,
)
from sparse_transformers.utils.plots.style import STYLES, style_of

LINE = Curve(STYLES["local"], x=[256, 512, 1024], y=[1.0, 2.0, 4.0])


@pytest.fixture(autouse=True)
def figures_closed_and_defaults_unchanged():
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


def curves(ax=None, **options):
    return plot_curves([LINE], title="t", xlabel="x", ylabel="y", ax=ax, **options)


def test_styles_differ_in_label_colour_and_marker():
    for attribute in ("label", "color", "marker"):
        assert len({getattr(style, attribute) for style in STYLES.values()}) == len(STYLES)


def test_unknown_style_lists_those_there_are():
    with pytest.raises(ValueError, match="unknown style 'lcoal'; known are dense, local"):
        style_of("lcoal")


def test_curve_is_drawn_through_its_points_in_its_style():
    line = curves().get_lines()[0]
    assert np.array_equal(line.get_xydata(), np.column_stack([LINE.x, LINE.y]))
    assert line.get_color() == STYLES["local"].color
    assert curves().get_legend_handles_labels()[1] == [STYLES["local"].label]


def test_interval_of_a_point_is_drawn_as_a_whisker():
    curve = Curve(STYLES["local"], x=[1], y=[5.0], low=[4.0], high=[8.0], label="own")
    ax = plot_curves([curve], title="t", xlabel="x", ylabel="y")
    (whisker,) = ax.containers[0][2][0].get_segments()
    assert whisker[:, 1].tolist() == [4.0, 8.0]
    assert ax.get_legend_handles_labels()[1] == ["own"]


def test_logarithmic_axes_have_a_tick_for_each_length():
    ax = curves(log_x=True, log_y=True)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["256", "512", "1k"]


def test_bars_have_their_lengths_and_name_what_was_not_measured():
    ax = plot_bars(
        ["dense", "local"],
        {"limit": [1.0, 8.0], "measured": [None, 5.0]},
        intervals={"measured": [None, (4.0, 6.0)]},
        colors={"limit": "gray", "measured": ["black", "blue"]},
        title="t",
        xlabel="x",
    )
    assert [bar.get_width() for bar in ax.patches] == [1.0, 8.0, 0.0, 5.0]
    assert [text.get_text() for text in ax.texts] == ["1.0", "8.0", "not measured", "5.0"]
    assert [line.get_xdata().tolist() for line in ax.get_lines()] == [[4.0, 6.0]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["dense", "local"]
    assert ax.yaxis_inverted()


def test_dots_stand_in_their_group_with_the_mean_of_the_seeds_beside_them():
    ax = plot_dots(
        ["a", "b"],
        {"one": [[1.0, 3.0], [8.0]], "other": [[], [4.0]]},
        colors={"one": "k", "other": "gray"},
        title="t",
        xlabel="x",
        number="{:.1f}",
        log_x=True,
    )
    one, other = (line for line in ax.get_lines() if line.get_label() in ("one", "other"))
    assert one.get_xdata().tolist() == [1.0, 3.0, 8.0]
    assert np.rint(one.get_ydata()).tolist() == [0, 0, 1]
    assert other.get_xdata().tolist() == [4.0]
    assert other.get_ydata()[0] > one.get_ydata()[2]
    assert [text.get_text() for text in ax.texts] == ["2.0", "8.0", "4.0"]
    assert ax.get_xscale() == "log"
    assert ax.yaxis_inverted()


def test_table_writes_its_texts_and_hatches_what_is_missing():
    ax = plot_table(
        [[1.0, None], [10.0, 100.0]],
        [["one", "none"], ["ten", "hundred"]],
        rows=["a", "b"],
        columns=["c", "d"],
        title="t",
        log=True,
    )
    assert [text.get_text() for text in ax.texts] == ["one", "ten", "hundred"]
    assert [text.get_position() for text in ax.texts] == [(0.5, 0.5), (0.5, 1.5), (1.5, 1.5)]
    (mesh,) = ax.collections
    assert mesh.get_array().tolist() == [[1.0, None], [10.0, 100.0]]
    assert mesh.norm(10.0) == pytest.approx(0.5)  # the middle of 1 to 100, by the logarithm
    (hatched,) = ax.patches
    assert (hatched.get_xy(), hatched.get_width(), hatched.get_height()) == ((1, 0), 1, 1)
    assert hatched.get_hatch()


def test_table_has_its_names_at_its_rows_and_columns_from_the_top():
    ax = plot_table([[1.0, 2.0]] * 3, [["", ""]] * 3, rows="abc", columns="de", title="t")
    for axis, names in ((ax.yaxis, "abc"), (ax.xaxis, "de")):
        assert [label.get_text() for label in axis.get_ticklabels()] == list(names)
        assert axis.get_ticklocs().tolist() == [place + 0.5 for place in range(len(names))]
        assert {label.get_rotation() for label in axis.get_ticklabels()} == {0}
    assert ax.yaxis_inverted()


def test_table_is_coloured_within_its_limits():
    options = {"rows": ["a"], "columns": ["b", "c"], "title": "t"}
    drawn = [
        plot_table([[1.0, 3.0]], [["", ""]], **options).collections[0],
        plot_table([[1.0, 3.0]], [["", ""]], limits=(0.0, 4.0), **options).collections[0],
    ]
    assert [mesh.get_clim() for mesh in drawn] == [(1.0, 3.0), (0.0, 4.0)]


def test_text_in_a_table_stands_out_from_its_cell():
    ax = plot_table(
        [[0.0, 0.48, 0.52, 1.0, None]],
        [["0", "1", "2", "3", ""]],
        rows=["a"],
        columns="bcdef",
        title="t",
        cmap="gray",
    )
    assert [text.get_color() for text in ax.texts] == ["white", "white", "black", "black"]


def test_picture_shows_each_character_as_its_own_colour():
    ax = plot_picture(["# ", ".#"], "#. ", title="t")
    assert ax.get_images()[0].get_array().tolist() == [[0, 2], [1, 0]]
    colors = [patch.get_facecolor() for patch in picture_legend()]
    cmap = ax.get_images()[0].cmap
    assert [cmap(code) for code in range(3)] == colors


@pytest.mark.parametrize(
    "plot",
    [
        curves,
        lambda ax: plot_picture(["#"], "#. ", title="t", ax=ax),
        lambda ax: plot_bars(["a"], {"b": [1.0]}, colors={"b": "k"}, title="t", xlabel="x", ax=ax),
        lambda ax: plot_table([[1.0]], [["1"]], rows=["a"], columns=["b"], title="t", ax=ax),
    ],
)
def test_plot_draws_into_the_axes_it_is_given(plot):
    _, ax = plt.subplots()
    assert plot(ax=ax) is ax
    assert ax.get_title() == "t"
    assert plt.get_fignums() == [1]


@pytest.mark.parametrize(
    ("count", "text"), [(512, "512"), (1024, "1k"), (1536, "1.5k"), (1 << 20, "1M")]
)
def test_counts_are_short(count, text):
    assert short_count(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12 B"), (1536, "1.5 KiB"), (5 << 20, "5 MiB"), (3 << 30, "3 GiB")]
)
def test_bytes_are_short(count, text):
    assert short_bytes(count) == text
